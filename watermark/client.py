"""A client of the detect service: files in, answers out, waiting included.

It sends a file as it is, follows large films until they are done, and comes again when it is told
to.  Answers are what the service says, as dictionaries; see ``/docs`` there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from watermark.errors import ServiceError

if TYPE_CHECKING:
    import httpx

__all__ = ["Client"]

_PATIENCE = 600.0  # seconds, unless said otherwise
_LATER = {429, 503}
_POLL = (0.2, 5.0)  # seconds between two questions about a job, at first and at last

AnyPath = str | os.PathLike[str]


class Client(AbstractContextManager["Client"]):
    """A connection to a detect service; a context manager.

    Parameters
    ----------
    address : str
        Such as ``http://127.0.0.1:8000``.
    token : str, optional
        From ``sukashi token new``.  Without one the answers are coarse.
    patience : float
        Seconds to wait for an answer, in all.

    Raises
    ------
    ImportError
        If httpx is not installed: ``pip install 'sukashi[client]'``.
    """

    def __init__(
        self, address: str, token: str | None = None, *, patience: float = _PATIENCE
    ) -> None:
        try:
            import httpx  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ImportError("the client needs httpx; pip install 'sukashi[client]'") from error
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=patience)
        self._failure = httpx.HTTPError
        self._patience = patience

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def detect(
        self, file: AnyPath, *, search: Literal["fast", "full"] = "full", all_frames: bool = False
    ) -> dict[str, Any]:
        """Say whether a picture or film carries a mark, and whether it may be used.

        Parameters
        ----------
        file : path
        search : str
            ``fast`` looks at the whole frame, ``full`` for any crop, scale and perspective.
        all_frames : bool
            Whether a film is read to its end, for every work and its times.

        Raises
        ------
        ServiceError
            If it is refused; the message says why.
        OSError
            If the file cannot be read.
        """
        params = {"search": search, "all": all_frames}
        with Path(file).open("rb") as content:
            answer = self._ask("POST", "/v1/detect", params=params, content=content)
        if answer.status_code != 202:
            return dict(answer.json())
        return self._followed(answer.headers["Location"])

    def detect_many(
        self, files: Iterable[AnyPath], *, search: Literal["fast", "full"] = "full"
    ) -> list[dict[str, Any]]:
        """Look at up to 64 pictures: ``result`` or ``problem`` of each, in their order."""
        with ExitStack() as stack:
            sent = [("file", stack.enter_context(Path(each).open("rb"))) for each in files]
            answer = self._ask("POST", "/v1/detect/batch", params={"search": search}, files=sent)
        return list(answer.json()["results"])

    def permissions(self, queries: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Look up permissions by ``mark``, ``sha256`` or ``work``, in their order.

        ``unknown`` is to be read as no.
        """
        asked = {"queries": [dict(each) for each in queries]}
        return list(self._ask("POST", "/v1/permissions/lookup", json=asked).json()["results"])

    def _followed(self, where: str) -> dict[str, Any]:
        """Ask for a job until it has ended."""
        end = time.monotonic() + self._patience
        pause, longest = _POLL
        while time.monotonic() < end:
            job = self._ask("GET", where).json()
            if job["state"] == "done":
                return dict(job["result"])
            if job["state"] in {"failed", "cancelled"}:
                problem = job["problem"] or {"detail": "The job was cancelled."}
                raise ServiceError(problem["detail"])
            time.sleep(pause)
            pause = min(longest, 1.5 * pause)
        raise ServiceError(f"{where} is not done after {self._patience:g} s; ask for it later")

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, again where the service says to come later."""
        end = time.monotonic() + self._patience
        while True:
            try:
                answer = self._http.request(method, path, **options)
            except self._failure as error:
                raise ServiceError(f"{self._http.base_url}: {error}; is it running?") from error
            if answer.is_success:
                return answer
            pause = float(answer.headers.get("Retry-After", "1"))
            if answer.status_code not in _LATER or time.monotonic() + pause > end:
                raise ServiceError(_told(answer))
            time.sleep(pause)
            for each in _contents(options):
                each.seek(0)


def _contents(options: Mapping[str, Any]) -> list[Any]:
    """Return the files of a request, which are read from the start when it is sent again."""
    return [
        *([options["content"]] if "content" in options else []),
        *(file for _, file in options.get("files", ())),
    ]


def _told(answer: httpx.Response) -> str:
    """Return why a request was refused."""
    if answer.headers.get("Content-Type") == "application/problem+json":
        return str(answer.json()["detail"])
    return f"the service answered {answer.status_code}"
