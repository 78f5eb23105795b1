"""Errors as problem documents (RFC 9457): one shape for whatever goes wrong.

What is told is for the one who asked: no path of this machine, no registry's address and no value
that was sent comes back in it.  The rest is in the log under the same request id.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from server.engine import Broken, Busy, Cancelled
from watermark.errors import (
    InvalidWork,
    MediaTooLarge,
    RegistryBusy,
    RegistryError,
    UnknownWork,
    UnreadableMedia,
    UnsupportedMedia,
    WatermarkError,
)

if TYPE_CHECKING:
    from server.spool import Upload

__all__ = [
    "MEDIA_TYPE",
    "Problem",
    "documented",
    "install",
    "problem_from",
    "problem_of",
    "respond",
]

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("sukashi.problems")
# Code, which is the end of the type's URI, with its status and title.
_KINDS = {
    "malformed": (400, "The request cannot be read"),
    "sign-in": (401, "A token is needed"),
    "forbidden": (403, "This token may not do that"),
    "form": (403, "This form is not taken"),
    "not-found": (404, "There is no such thing here"),
    "method": (405, "This cannot be done here"),
    "too-slow": (408, "The upload came too slowly"),
    "ended": (409, "It has ended already"),
    "too-large": (413, "The upload is too large"),
    "unsupported": (415, "This kind of file is not taken"),
    "invalid": (422, "The request cannot be used"),
    "unreadable": (422, "The file cannot be read"),
    "broke-down": (422, "Reading the file broke down"),
    "too-many": (429, "Too many requests"),
    "fault": (500, "Something is wrong here"),
    "busy": (503, "The service is busy"),
    "registry": (503, "The registry cannot be asked"),
    "spool": (503, "Uploads cannot be received"),
}
# The first of each status.
_OF_STATUS = {status: code for code, (status, _) in reversed(_KINDS.items())}
_FIELDS = 20  # of a request that are named in a problem, at most
_OPTION = re.compile(r"; [^;]*--[a-z].*$")  # a cure that only the command line has


class Problem(Exception):
    """What went wrong, as it is told.

    Parameters
    ----------
    code : str
        A key of the table above.
    detail : str
        One sentence with what to do about it.
    headers : mapping, optional
        Sent along.
    more : mapping, optional
        Further members of the document.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.status, self.title = _KINDS[code]
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    @classmethod
    def wait(cls, code: str, detail: str, seconds: float) -> Problem:
        """Make a problem that is over after some seconds."""
        return cls(code, detail, headers={"Retry-After": str(max(1, round(seconds)))})

    def document(self, instance: str | None = None) -> dict[str, Any]:
        """Return the members of the problem document; `instance` is the request's id."""
        return {
            "type": f"urn:sukashi:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **({"instance": instance} if instance else {}),
            **self.more,
        }


def problem_from(error: Exception, upload: Upload | None = None) -> Problem:
    """Return what is told of an error; `upload` is the file that it is about, if there is one."""
    match error:
        case Problem():
            return error
        case Busy():
            return Problem.wait("busy", "All workers are busy; try again.", error.retry_after)
        case Broken():
            return Problem("broke-down", _told(error, upload))
        case Cancelled():
            return Problem("malformed", "Nobody waited for the answer.")
        case MediaTooLarge():
            return Problem("too-large", _told(error, upload))
        case UnsupportedMedia():
            return Problem("unsupported", _told(error, upload))
        case UnreadableMedia():
            return Problem("unreadable", _told(error, upload))
        case UnknownWork():
            return Problem("not-found", "There is no such work.")
        case InvalidWork():
            return Problem("invalid", _told(error, upload))
        case RegistryBusy():
            return Problem.wait("registry", "The registry is being written; try again.", 2)
        case RegistryError():
            _LOG.error("registry", exc_info=error)
            return Problem.wait("registry", "The registry cannot be asked now; try later.", 30)
        case WatermarkError():
            return Problem("unreadable", _told(error, upload))
        case _:
            _LOG.error("fault", exc_info=error)
            return Problem("fault", "This is a fault of the service and was noted.")


def problem_of(error: Exception, upload: Upload | None = None) -> dict[str, Any]:
    """Return the problem document of an error."""
    return problem_from(error, upload).document()


def _told(error: Exception, upload: Upload | None) -> str:
    """Return the sentence of an error, without the place of the upload on this machine."""
    text = str(error)
    if upload is not None:
        text = text.replace(str(upload.path), "the upload").replace(upload.path.name, "the upload")
    text = _OPTION.sub("; send a smaller one", text.removeprefix("the upload: ").strip())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def install(app: FastAPI) -> None:
    """Let every error of `app` be answered with a problem document."""
    for kind in (Problem, WatermarkError, Busy, Broken, Cancelled):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _answer(request: Request, error: Exception) -> Response:
    problem = problem_from(error)
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        request.app.state.limiter.give_back(request)
    return respond(request, problem)


def respond(request: Request, problem: Problem) -> Response:
    """Return a problem as the answer to a request: as a page where a person asks for one."""
    identity = getattr(request.state, "id", None)
    document = problem.document(f"urn:uuid:{identity}" if identity else None)
    if _is_person(request):
        response: Response = request.app.state.problem_page(request, document)
        response.status_code = problem.status
        response.headers.update(problem.headers)
        return response
    return JSONResponse(document, problem.status, problem.headers, MEDIA_TYPE)


def _is_person(request: Request) -> bool:
    machine = request.url.path.startswith(("/v1/", "/metrics", "/healthz", "/readyz", "/openapi"))
    return not machine and "text/html" in request.headers.get("accept", "")


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"where": ".".join(map(str, each["loc"])), "what": each["msg"]}
        for each in error.errors()[:_FIELDS]
    ]
    code = "malformed" if any(e["type"] == "json_invalid" for e in error.errors()) else "invalid"
    first = found[0] if found else {"where": "the request", "what": "cannot be used"}
    detail = f"{first['where']}: {first['what']}."
    return respond(request, Problem(code, detail, more={"errors": found}))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _OF_STATUS.get(error.status_code, "malformed")
    headers = dict(error.headers or {})
    if code == "method":
        allowed = ", ".join(sorted(_methods(request)))
        headers["Allow"] = allowed or headers.get("Allow", "")
        detail = f"At this address there is only {headers['Allow']}."
    elif code == "not-found":
        detail = "Nothing is at this address; /docs lists what there is."
    else:
        detail = f"{HTTPStatus(error.status_code).phrase}."
    return respond(request, Problem(code, detail, headers=headers))


def _methods(request: Request) -> set[str]:
    """Return what can be done at an address, which the framework tells of one route only."""
    scope = dict(request.scope)
    paths: dict[str, set[str]] = {}
    for route in request.app.state.addresses:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            methods = set(route.methods or ())
            paths.setdefault(route.path, set()).update(
                methods, {"HEAD"} if "GET" in methods else ()
            )
    # An address that is spelled out goes before one with a name in it.
    return next((paths[each] for each in sorted(paths, key=lambda path: "{" in path)), set())


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the entries of an OpenAPI operation for the problems it may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wait = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    entries: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        entry: dict[str, Any] = {"description": _KINDS[_OF_STATUS[status]][1], "content": content}
        if status in {429, 503}:
            entry["headers"] = wait
        entries[status] = entry
    return entries
