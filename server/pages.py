"""The page: a person gives a file and sees whose it is, and staff see works and sightings.

Every page is made here, of one template for whoever has scripts and whoever has none; a script
adds what only a script can (see ``pages/static/page.js``).
A form carries a token of its session along, so that no other site can send it.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from server import staff
from server.answers import coarse
from server.auth import COOKIE, SESSION, Caller
from server.bodies import receive
from server.examining import look_at
from server.problems import Problem
from server.rendering import STATIC, page, secured
from server.routes.jobs import cancel_job
from server.told import bytes_told
from server.verdict import verdict_values
from watermark.jobs import Job

__all__ = ["problem_page", "router"]

router = APIRouter(include_in_schema=False)
router.include_router(staff.router)

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"} | {
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}
_FILES = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES}
_YEAR = 365 * 86400  # seconds
_RECENT = 5
_FORM = ("csrf", "search", "all")  # fields beside the file
_TITLED = {"form"}  # kinds of problems with a title of their own


@router.get("/")
def check(request: Request) -> Response:
    """Ask for a file."""
    caller = staff.known(request)
    if not caller.known and request.app.state.settings.anonymous == "none":
        return RedirectResponse("/sign-in", 303)
    rows = None
    if caller.may("works:read"):
        rows = staff.rows(request.app.state.sightings.list(limit=_RECENT))
    return page(request, "check.html", here="check", recent=rows, **_form_values(request, caller))


@router.post("/")
async def give(request: Request) -> Response:
    """Look at the file of the form."""
    state = request.app.state
    caller = await to_thread.run_sync(staff.known, request)
    if not caller.may("detect") and (caller.known or state.settings.anonymous == "none"):
        raise Problem("forbidden" if caller.known else "sign-in", "This token is not for files.")
    await to_thread.run_sync(state.limiter.charge, request, caller)
    received = await receive(request, state.spool, state.settings, fields=_FORM)
    fields = received.fields
    if caller.known:
        try:
            state.auth.check_csrf(request, fields.get("csrf", ""))
        except Problem:
            received.remove(state.spool)
            raise
    request.state.file = name = getattr(received.files[0], "name", "")
    fast = fields.get("search") == "fast"
    answer = await look_at(
        request,
        caller,
        received,
        search="fast" if fast else "full",
        all_frames=fields.get("all") == "1",
        overlay=True,
    )
    if isinstance(answer, Job):
        return RedirectResponse(f"/jobs/{answer.id}", 303)
    return await to_thread.run_sync(partial(_result, request, caller, answer, name, fast=fast))


@router.get("/jobs/{job_id}")
def job(request: Request, job_id: str) -> Response:
    """Show how far a film is and, in the end, what was found."""
    caller = staff.known(request)
    found = _mine(request, caller, job_id)
    request.state.file = name = found.options.get("name", "")
    if found.result is not None:
        answer = found.result if caller.known else coarse(found.result)
        fast = found.options.get("search") == "fast"
        return _result(request, caller, answer, name, fast=fast)
    if found.problem is not None:
        return problem_page(request, found.problem)
    if found.state == "cancelled":
        return page(request, "problem.html", here="check", title="job.cancelled")
    return page(request, "job.html", here="check", job=found, name=name)


@router.post("/jobs/{job_id}/cancel")
def cancel(request: Request, job_id: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Cancel a film that is being looked at."""
    caller = staff.known(request)
    if caller.known:
        request.app.state.auth.check_csrf(request, csrf)
    job = _mine(request, caller, job_id)
    if not job.ended:
        cancel_job(request.app.state, job)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.get("/sign-in")
def sign_in_form(request: Request, token: str = "", next: str = "/") -> Response:  # noqa: A002
    """Ask for a token; the link that is printed at the start carries one along."""
    staff.known(request)
    if token:
        return _signed_in(request, token, next, by_link=True)
    return page(request, "sign_in.html", here="sign-in", next=_ours(next))


@router.post("/sign-in")
def sign_in(
    request: Request,
    token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - its name in the address
) -> Response:
    """Begin a session with a token."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Problem("form", "It was sent by another site; sign in on this one.")
    return _signed_in(request, token, next)


@router.post("/sign-out")
def sign_out(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """End the session."""
    request.app.state.auth.check_csrf(request, csrf)
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/static/{name}")
def static(request: Request, name: str) -> Response:
    """Return a file of the page; under its versioned address it never changes."""
    path = _FILES.get(name)
    if path is None:
        raise Problem("not-found", "There is no such file.")
    response = FileResponse(path, media_type=_TYPES[path.suffix])
    secured(response)
    age = _YEAR if request.query_params.get("v") or path.suffix == ".woff2" else 3600
    response.headers["Cache-Control"] = f"public, max-age={age}"
    return response


def problem_page(request: Request, document: dict[str, Any]) -> Response:
    """Return a problem as a page, for people."""
    if getattr(request.state, "user", None) is None:
        with suppress(Exception):  # whatever is wrong, the page says what was wrong before
            staff.known(request)
    return page(
        request,
        "problem.html",
        title=_title(document),
        name=getattr(request.state, "file", None),
        detail=document.get("detail"),
        instance=str(document.get("instance", "")).removeprefix("urn:uuid:"),
    )


def _title(document: dict[str, Any]) -> str:
    """Return the name of the message over a problem: one of its kind, or of its status."""
    code = str(document["type"]).rpartition(":")[2]
    return f"error.{code}" if code in _TITLED else f"error.{document['status']}"


def _result(
    request: Request, caller: Caller, answer: dict[str, Any], name: str, *, fast: bool
) -> Response:
    values = verdict_values(answer, answer["examined"]["kind"], name=name) | {"fast": fast}
    return page(request, "result.html", here="check", **_form_values(request, caller), **values)


def _form_values(request: Request, caller: Caller) -> dict[str, Any]:
    """Return what the form for a file says: what may be sent, and what is kept of it."""
    settings, answers = request.app.state.settings, request.app.state.answers
    kept = "result" if answers.keeps(caller.id) else "nothing"
    return {
        "limits": {
            "image": bytes_told(settings.max_image),
            "film": bytes_told(settings.max_upload),
        },
        "kept": "kept.evidence" if answers.wants_evidence(caller.id) else f"kept.{kept}",
    }


def _mine(request: Request, caller: Caller, job_id: str) -> Job:
    found: Job | None = request.app.state.jobs.get(job_id)
    if found is None or not (found.by == caller.id or caller.may("admin")):
        raise Problem("not-found", "There is no such job; it may be too long ago.")
    return found


def _signed_in(request: Request, secret: str, target: str, *, by_link: bool = False) -> Response:
    state = request.app.state
    state.limiter.spend(staff.stranger(request))
    cookie = state.auth.sign_in(secret.strip(), by_link=by_link)
    if cookie is None:
        message = "sign_in.link" if by_link else "sign_in.wrong"
        values = {"next": _ours(target), "message": message}
        return page(request, "sign_in.html", status=401, here="sign-in", **values)
    response = RedirectResponse(_ours(target), 303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, cookie, max_age=SESSION, httponly=True, samesite="strict", secure=secure
    )
    return response


def _ours(target: str) -> str:
    """Return an address of this service, whatever was asked for."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if plain and target.isprintable() else "/"
