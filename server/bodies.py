"""Reading uploads: into the spool as they come, counted while they come.

A body is one file as it is, or a form (multipart/form-data) with files in its fields ``file``.
A form is parsed as it streams by, so a film lies on disk once and in memory never.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from server.forms import Form
from server.problems import Problem
from server.settings import Settings
from server.spool import Incoming, Spool, Upload

__all__ = ["Received", "Sink", "receive"]

_RAW = ("image/", "video/", "application/octet-stream", "application/mxf")
_OVERHEAD = 1 << 20  # bytes of a form beside its files
_NAME = 200  # characters of a file's name that are kept


@dataclass(slots=True)
class Received:
    """What came in one request.

    Parameters
    ----------
    files : list of Upload or Problem
        In the order they were sent; a problem for a file that was refused.
    fields : dict of str to str
        The other fields of a form.
    """

    files: list[Upload | Problem] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    def remove(self, spool: Spool) -> None:
        """Remove all files from the spool."""
        for each in self.files:
            if isinstance(each, Upload):
                spool.remove(each)


async def receive(
    request: Request,
    spool: Spool,
    settings: Settings,
    *,
    most: int = 1,
    fields: Collection[str] = (),
) -> Received:
    """Read the files of a request, at most `most`.

    Parameters
    ----------
    request : Request
    spool : Spool
    settings : Settings
    most : int
        Files.
    fields : collection of str
        What a form may have beside them; a field of another name is refused.

    Raises
    ------
    Problem
        400, 408, 413, 415, 422 or 503; nothing stays in the spool.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    limit = int(settings.max_upload)
    if most > 1:
        limit = min(limit, most * settings.max_image)
    _check_head(request, kind.decode("latin-1"), limit + _OVERHEAD)
    if most > 1 and kind != b"multipart/form-data":
        raise Problem("unsupported", "Send a form (multipart/form-data) with fields 'file'.")
    received = Received()
    sink = Sink(spool, settings, received, most)
    form = Form(sink, fields)
    try:
        with _told(settings):
            if kind == b"multipart/form-data":
                await _read_form(request, options.get(b"boundary"), form, limit + _OVERHEAD)
            else:
                await _read_file(request, sink)
        _check(received, most)
    except BaseException:
        sink.drop()
        received.remove(spool)
        raise
    return received


def _check(received: Received, most: int) -> None:
    if not received.files:
        raise Problem("invalid", "There is no file here; send it as the form field 'file'.")
    if most == 1 and isinstance(received.files[0], Problem):
        raise received.files[0]


def _check_head(request: Request, kind: str, limit: int) -> None:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported", "Send the file as it is, without a Content-Encoding.")
    if kind and kind != "multipart/form-data" and not kind.startswith(_RAW):
        raise Problem(
            "unsupported",
            "Send a picture or film as application/octet-stream or image/…, or a form "
            "(multipart/form-data) with the field 'file'.",
        )
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise Problem("too-large", f"An upload has at most {limit:,} bytes.")


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """Turn what goes wrong on the way into a problem."""
    try:
        yield
    except TimeoutError as error:
        wait = settings.upload_seconds
        raise Problem("too-slow", f"Nothing came for {wait:g} seconds; send it again.") from error
    except ClientDisconnect as error:
        raise Problem("malformed", "The upload broke off.") from error
    except FormParserError as error:
        raise Problem("malformed", "This is no form; check its boundary.") from error
    except OSError as error:
        raise Problem.wait("spool", "There is no room for uploads now; try later.", 60) from error


async def _chunks(request: Request, seconds: float) -> AsyncIterator[bytes]:
    """Yield the body; every piece of it has to come within `seconds`."""
    stream = aiter(request.stream())
    while True:
        async with asyncio.timeout(seconds):
            chunk = await anext(stream, None)
        if chunk is None:
            return
        yield chunk


async def _read_file(request: Request, sink: Sink) -> None:
    sink.open("")
    async for chunk in _chunks(request, sink.settings.upload_seconds):
        sink.write(chunk)
    sink.close()


async def _read_form(request: Request, boundary: bytes | None, form: Form, limit: int) -> None:
    if not boundary:
        raise Problem("malformed", "A form needs a boundary in its Content-Type.")
    parser = MultipartParser(boundary, form.callbacks())
    total = 0
    async for chunk in _chunks(request, form.seconds):
        total += len(chunk)
        if total > limit:
            raise Problem("too-large", f"An upload has at most {limit:,} bytes.")
        parser.write(chunk)
    parser.finalize()
    if not form.ended:
        raise Problem("malformed", "The form breaks off; send it again.")


class Sink:
    """Where files go: one after the other into the spool.

    Parameters
    ----------
    spool : Spool
    settings : Settings
    received : Received
        To which they are added.
    most : int
        Files that are taken.
    """

    def __init__(self, spool: Spool, settings: Settings, received: Received, most: int) -> None:
        self._spool, self.settings, self.received = spool, settings, received
        self._most = most
        self._incoming: Incoming | None = None
        self._size = 0
        self._film = False

    def open(self, name: str) -> None:
        """Begin a file."""
        if len(self.received.files) == self._most:
            if self._most == 1:
                raise Problem("invalid", "One file at a time; several go to /v1/detect/batch.")
            raise Problem("too-large", f"At most {self._most} files.")
        self._incoming = self._spool.incoming(self.settings.max_upload, name[-_NAME:])
        self._size, self._film = 0, False

    def write(self, data: bytes) -> None:
        """Take in some of the present file; of one that was refused nothing more is kept."""
        if self._incoming is None:
            return
        self._size += len(data)
        if self._size > self.settings.max_upload:
            self._refuse("film", self.settings.max_upload)
            return
        self._incoming.write(data)
        if self._size > self.settings.max_image and not self._film:
            # Only what has come so far tells what it is.
            self._film = self._most == 1 and self._incoming.kind() == "film"
            if not self._film:
                self._refuse("picture", self.settings.max_image)

    def _refuse(self, kind: str, limit: int) -> None:
        self.drop()
        refused = Problem("too-large", f"A {kind} has at most {limit:,} bytes here.")
        if self._most == 1:
            raise refused
        self.received.files.append(refused)

    def close(self) -> None:
        """End the present file."""
        if self._incoming is None:
            return
        if not self._size:
            self.drop()
            self.received.files.append(Problem("unreadable", "The file is empty; send it again."))
            return
        with self._incoming as incoming:
            self.received.files.append(incoming.done())
        self._incoming = None

    def drop(self) -> None:
        """Keep nothing of the present file."""
        if self._incoming is not None:
            with self._incoming:
                self._incoming = None
