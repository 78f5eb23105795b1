"""``/v1/sightings``: what was detected, when, in which file, and for whom."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor

from server.auth import Caller, asking
from server.deciding import decided_anew, no_sighting, undecided
from server.engine import Broken, Busy
from server.problems import documented, problem_of
from server.schemas import Sha256, Verdict, WorkId
from server.schemas_registry import (
    Moment,
    Recheck,
    Rechecked,
    SightingDetails,
    SightingId,
    SightingPage,
)
from server.strict import StrictRoute
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
router = APIRouter(prefix="/v1/sightings", tags=["sightings"], route_class=StrictRoute)
Reading = Annotated[Caller, Depends(asking("works:read"))]
Writing = Annotated[Caller, Depends(asking("works:write"))]
_ERRORS = documented(401, 403, 422, 429, 503)
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
        raise no_sighting()
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
            results += decided_anew(request.app.state, some)
        except (Busy, Broken) as error:
            if not results:
                raise
            # What was decided before has been stored and is told.
            problem = problem_of(error)
            results += [undecided(name, each) | {"problem": problem} for name, each in some]
    return JSONResponse({"results": results, "next": more})


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
