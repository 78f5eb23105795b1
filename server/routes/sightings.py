"""``/v1/sightings``: what was detected, when, in which file, and for whom."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor

from server.auth import Caller, asking
from server.engine import Broken, Busy
from server.problems import Problem, documented, problem_of
from server.schemas import Sha256, Verdict, WorkId
from server.schemas_registry import (
    Moment,
    Recheck,
    Rechecked,
    SightingDetails,
    SightingId,
    SightingPage,
)
from watermark.errors import WatermarkError
from watermark.sightings import Sighting, Sightings
from watermark.work import format_mark

__all__ = ["router"]


class _Named(Convertor[str]):
    """The id of a sighting in an address; anything else there is another address."""

    regex = "s-[0-9a-z]{1,40}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("sighting", _Named())
router = APIRouter(prefix="/v1/sightings", tags=["sightings"])
Reading = Annotated[Caller, Depends(asking("works:read"))]
Writing = Annotated[Caller, Depends(asking("works:write"))]
_ERRORS = documented(401, 403, 422, 429, 503)
_STRENGTH = ("not-found", "inconclusive", "indicated", "detected")
_CHUNK = 16  # sightings that are decided on at a time


@router.get(
    "",
    summary="List sightings, newest first",
    response_model=None,
    responses={200: {"model": SightingPage, "description": "Some sightings."}, **_ERRORS},
)
def index(
    request: Request,
    _: Reading,
    *,
    work: Annotated[WorkId | None, Query(description="Only those of this work.")] = None,
    sha256: Annotated[Sha256 | None, Query(description="Only those of this file.")] = None,
    verdict: Annotated[Verdict | None, Query()] = None,
    since: Annotated[Moment | None, Query(description="This time or later.")] = None,
    after: Annotated[SightingId | None, Query(description="Start behind this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List what was seen, a page at a time."""
    found = request.app.state.sightings.list(
        work=work, sha256=sha256, verdict=verdict, since=since, after=after, limit=limit + 1
    )
    more = found[limit - 1].id if len(found) > limit else None
    return JSONResponse({"sightings": [_row(each) for each in found[:limit]], "next": more})


@router.get(
    "/{sighting:sighting}",
    summary="Show a sighting",
    response_model=None,
    responses={
        200: {"model": SightingDetails, "description": "The sighting."},
        **_ERRORS,
        **documented(404),
    },
)
def show(request: Request, sighting: Annotated[SightingId, Path()], _: Reading) -> Response:
    """Show all that was told of a file, now and by earlier looks."""
    sightings: Sightings = request.app.state.sightings
    found = sightings.get(sighting)
    if found is None:
        raise _unknown()
    history = list(sightings.history(sighting))
    return JSONResponse({**_row(found), "record": found.record, "history": history})


@router.post(
    "/recheck",
    summary="Decide old evidence anew",
    response_model=None,
    responses={
        200: {"model": Rechecked, "description": "What was said before and now."},
        **_ERRORS,
        **documented(400, 413),
    },
)
def recheck(request: Request, asked: Recheck, _: Writing) -> Response:
    """Decide anew on sightings whose evidence was kept, for works and keys added since.

    The files are not needed. Each further look is charged, so that looking often finds nothing by
    chance. A page of the newest is taken unless they are named; go on with `next`.
    """
    sightings: Sightings = request.app.state.sightings
    more = None
    if asked.sightings is not None:
        chosen = [(each, sightings.get(each)) for each in dict.fromkeys(asked.sightings)]
    else:
        page = sightings.list(since=asked.since, after=asked.after, limit=asked.limit + 1)
        more = page[asked.limit - 1].id if len(page) > asked.limit else None
        chosen = [(each.id, each) for each in page[: asked.limit] if each.evidence]
    results: list[dict[str, Any]] = []
    for start in range(0, len(chosen), _CHUNK):
        some = chosen[start : start + _CHUNK]
        try:
            results += _decided(request, some)
        except (Busy, Broken) as error:
            if not results:
                raise
            # What was decided before has been stored and is told.
            problem = problem_of(error)
            results += [_item(name, each) | {"problem": problem} for name, each in some]
    return JSONResponse({"results": results, "next": more})


def _decided(request: Request, chosen: list[tuple[str, Sighting | None]]) -> list[dict[str, Any]]:
    """Decide anew on a few sightings, and store what is said now."""
    sightings: Sightings = request.app.state.sightings
    kept = {
        each.id: (each, blob)
        for _, each in chosen
        if each is not None and (blob := sightings.evidence(each.id)) is not None
    }
    items = [(name, blob, each.looks, each.size) for name, (each, blob) in kept.items()]
    again = request.app.state.engine.recheck(items) if items else []
    told = dict(zip(kept, again, strict=True))
    return [_stored(sightings, name, each, told.get(name)) for name, each in chosen]


def _item(name: str, before: Sighting | None) -> dict[str, Any]:
    return {
        "sighting": name,
        "before": before.verdict if before else None,
        "now": None,
        "works": [],
        "looks": before.looks if before else None,
        "problem": None,
    }


def _stored(
    sightings: Sightings,
    name: str,
    before: Sighting | None,
    told: dict[str, Any] | WatermarkError | None,
) -> dict[str, Any]:
    """Store what is told now, and return what is said of it."""
    item = _item(name, before)
    if before is None:
        return item | {"problem": _unknown().document()}
    if told is None:
        refused = Problem("invalid", "No evidence was kept of this sighting.")
        return item | {"problem": refused.document()}
    if isinstance(told, Exception):
        return item | {"problem": problem_of(told)}
    now = sightings.looked_again(name, _better(before, told), look=before.looks + 1)
    if now is None:
        raced = Problem("ended", "Somebody else decided it anew at the same time; ask again.")
        return item | {"problem": raced.document()}
    return item | {"now": now.verdict, "works": list(now.works), "looks": now.looks}


def _better(before: Sighting, told: dict[str, Any]) -> dict[str, Any]:
    """Return what is told from now on.

    What was found in the file itself is not undone by what is left of it: a weaker verdict, or one
    that names less, changes nothing.
    """
    named = {each["work"] for each in told["works"]}
    weaker = _STRENGTH.index(told["verdict"]) < _STRENGTH.index(before.verdict)
    if weaker or not named.issuperset(before.works):
        return before.record
    return before.record | told  # times of a film stay as they were


def _row(each: Sighting) -> dict[str, Any]:
    return {
        "sighting": each.id,
        "at": each.at,
        "sha256": each.sha256,
        "kind": each.kind,
        "size": list(each.size),
        "verdict": each.verdict,
        "log10_p": each.log10_p,
        "marks": [format_mark(number) for number in each.marks],
        "works": list(each.works),
        "by": each.by,
        "looks": each.looks,
        "evidence": each.evidence,
    }


def _unknown() -> Problem:
    return Problem("not-found", "There is no such sighting.")
