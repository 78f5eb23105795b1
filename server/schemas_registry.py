"""The wire types of works and sightings, as the OpenAPI document describes them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from server.schemas import Answer, Problem, Size, Training, Verdict

__all__ = [
    "Moment",
    "NewWork",
    "Recheck",
    "Rechecked",
    "SightingDetails",
    "SightingId",
    "SightingPage",
    "WorkChanges",
    "WorkDetails",
    "WorkPage",
]

RECHECKS = 100  # sightings in one recheck, at most
SightingId = Annotated[str, StringConstraints(pattern=r"^s-[0-9a-z]{1,40}$")]
# What a browser may open: an address of another kind could run as a script.
Url = Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$", max_length=2000)]
Labels = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1)], str], Field(max_length=100)
]


def _written_out(value: Any) -> Any:
    """Refuse bare numbers, which pydantic would take for seconds."""
    written = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)
    if not written and not isinstance(value, datetime):
        raise ValueError("a time is written like 2026-11-23T09:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_written_out, json_schema_input_type=datetime)]


class NewWork(BaseModel):
    """A work to be registered; silence about training means that it is not permitted."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=500)
    rights_holder: str = Field("", max_length=500)
    contact: str = Field("", max_length=2000)
    url: Url = ""
    training: Training = "not-permitted"
    terms: str = Field(
        "", max_length=20_000, description="The conditions, if training is 'constrained'."
    )
    labels: Labels = {}
    mark_labels: Labels = {}


class WorkChanges(BaseModel):
    """What is to be changed of a work; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", min_length=1, max_length=500)
    rights_holder: str = Field("", max_length=500)
    contact: str = Field("", max_length=2000)
    url: Url = ""
    training: Training = "not-permitted"
    terms: str = Field("", max_length=20_000)
    labels: Labels = {}


class WorkSummary(Answer):
    """A registered work."""

    work: str
    title: str
    rights_holder: str
    contact: str
    url: str
    training: Training
    terms: str
    labels: dict[str, str]
    created_at: str
    updated_at: str


class Embedding(Answer):
    """A key and a profile with which a mark was embedded."""

    key: str
    profile: str


class WorkMark(Answer):
    """A mark of a work."""

    mark: str
    labels: dict[str, str]
    created_at: str
    embedded: list[Embedding]


class WorkDetails(WorkSummary):
    """A registered work with its marks."""

    marks: list[WorkMark]


class WorkPage(Answer):
    """Some works by title; `next` goes into `after` for those behind them."""

    works: list[WorkSummary]
    next: str | None


class SeenFile(Answer):
    """A file that was looked at: when, for whom, and what was found."""

    sighting: str
    at: str
    sha256: str
    kind: Literal["still", "film"]
    size: Size
    verdict: Verdict
    log10_p: float | None
    marks: list[str]
    works: list[str]
    by: str
    looks: int
    evidence: bool = Field(description="Whether it can be decided anew without the file.")


class SightingDetails(SeenFile):
    """A file that was looked at, with all that was told of it, now and before."""

    record: dict[str, Any]
    history: list[dict[str, Any]] = Field(description="What earlier looks told, oldest first.")


class SightingPage(Answer):
    """Some sightings, newest first; `next` goes into `after` for those before them."""

    sightings: list[SeenFile]
    next: str | None


class Recheck(BaseModel):
    """Which sightings to decide anew: those named, or the newest ones from behind `after`."""

    model_config = ConfigDict(extra="forbid")

    sightings: list[SightingId] | None = Field(None, min_length=1, max_length=RECHECKS)
    after: SightingId | None = None
    since: Moment | None = Field(None, description="Only those of this time or later.")
    limit: int = Field(RECHECKS, ge=1, le=RECHECKS)


class RecheckedItem(Answer):
    """A sighting, and what was said of it before and now."""

    sighting: str
    before: Verdict | None
    now: Verdict | None
    works: list[str]
    looks: int | None
    problem: Problem | None


class Rechecked(Answer):
    """The sightings that were decided anew; `next` goes into `after` for those before them."""

    results: list[RecheckedItem]
    next: str | None
