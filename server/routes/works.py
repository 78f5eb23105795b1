"""``/v1/works``: what is registered, and what is allowed with it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from server.auth import Caller, asking
from server.problems import Problem, documented
from server.schemas import WorkId
from server.schemas_registry import NewWork, WorkChanges, WorkDetails, WorkPage
from server.strict import StrictRoute
from watermark.errors import UnknownWork
from watermark.registry import Registry
from watermark.work import Work

__all__ = ["known_work", "router"]

router = APIRouter(prefix="/v1/works", tags=["works"], route_class=StrictRoute)
Named = Annotated[WorkId, Path(description="Id of a work.")]
Reading = Annotated[Caller, Depends(asking("works:read"))]
Writing = Annotated[Caller, Depends(asking("works:write"))]
_ERRORS = documented(401, 403, 422, 429, 503)
_MISSING = documented(404)


@router.get(
    "",
    summary="List works by title",
    response_model=None,
    responses={200: {"model": WorkPage, "description": "Some works."}, **_ERRORS, **_MISSING},
)
def index(
    request: Request,
    _: Reading,
    find: Annotated[
        str,
        Query(
            max_length=200,
            pattern=r"^[^\x00]*$",
            description="Only titles and rights holders with this text.",
        ),
    ] = "",
    after: Annotated[WorkId | None, Query(description="Start behind this work.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List works by title, a page at a time."""
    registry: Registry = request.app.state.registry
    if after:
        known_work(registry, after)
    found = list(registry.works(find=find, after=after or "", limit=limit + 1))
    more = found[limit - 1].id if len(found) > limit else None
    return JSONResponse({"works": [_row(each) for each in found[:limit]], "next": more})


@router.post(
    "",
    summary="Register a work",
    status_code=201,
    response_model=None,
    responses={
        201: {
            "model": WorkDetails,
            "description": "The work with its first mark.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The work."}},
        },
        **_ERRORS,
        **documented(400, 413),
    },
)
def add(request: Request, work: NewWork, _: Writing) -> Response:
    """Register a work and draw its first mark."""
    registry: Registry = request.app.state.registry
    made, _mark = registry.add_work(**work.model_dump())
    return JSONResponse(_details(registry, made), 201, {"Location": f"/v1/works/{made.id}"})


@router.get(
    "/{work}",
    summary="Show a work",
    response_model=None,
    responses={200: {"model": WorkDetails, "description": "The work."}, **_ERRORS, **_MISSING},
)
def show(request: Request, work: Named, _: Reading) -> Response:
    """Show a work with its marks, and how each was embedded."""
    registry: Registry = request.app.state.registry
    return JSONResponse(_details(registry, known_work(registry, work)))


@router.patch(
    "/{work}",
    summary="Change a work",
    response_model=None,
    responses={
        200: {"model": WorkDetails, "description": "The work as it is now."},
        **_ERRORS,
        **_MISSING,
        **documented(400, 413),
    },
)
def change(request: Request, work: Named, changes: WorkChanges, _: Writing) -> Response:
    """Change what is sent of a work, such as its permission; the rest stays."""
    registry: Registry = request.app.state.registry
    known = known_work(registry, work)
    given = changes.model_dump(exclude_unset=True)
    if given:
        known = registry.edit_work(work, **given)
    return JSONResponse(_details(registry, known))


def known_work(registry: Registry, work_id: str) -> Work:
    """Return the work with this id; titles, which the registry takes too, are no ids.

    Raises
    ------
    Problem
        404.
    """
    try:
        found = registry.work(work_id)
    except UnknownWork:
        found = None
    if found is None or found.id != work_id:
        raise Problem("not-found", "There is no such work.")
    return found


def _row(work: Work) -> dict[str, Any]:
    return {
        "work": work.id,
        "title": work.title,
        "rights_holder": work.rights_holder,
        "contact": work.contact,
        "url": work.url,
        "training": work.training,
        "terms": work.terms,
        "labels": dict(work.labels),
        "created_at": work.created_at,
        "updated_at": work.updated_at,
    }


def _details(registry: Registry, work: Work) -> dict[str, Any]:
    marks = [
        {
            "mark": str(each),
            "labels": dict(each.labels),
            "created_at": each.created_at,
            "embedded": [
                {"key": key, "profile": profile} for key, profile in registry.markings(each.number)
            ],
        }
        for each in registry.marks(work.id)
    ]
    return {**_row(work), "marks": marks}
