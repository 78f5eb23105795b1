"""The pages of staff: works and sightings, for whoever signed in and may read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from server.auth import Caller
from server.deciding import decided_anew, no_sighting
from server.problems import Problem
from server.rendering import page
from server.verdict import sighting_values
from watermark.sighting import Sighting

__all__ = ["Row", "known", "router", "rows", "stranger"]

router = APIRouter(include_in_schema=False)
_PAGE = 50  # rows
_AGAIN = {"same", "changed"}
_VERDICTS = ("detected", "indicated", "not-found", "inconclusive")


@dataclass(frozen=True, slots=True)
class Row:
    """A sighting in a list, with the titles of its works."""

    id: str
    at: str
    verdict: str
    sha256: str
    kind: str
    size: tuple[int, int]
    titles: tuple[str, ...]


def known(request: Request) -> Caller:
    """Say who asks, and let the page know it if they are known."""
    caller: Caller = request.app.state.auth.caller(request)
    request.state.caller = caller.id
    request.state.user = caller if caller.known else None
    return caller


def stranger(request: Request) -> Caller:
    """Return the caller as one who has shown nothing yet, to count their attempts."""
    caller: Caller = request.app.state.auth.caller(request)
    return Caller("anonymous", "", frozenset(), caller.address)


def rows(sightings: Iterable[Sighting]) -> list[Row]:
    """Return the rows of a list."""
    return [
        Row(
            each.id,
            each.at,
            each.verdict,
            each.sha256,
            each.kind,
            each.size,
            tuple(dict.fromkeys(w["title"] for w in each.record["works"] if w.get("title"))),
        )
        for each in sightings
    ]


@router.get("/works")
def works(request: Request, find: str = "", after: str = "") -> Response:
    """List works by title."""
    if turned := _turned_away(request):
        return turned
    found = list(request.app.state.registry.works(find=find, after=after, limit=_PAGE + 1))
    more = None
    if len(found) > _PAGE:
        found = found[:_PAGE]
        more = "/works?" + urlencode({"find": find, "after": found[-1].id})
    return page(request, "works.html", here="works", works=found, find=find, more=more)


@router.get("/works/{work_id}")
def work(request: Request, work_id: str) -> Response:
    """Show one work, its marks and where it was seen."""
    if turned := _turned_away(request):
        return turned
    state = request.app.state
    found = state.registry.work(work_id)
    if found.id != work_id:  # the registry also knows works by their titles
        return RedirectResponse(f"/works/{found.id}", 303)
    marks = state.registry.marks(work_id)
    seen = rows(state.sightings.list(work=work_id, limit=_PAGE))
    return page(request, "work.html", here="works", work=found, marks=marks, rows=seen)


@router.get("/sightings")
def sightings(request: Request, verdict: str = "", after: str = "") -> Response:
    """List what was examined, newest first."""
    if turned := _turned_away(request):
        return turned
    wanted = verdict if verdict in _VERDICTS else None
    found = request.app.state.sightings.list(verdict=wanted, after=after or None, limit=_PAGE + 1)
    more = None
    if len(found) > _PAGE:
        found = found[:_PAGE]
        more = "/sightings?" + urlencode({"verdict": wanted or "", "after": found[-1].id})
    told = rows(found)
    return page(request, "sightings.html", here="sightings", rows=told, verdict=wanted, more=more)


@router.get("/sightings/{sighting_id}")
def sighting(request: Request, sighting_id: str, again: str = "") -> Response:
    """Show what was told of one file; `again` is what a recheck of just now came to."""
    if turned := _turned_away(request):
        return turned
    found = request.app.state.sightings.get(sighting_id)
    if found is None:
        raise no_sighting()
    values = sighting_values(found, again=again if again in _AGAIN else None)
    return page(request, "sighting.html", here="sightings", **values)


@router.post("/sightings/{sighting_id}/recheck")
def recheck(request: Request, sighting_id: str, csrf: Annotated[str, Form()] = "") -> Response:
    """Decide anew on one file by the evidence that was kept of it."""
    if turned := _turned_away(request, "works:write"):
        return turned
    state = request.app.state
    state.auth.check_csrf(request, csrf)
    state.limiter.charge(request, known(request))
    before = state.sightings.get(sighting_id)
    (item,) = decided_anew(state, [(sighting_id, before)])
    if item["problem"] is not None:
        response: Response = state.problem_page(request, item["problem"])
        response.status_code = item["problem"]["status"]
        return response
    same = before.verdict == item["now"] and list(before.works) == item["works"]
    told = urlencode({"again": "same" if same else "changed"})
    return RedirectResponse(f"/sightings/{sighting_id}?{told}", 303)


def _turned_away(request: Request, scope: str = "works:read") -> Response | None:
    """Return where somebody is sent who may not do what `scope` stands for, or None."""
    caller = known(request)
    if caller.may(scope):
        return None
    if caller.known:
        raise Problem("forbidden", f"This token lacks the scope {scope}.")
    target = urlencode({"next": request.url.path.removesuffix("/recheck")})
    return RedirectResponse(f"/sign-in?{target}", 303)
