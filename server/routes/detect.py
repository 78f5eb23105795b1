"""``POST /v1/detect`` and ``/v1/detect/batch``: may this be used, whose is it, how sure is that."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from server.auth import Caller, asking
from server.examining import Search, examine, examine_many
from server.problems import documented
from server.routes.jobs import job_row
from server.schemas import Batch, CoarseDetection, Detection, JobStatus
from server.settings import BATCH
from server.strict import StrictRoute
from watermark.jobs import Job

__all__ = ["router"]

router = APIRouter(prefix="/v1/detect", tags=["detect"], route_class=StrictRoute)
_ERRORS = documented(400, 401, 403, 408, 413, 415, 422, 429, 503)
_FILE = {"type": "string", "format": "binary"}
_RAW = {"schema": _FILE}


def _form(file: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": file},
        "additionalProperties": False,
    }
    return {"schema": schema, "encoding": {"file": {"contentType": "image/*, video/*"}}}


@router.post(
    "",
    summary="Look at one picture or film",
    response_model=None,
    responses={
        200: {"model": Detection | CoarseDetection, "description": "What was found."},
        202: {
            "model": JobStatus,
            "description": "The file became a job.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The job."}},
            "links": {
                name: {"operationId": f"{name}_job", "parameters": {"job": "$response.body#/job"}}
                for name in ("show", "cancel")
            },
        },
        **_ERRORS,
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The file as it is, or in the form field 'file'.",
            "content": {
                "multipart/form-data": _form(_FILE),
                "application/octet-stream": _RAW,
                "image/*": _RAW,
                "video/*": _RAW,
            },
        }
    },
)
async def detect(
    request: Request,
    caller: Annotated[Caller, Depends(asking("detect"))],
    *,
    search: Annotated[
        Search,
        Query(description="How far to look: the whole frame, or any crop, scale and perspective."),
    ] = "full",
    all_frames: Annotated[
        bool, Query(alias="all", description="Films: read all, for every work and its times.")
    ] = False,
    overlay: Annotated[
        bool, Query(description="Draw where the marks of a picture are; with a token only.")
    ] = False,
    prefer: Annotated[
        str, Header(description="'respond-async' makes a job of any file (RFC 7240).")
    ] = "",
) -> JSONResponse:
    """Say whether a picture or film carries a mark, whose it is, and whether it may be used.

    Large films become jobs: the answer is 202, and its Location tells how far it is.
    """
    told = await examine(
        request,
        caller,
        search=search,
        all_frames=all_frames,
        overlay=overlay,
        later="respond-async" in prefer.lower(),
    )
    if isinstance(told, Job):
        headers = {"Location": f"/v1/jobs/{told.id}", "Retry-After": "1"}
        return JSONResponse(job_row(told, caller), 202, headers)
    return JSONResponse(told)


@router.post(
    "/batch",
    summary=f"Look at up to {BATCH} pictures",
    response_model=None,
    responses={200: {"model": Batch, "description": "The answers, in order."}, **_ERRORS},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": _form({"type": "array", "items": _FILE})},
        }
    },
)
async def detect_batch(
    request: Request,
    caller: Annotated[Caller, Depends(asking("detect", cost=0))],
    *,
    search: Annotated[Search, Query()] = "full",
) -> JSONResponse:
    """Look at pictures, each in a form field 'file'; a bad one does not spoil the rest."""
    return JSONResponse({"results": await examine_many(request, caller, search=search)})
