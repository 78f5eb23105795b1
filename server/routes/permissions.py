"""``/v1/permissions``: may this be used, asked by mark, by work, or by the hash of a file.

``unknown`` is an answer and is to be read as no.
Answers carry an ETag: whoever asks the same again and sends it in If-None-Match is told in one line
that nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi import Query as Parameter

from server.answers import strictest
from server.auth import Caller, asking
from server.problems import Problem, documented
from server.routes.works import known_work
from server.schemas import LOOKUPS, Lookup, MarkNumber, Permissions, Query, Sha256, WorkId
from server.strict import StrictRoute
from watermark.registry import Registry
from watermark.sightings import Sightings
from watermark.work import Work, parse_mark

__all__ = ["router"]

router = APIRouter(prefix="/v1/permissions", tags=["permissions"], route_class=StrictRoute)
Asking = Annotated[Caller, Depends(asking("detect"))]
Known = Annotated[str, Header(alias="If-None-Match", description="ETag of an earlier answer.")]
_MAX_AGE = 60  # seconds for which an answer may be kept without asking again
_TAG = {"ETag": {"schema": {"type": "string"}, "description": "Changes when an answer does."}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Permissions, "description": "The answers, in order.", "headers": _TAG},
    304: {"description": "Nothing has changed since the answer with this ETag.", "headers": _TAG},
    **documented(401, 403, 422, 429, 503),
}


@router.post(
    "/lookup",
    summary="Look up many permissions",
    response_model=None,
    responses=_ANSWERS | documented(400, 413),
)
def lookup(request: Request, asked: Lookup, _: Asking, etag: Known = "") -> Response:
    """Say what may be done with marks, works and files that were seen before.

    Silence means no: 'unknown' is answered for whatever nothing is known of.
    """
    return _answered(request, asked.queries, etag)


@router.get("", summary="Look up permissions, cacheable", response_model=None, responses=_ANSWERS)
def lookup_by_address(
    request: Request,
    _: Asking,
    mark: Annotated[list[MarkNumber], Parameter(max_length=20)] = [],  # noqa: B006 - never changed
    sha256: Annotated[list[Sha256], Parameter(max_length=20)] = [],  # noqa: B006
    work: Annotated[list[WorkId], Parameter(max_length=20)] = [],  # noqa: B006
    etag: Known = "",
) -> Response:
    """Say the same for a few things that are named in the address, so that caches keep it."""
    asked = {"mark": mark, "sha256": sha256, "work": work}
    queries = [Query(**{name: each}) for name, values in asked.items() for each in values]
    if not queries:
        raise Problem("invalid", "Name a mark, a sha256 or a work, or several of them.")
    return _answered(request, queries, etag)


def _answered(request: Request, queries: list[Query], etag: str) -> Response:
    assert len(queries) <= LOOKUPS
    asked = [each.model_dump(exclude_unset=True) for each in queries]
    state = request.app.state
    results = _Permissions(state.registry, state.sightings, asked).answers()
    body = json.dumps({"results": results}, ensure_ascii=False, separators=(",", ":")).encode()
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {
        "ETag": tag,
        "Cache-Control": f"private, max-age={_MAX_AGE}",
        "Vary": "Authorization, Cookie",
    }
    known = {each.strip().removeprefix("W/") for each in etag.split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


class _Permissions:
    """The answers to some questions, with as few queries as they need."""

    def __init__(
        self, registry: Registry, sightings: Sightings, asked: list[dict[str, str]]
    ) -> None:
        self._registry, self._asked = registry, asked
        self._marks = registry.lookup(parse_mark(each["mark"]) for each in asked if "mark" in each)
        self._seen = sightings.latest(each["sha256"] for each in asked if "sha256" in each)
        self._works: dict[str, Work | None] = {}

    def answers(self) -> list[dict[str, Any]]:
        """Return the answers in the order of the questions."""
        return [self._answer(each) for each in self._asked]

    def _answer(self, query: dict[str, str]) -> dict[str, Any]:
        seen_at = None
        works: Iterable[Work | None] = ()
        if "mark" in query:
            entry = self._marks.get(parse_mark(query["mark"]))
            works = [] if entry is None else [entry[0]]
        elif "work" in query:
            works = [self._work(query["work"])]
        elif (seen := self._seen.get(query["sha256"])) is not None:
            seen_at = seen.at
            works = [self._work(each["work"]) for each in seen.record["works"]]
        told = [_told(each) for each in works]
        named = [each for each in told if each["work"] is not None]
        return {
            "query": query,
            "permission": strictest(each["permission"] for each in told),
            "works": named,
            "seen_at": seen_at,
        }

    def _work(self, work_id: str | None) -> Work | None:
        if work_id is None:
            return None
        if work_id not in self._works:
            try:
                self._works[work_id] = known_work(self._registry, work_id)
            except Problem:
                self._works[work_id] = None
        return self._works[work_id]


def _told(work: Work | None) -> dict[str, Any]:
    """Return what is told of a work; of a mark that names none, that nothing is known."""
    return {
        "work": work.id if work else None,
        "title": work.title if work else None,
        "rights_holder": work.rights_holder if work else None,
        "training": work.training if work else None,
        "terms": work.terms if work else None,
        "permission": work.training if work else "unknown",
    }
