"""The wire types of detections and permissions, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

__all__ = [
    "LOOKUPS",
    "Answer",
    "Batch",
    "CoarseDetection",
    "Detection",
    "JobStatus",
    "Lookup",
    "MarkNumber",
    "Permissions",
    "Problem",
    "Query",
    "Sha256",
    "Size",
    "Training",
    "Verdict",
    "WorkId",
]

LOOKUPS = 256  # questions in one lookup, at most

Verdict = Literal["detected", "indicated", "not-found", "inconclusive"]
Training = Literal["not-permitted", "allowed", "constrained"]
Permission = Literal["not-permitted", "unknown", "constrained", "allowed"]
WorkId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
MarkNumber = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Size = Annotated[
    list[int],
    Field(min_length=2, max_length=2, description="Width and height as it is shown, pixels."),
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Answer(BaseModel):
    """Something that is answered, with all that is in it described."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A URI that says which kind of problem this is.")
    title: str
    status: int
    detail: str = Field(description="One sentence with what to do about it.")
    instance: str | None = Field(None, description="The id of the request, as in the log.")


class Examined(Answer):
    """What was looked at."""

    sha256: Sha256
    bytes: int
    kind: Literal["still", "film"]
    size: Size
    frames: int = Field(description="How many frames were looked at.")


class CoarseWork(Answer):
    """A work that was found, as a stranger is told of it."""

    work: str | None
    title: str | None
    rights_holder: str | None
    training: Training | None
    terms: str | None
    permission: Permission


class FoundWork(CoarseWork):
    """A work that was found; the logs are to base 10."""

    mark: str | None
    log10_p: float
    log10_p_wrong_work: float | None
    z: float
    labels: dict[str, str] | None
    model_based: bool
    key: str = Field(description="Fingerprint of the key.")
    alignment: str
    matrix: list[list[float]]
    outline: list[list[float]] = Field(description="Corners (x, y) in pixels.")


class Rival(Answer):
    """A registered mark that scores high."""

    work: str
    title: str
    mark: str
    z: float


class Part(Answer):
    """A part of a film, and the mark in it."""

    start: float
    end: float
    marked: bool
    work: str | None
    title: str | None
    mark: str | None
    log10_p: float | None
    z: float | None
    alignment: str | None


class CoarseDetection(Answer):
    """What a caller without a token is told: the verdict and the permission, and no numbers."""

    verdict: Verdict
    permission: Permission = Field(
        description="The strictest of the works; 'unknown' is to be read as no."
    )
    works: list[CoarseWork]
    examined: Examined
    server: str
    coarse: Literal[True]


class Detection(Answer):
    """All that is told of a file: the row of 'sukashi detect --json', and what was examined."""

    verdict: Verdict
    permission: Permission = Field(
        description="The strictest of the works; 'unknown' is to be read as no."
    )
    log10_p: float
    z: float
    work: str | None
    title: str | None
    mark: str | None
    training: Training | None
    log10_p_wrong_work: float | None
    rights_holder: str | None
    terms: str | None
    labels: dict[str, str] | None
    model_based: bool | None
    key: str | None
    alignment: str | None
    matrix: list[list[float]] | None
    outline: list[list[float]] | None
    works: list[FoundWork]
    candidates: list[Rival]
    runner_up: Rival | None
    enough_short: int | None
    duration: float | None = Field(None, description="Of a film, seconds.")
    seconds: float | None = None
    frames: int | None = None
    looks: int | None = None
    key_frames: bool | None = None
    damaged: int | None = None
    timeline: list[Part] | None = None
    points: list[list[float]] | None = Field(None, description="Seconds and log10 p.")
    examined: Examined
    profile: str
    server: str
    sighting: str | None = Field(description="Where it was stored.")
    overlay: str | None = Field(description="A PNG as a data URL, where it was asked for.")
    coarse: Literal[False]


class BatchItem(Answer):
    """One file of a batch: an answer, or a problem."""

    index: int
    result: Detection | CoarseDetection | None
    problem: Problem | None


class Batch(Answer):
    """The files of a batch in the order they were sent."""

    results: list[BatchItem]


class JobStatus(Answer):
    """A file that takes longer than one request."""

    job: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created_at: str
    updated_at: str
    progress: float | None = Field(description="From 0 to 1, where it is known.")
    text: str = Field(description="How far it has come, in words.")
    result: Detection | CoarseDetection | None
    problem: Problem | None


class Query(BaseModel):
    """One question: by exactly one of the number of a mark, a work, or the hash of a file."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"minProperties": 1, "maxProperties": 1},
    )

    mark: MarkNumber = Field("", description="Number of a mark, 12 hexadecimal digits.")
    sha256: Sha256 = Field("", description="Of a file that was seen before.")
    work: WorkId = Field("", description="Id of a work.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("name one of mark, sha256 and work")
        return self


class Lookup(BaseModel):
    """Questions about permissions; answered in their order."""

    model_config = ConfigDict(extra="forbid")

    queries: list[Query] = Field(min_length=1, max_length=LOOKUPS)


class LookupAnswer(Answer):
    """What may be done with what was asked for."""

    query: dict[str, str]
    permission: Permission
    works: list[CoarseWork]
    seen_at: str | None = Field(description="When a file with this hash was last looked at.")


class Permissions(Answer):
    """The answers in the order of the questions."""

    results: list[LookupAnswer]
