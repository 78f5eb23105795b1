"""Forms (multipart/form-data) as they stream by: files go to a sink, the rest into fields."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from python_multipart.multipart import parse_options_header

from server.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

    from server.bodies import Sink

__all__ = ["Form"]

_FIELDS = 64 << 10  # bytes of the fields that are no files
_SHOWN = 60  # characters of a field's name that are told


class Form:
    """Follows the parts of a form: files to the sink, the rest into its fields.

    Parameters
    ----------
    sink : Sink
        Where files go.
    fields : collection of str
        What there may be beside them.
    """

    def __init__(self, sink: Sink, fields: Collection[str]) -> None:
        self._sink, self._fields = sink, fields
        self.seconds = sink.settings.upload_seconds
        self._header, self._value = b"", b""
        self._disposition = b""
        self._name: str | None = None  # of the present field, unless it is a file
        self._text = bytearray()
        self._room = _FIELDS
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._header = self._value = self._disposition = b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == "file":
            self._name = None
            self._sink.open(options.get(b"filename", b"").decode("utf-8", "replace"))
        elif self._name not in self._fields:
            raise Problem(
                "invalid",
                f"There is no form field {self._name[:_SHOWN]!r} here; the file is sent as 'file', "
                "and what else there is in the address.",
            )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            self._sink.write(data[start:end])
            return
        self._room -= end - start
        if self._room < 0:
            raise Problem("too-large", f"The other fields have at most {_FIELDS:,} bytes.")
        self._text += data[start:end]

    def _on_part(self) -> None:
        if self._name is None:
            self._sink.close()
        else:
            self._sink.received.fields[self._name] = self._text.decode("utf-8", "replace")
            self._text.clear()

    def _on_end(self) -> None:
        self.ended = True
