"""``/v1/jobs``: files that take longer than one request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from server.answers import coarse
from server.auth import Caller, asking
from server.problems import Problem, documented
from server.schemas import JobStatus
from server.strict import StrictRoute
from watermark.jobs import Job

__all__ = ["cancel_job", "job_row", "router"]

router = APIRouter(prefix="/v1/jobs", tags=["detect"], route_class=StrictRoute)
JobId = Annotated[str, Path(pattern=r"^j-[0-9a-z]{1,40}$")]
# Asking how far it is costs nothing; its id cannot be guessed.
Asking = Annotated[Caller, Depends(asking("detect", cost=0))]
_ERRORS = documented(401, 403, 404, 422, 429, 503)


def job_row(job: Job, caller: Caller) -> dict[str, Any]:
    """Return what a caller is told of a job."""
    result = job.result
    if result is not None and not caller.known:
        result = coarse(result)
    return {
        "job": job.id,
        "state": job.state,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "progress": job.progress,
        "text": job.text,
        "result": result,
        "problem": job.problem,
    }


@router.get(
    "/{job}",
    summary="Ask how far a job is",
    operation_id="show_job",
    response_model=None,
    responses={200: {"model": JobStatus, "description": "How far it is."}, **_ERRORS},
)
def show(request: Request, job: JobId, caller: Asking) -> Response:
    """Say how far a job is and, once it is done, what was found."""
    return JSONResponse(job_row(_mine(request, job, caller), caller))


@router.delete(
    "/{job}",
    summary="Cancel a job",
    operation_id="cancel_job",
    response_model=None,
    responses={
        200: {"model": JobStatus, "description": "As it is now."},
        **_ERRORS,
        **documented(409),
    },
)
def cancel(request: Request, job: JobId, caller: Asking) -> Response:
    """Cancel a job; one that has ended stays as it is, which is a 409."""
    found = _mine(request, job, caller)
    if found.ended:
        raise Problem("ended", "This job has ended already.")
    cancelled = cancel_job(request.app.state, found)
    if cancelled is None:
        raise _unknown()
    return JSONResponse(job_row(cancelled, caller))


def cancel_job(state: Any, job: Job) -> Job | None:
    """Cancel a job; the upload of one that nobody had begun goes at once."""
    cancelled: Job | None = state.jobs.cancel(job.id)
    if job.state == "queued":
        state.spool.remove(job.upload)
    return cancelled


def _mine(request: Request, job_id: str, caller: Caller) -> Job:
    """Return a job of the caller; those of others are not there."""
    job: Job | None = request.app.state.jobs.get(job_id)
    if job is None or not (job.by == caller.id or caller.may("admin")):
        raise _unknown()
    return job


def _unknown() -> Problem:
    return Problem("not-found", "There is no such job; it may be too long ago.")
