"""Every exception this project raises on purpose.

A message says what happened to which file or value, and what to do about it, in one line:
the command line and the server print it as it stands.

    WatermarkError
    ├── KeyFileError          a key file is missing, of the wrong length, or open to others
    ├── ProfileError          a profile string cannot be read, or names an unknown profile
    ├── PayloadError          a mark number is outside 48 bits
    ├── EvidenceError         an observation or evidence is malformed, or two do not add
    ├── MediaError            a picture or film
    │   ├── UnreadableMedia   the bytes cannot be decoded (empty, truncated, not a picture)
    │   ├── UnsupportedMedia  decodable, but not something that can be marked or read
    │   ├── MediaTooLarge     over the limit on pixels
    │   └── OutputError       the result could not be written (full disk, same file as the input)
    ├── MarkNotReadable       a file was marked, but its own mark cannot be read back
    ├── ServiceError          the detect service refused, or cannot be reached
    ├── EngineError           workers could not be started, or all of them die
    └── RegistryError
        ├── InvalidWork       a field of a work or mark, or a row of an import, is refused
        ├── UnknownWork       no such work or mark
        ├── UnknownToken      no such token of the detect service
        ├── RegistryBusy      another process holds the registry
        └── RegistryVersion   the registry was written by another version of this program

A caller's slip (a wrong shape, a negative size) is a built-in ``ValueError`` or ``TypeError``.
"""

__all__ = [
    "EngineError",
    "EvidenceError",
    "InvalidWork",
    "KeyFileError",
    "MarkNotReadable",
    "MediaError",
    "MediaTooLarge",
    "OutputError",
    "PayloadError",
    "ProfileError",
    "RegistryBusy",
    "RegistryError",
    "RegistryVersion",
    "ServiceError",
    "UnknownToken",
    "UnknownWork",
    "UnreadableMedia",
    "UnsupportedMedia",
    "WatermarkError",
]


class WatermarkError(Exception):
    """Base of every exception raised on purpose."""


class KeyFileError(WatermarkError):
    """A key file is missing, of the wrong length, or readable by others."""


class ProfileError(WatermarkError):
    """A profile string cannot be read, or names a profile this version does not know."""


class PayloadError(WatermarkError):
    """A mark number is not an integer of 48 bits."""


class EvidenceError(WatermarkError):
    """An observation or evidence is malformed, or two of them do not add."""


class MediaError(WatermarkError):
    """A picture or film could not be read, marked or written."""


class UnreadableMedia(MediaError):
    """The bytes cannot be decoded: empty, truncated, or not a picture."""


class UnsupportedMedia(MediaError):
    """The picture can be decoded, but not marked or read (too small, an unknown layout)."""


class MediaTooLarge(MediaError):
    """The picture has more pixels than the limit in force."""


class OutputError(MediaError):
    """The result could not be written; nothing stands under its final name."""


class MarkNotReadable(WatermarkError):
    """A file was marked, but its own mark cannot be read back from what was written."""


class ServiceError(WatermarkError):
    """The detect service refused, or cannot be reached."""


class EngineError(WatermarkError):
    """Workers could not be started, or all of them die."""


class RegistryError(WatermarkError):
    """The registry could not be opened, read or written."""


class InvalidWork(RegistryError):
    """A field of a work or mark, or a row of an import, cannot be taken into the registry."""


class UnknownWork(RegistryError):
    """The registry has no such work or mark."""


class UnknownToken(RegistryError):
    """The registry has no such token."""


class RegistryBusy(RegistryError):
    """Another process holds the registry and did not let go in time."""


class RegistryVersion(RegistryError):
    """The registry was written by another version of this program."""
