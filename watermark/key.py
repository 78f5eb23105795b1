"""The secret: 32 bytes, and everything pseudo-random that a mark is made of.

Carriers are drawn from SHAKE-256 over a domain tag, the key and a *label*.
Different labels give independent streams, which is what lets geometry be searched with the pilot
at no cost to the p-value of the message.
NumPy promises no stable random stream across versions (NEP 19); FIPS 202 does.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from watermark.errors import KeyFileError

__all__ = ["KEY_BYTES", "Key"]

KEY_BYTES = 32
# Without waiting, since a pipe may never have a writer; Windows alone tells text from bytes.
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_STREAM_TAG = b"sukashi carrier v1"
_FINGERPRINT_TAG = b"sukashi fingerprint v1"


@dataclass(frozen=True, slots=True)
class Key:
    """A detector's secret.  Whoever holds it can read, erase and forge the mark.

    Parameters
    ----------
    secret : bytes of length 32
        Never shown: ``repr`` prints the fingerprint.

    Raises
    ------
    ValueError
        If `secret` is not 32 bytes long.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes) or len(self.secret) != KEY_BYTES:
            raise ValueError(f"a key is exactly {KEY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"Key(fingerprint={self.fingerprint!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @classmethod
    def generate(cls) -> Key:
        """Draw a new key from the operating system's generator."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @property
    def fingerprint(self) -> str:
        """Twenty hex digits in groups of four that name the key and tell nothing about it."""
        digest = hashlib.shake_256(_FINGERPRINT_TAG + self.secret).hexdigest(10)
        return "-".join(digest[start : start + 4] for start in range(0, 20, 4))

    def stream(self, label: str, size: int) -> bytes:
        """Return `size` pseudo-random bytes of the stream called `label` (SHAKE-256, FIPS 202)."""
        name = label.encode()
        framed = _STREAM_TAG + self.secret + len(name).to_bytes(4, "big") + name
        return hashlib.shake_256(framed).digest(size)

    def signs(self, label: str, count: int) -> NDArray[np.int8]:
        """Return `count` independent fair signs, an int8 array of −1 and +1."""
        packed = np.frombuffer(self.stream(label, -(-count // 8)), np.uint8)
        bits = np.unpackbits(packed, count=count)
        return (1 - 2 * bits.astype(np.int8)).astype(np.int8)

    def uniform(self, label: str, count: int) -> NDArray[np.float64]:
        """Return `count` numbers in [0, 1), each from 53 bits, the same on every machine."""
        words = np.frombuffer(self.stream(label, 8 * count), ">u8").astype(np.uint64)
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Key:
        """Read a key file.

        Raises
        ------
        KeyFileError
            If the file cannot be read, is not 32 bytes long, or other users may read it.
        """
        file = Path(path)
        try:
            descriptor = os.open(file, _READING)
            try:
                mode = os.fstat(descriptor).st_mode
                secret = os.read(descriptor, KEY_BYTES + 1) if stat.S_ISREG(mode) else None
            finally:
                os.close(descriptor)
        except OSError as error:
            cause = error.strerror or str(error)
            raise KeyFileError(
                f"{file}: cannot read this key file ({cause}); make one with 'sukashi key new'"
            ) from error
        if secret is None:
            raise KeyFileError(
                f"{file}: cannot read this key file (a folder, a pipe or a device); "
                "name the file that 'sukashi key new' made"
            )
        if len(secret) != KEY_BYTES:
            found = f"more than {KEY_BYTES}" if len(secret) > KEY_BYTES else str(len(secret))
            raise KeyFileError(
                f"{file}: a key file holds exactly {KEY_BYTES} bytes, this one {found}; "
                "name the file that 'sukashi key new' made"
            )
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(
                f"{file}: other users may read this key; close it with: "
                f"chmod 600 {shlex.quote(str(file))}"
            )
        return cls(secret)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a new file with mode 0600; an existing file is never replaced.

        Raises
        ------
        KeyFileError
            If the file exists already or cannot be written.
        """
        file = Path(path)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise KeyFileError(
                f"{file}: this file exists and is left as it is; choose a new name, "
                "since a lost key cannot be made again"
            ) from error
        except OSError as error:
            raise KeyFileError(
                f"{file}: cannot write a key here ({error.strerror or error}); "
                "choose another folder"
            ) from error
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(self.secret)
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            file.unlink(missing_ok=True)
            raise KeyFileError(
                f"{file}: cannot write the key ({error.strerror or error}); free some space"
            ) from error
