"""Looking at what a request brings: at once, as a job, or one of many.

Detections run in threads of their own, as many as the engine has places, so that whoever asks for
something else need not wait for them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal, TypeVar

from anyio import to_thread
from fastapi import Request

from server.answers import coarse
from server.auth import Caller, unknown
from server.bodies import Received, receive
from server.engine import Busy
from server.problems import Problem, problem_from
from server.settings import BATCH
from server.spool import Upload
from watermark.errors import WatermarkError
from watermark.jobs import Job

__all__ = ["Search", "examine", "examine_many", "look_at"]

Search = Literal["fast", "full"]
_PATIENCE = 0.2  # seconds until a file of a batch asks for a worker again
T = TypeVar("T")


async def examine(
    request: Request,
    caller: Caller,
    *,
    search: Search = "full",
    all_frames: bool = False,
    overlay: bool = False,
    later: bool = False,
) -> dict[str, Any] | Job:
    """Look at the file in a request, or make a job of it.

    Returns
    -------
    dict or Job
        What `caller` may be told.

    Raises
    ------
    Problem, Busy, Broken, WatermarkError
        If it cannot be done.
    """
    state = request.app.state
    if overlay and not caller.known:
        raise unknown("The overlay is for callers with a token; send one, or ask without overlay.")
    received = await receive(request, state.spool, state.settings)
    return await look_at(
        request,
        caller,
        received,
        search=search,
        all_frames=all_frames,
        overlay=overlay,
        later=later,
    )


async def look_at(
    request: Request,
    caller: Caller,
    received: Received,
    *,
    search: Search = "full",
    all_frames: bool = False,
    overlay: bool = False,
    later: bool = False,
) -> dict[str, Any] | Job:
    """Look at the one file that was received, or make a job of it; see `examine`."""
    state = request.app.state
    upload = received.files[0]
    assert isinstance(upload, Upload)
    large = upload.kind == "film" and upload.bytes > state.settings.inline_film_bytes
    if later or large:
        options = {
            "search": search,
            "all": all_frames,
            "sha256": upload.sha256,
            "name": upload.name,
        }
        return await _threaded(request, partial(_enqueue, state, upload, options, caller.id))
    try:
        async with _watched(request) as gone:
            overlay = overlay and caller.known
            work = partial(_look, state, upload, caller, gone, search=search, all_frames=all_frames)
            return await _threaded(request, partial(work, overlay=overlay))
    finally:
        received.remove(state.spool)


async def examine_many(
    request: Request, caller: Caller, *, search: Search = "full"
) -> list[dict[str, Any]]:
    """Look at the pictures in a form, and return an answer or a problem for each, in order.

    Raises
    ------
    Problem
        If the form cannot be read, or is more than `caller` may send.
    """
    state = request.app.state
    received = await receive(request, state.spool, state.settings, most=BATCH)
    try:
        count = len(received.files)
        await to_thread.run_sync(state.limiter.charge, request, caller, count)
        async with _watched(request) as gone:
            turns = asyncio.Semaphore(state.settings.workers)
            look = partial(_one_of_many, request, caller, search, gone, turns)
            items = await asyncio.gather(
                *(look(index=index, file=each) for index, each in enumerate(received.files))
            )
        busy = sum((each["problem"] or {}).get("status") == 503 for each in items)
        if busy:
            await to_thread.run_sync(state.limiter.give_back, request, count - busy)
        return items
    finally:
        received.remove(state.spool)


def _enqueue(state: Any, upload: Upload, options: dict[str, Any], by: str) -> Job:
    try:
        job: Job = state.jobs.add(upload.path.name, options, by)
    except BaseException:
        state.spool.remove(upload)
        raise
    state.queue.put(job.id)
    return job


def _look(
    state: Any,
    upload: Upload,
    caller: Caller,
    gone: threading.Event,
    *,
    search: Search,
    all_frames: bool = False,
    overlay: bool = False,
) -> dict[str, Any]:
    """Detect and store, in a thread; what goes wrong is told of the upload."""
    try:
        outcome = state.engine.detect(
            upload,
            search=search,
            all_frames=all_frames,
            overlay=overlay,
            evidence=state.answers.wants_evidence(caller.id),
            cancelled=gone.is_set,
        )
    except WatermarkError as error:
        raise problem_from(error, upload) from error
    verdict = outcome.record["verdict"]
    state.metrics.looked(upload.kind, upload.bytes, verdict, outcome.seconds)
    answer: dict[str, Any] = state.answers.finish(outcome, upload, by=caller.id)
    return answer if caller.known else coarse(answer)


async def _one_of_many(
    request: Request,
    caller: Caller,
    search: Search,
    gone: threading.Event,
    turns: asyncio.Semaphore,
    *,
    index: int,
    file: Upload | Problem,
) -> dict[str, Any]:
    item: dict[str, Any] = {"index": index, "result": None, "problem": None}
    if isinstance(file, Problem):
        return item | {"problem": file.document()}
    if file.kind == "film":
        refused = Problem("unsupported", "A batch has pictures only; send films one by one.")
        return item | {"problem": refused.document()}
    state = request.app.state
    work = partial(_look, state, file, caller, gone, search=search)
    patience = asyncio.get_running_loop().time() + state.settings.task_seconds
    async with turns:
        while True:
            try:
                return item | {"result": await _threaded(request, work)}
            except Busy as error:
                if gone.is_set() or asyncio.get_running_loop().time() > patience:
                    return item | {"problem": problem_from(error).document()}
                await asyncio.sleep(_PATIENCE)
            except Exception as error:  # noqa: BLE001 - one file does not spoil the rest
                return item | {"problem": problem_from(error, file).document()}


async def _threaded(request: Request, work: Callable[[], T]) -> T:
    """Work in a thread of those that wait for workers, so that none else has to."""
    return await to_thread.run_sync(work, limiter=request.app.state.threads)


@asynccontextmanager
async def _watched(request: Request) -> AsyncIterator[threading.Event]:
    """Give an event that is set when the client goes away; the body has been read."""
    gone = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield gone
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
