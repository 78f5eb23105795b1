"""Every setting of the service, with its default and what it means, in one table.

Each is read from the environment under its name in capitals after ``SUKASHI_``; what the command
line names goes before.  Several values in one variable are separated as in ``PATH``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import limits
import platformdirs
from pydantic import ByteSize, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

__all__ = ["BATCH", "PREFIX", "Settings", "strangers", "table"]

PREFIX = "SUKASHI_"
BATCH = 64  # images in one request, at most
_MIB = 1 << 20
# Names with our prefix that are read elsewhere: by the benchmark, its tests and compose.yaml.
_ELSEWHERE = {"AUTOENCODER", "CHROMIUM", "KEY", "PEERS", "UID"}

Paths = Annotated[tuple[Path, ...], NoDecode]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class Settings(BaseSettings):
    """The settings of one service; not to be changed once it runs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    registry: str | None = Field(
        None,
        description="The registry: an SQLite file or a postgresql+psycopg:// URL; by default a "
        "file in the data folder.",
    )
    keys: Paths = Field((), description="Key files, separated by colons; at least one.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    processes: int = Field(1, ge=1, le=64, description="HTTP processes on the one port.")
    workers: int = Field(
        default_factory=_cores,
        ge=1,
        le=256,
        description="Processes that detect, for each HTTP process; one a core.",
    )
    queue_length: int = Field(
        16, ge=0, description="Requests that wait for a worker; one more is answered 503."
    )
    task_seconds: float = Field(
        120, gt=0, description="Seconds one picture, or one film that is waited for, may take."
    )
    job_seconds: float = Field(4 * 3600, gt=0, description="Seconds one job may take.")
    grace: float = Field(
        30, ge=0, description="Seconds for what was taken to be finished after Ctrl-C or SIGTERM."
    )
    spool: Path | None = Field(
        None,
        description="Folder of uploads that are being worked on, shared by all machines that take "
        "jobs; by default one in the data folder.",
    )
    queue: str | None = Field(
        None, description="Queue of jobs: a redis:// URL; by default an SQLite file in the spool."
    )
    job_workers: int = Field(
        1, ge=0, le=64, description="Jobs worked on at a time; 0 leaves them to 'sukashi worker'."
    )
    job_days: float = Field(7, gt=0, description="Days for which the result of a job is kept.")
    keep_days: float | None = Field(
        None,
        gt=0,
        description="Days for which sightings and their evidence are kept; unless set, for ever.",
    )
    anonymous: Literal["none", "coarse"] = Field(
        "coarse",
        description="What callers without a token get: 'coarse', the verdict and the permission "
        "but no numbers, or 'none'.",
    )
    sightings: Literal["all", "known", "none"] = Field(
        "all", description="Whose detections are stored: all, those of known callers, or none."
    )
    evidence: Literal["all", "found", "none"] = Field(
        "all", description="Of which sightings the evidence is stored, to be decided on anew."
    )
    max_upload: ByteSize = Field(
        ByteSize(2048 * _MIB), gt=0, description="Largest film, in bytes or like 2GiB."
    )
    max_image: ByteSize = Field(
        ByteSize(64 * _MIB), gt=0, description="Largest picture, in bytes or like 64MiB."
    )
    max_pixels: int = Field(100_000_000, gt=0, description="Most pixels of a picture.")
    max_duration: float = Field(6 * 3600, gt=0, description="Longest film, in seconds.")
    upload_seconds: float = Field(
        30, gt=0, description="Seconds without a byte after which an upload is given up."
    )
    inline_film_bytes: ByteSize = Field(
        ByteSize(8 * _MIB), ge=0, description="Largest film that is answered at once, not as a job."
    )
    rate_anonymous: str = Field(
        "60/minute",
        description="Files an address without a token may send; counted by each HTTP process, or "
        "by all together where the queue is a Redis server.",
    )
    rate_token: str = Field("1200/minute", description="Files a token may send.")
    trusted_proxies: Networks = Field(
        (),
        description="Networks of proxies whose X-Forwarded-For is believed, separated by commas.",
    )
    metrics: Literal["all", "admin"] = Field(
        "admin", description="Who may read /metrics: everybody, or this machine and admin tokens."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of what is logged."
    )
    language: Literal["auto", "en", "ja"] = Field(
        "auto", description="Language of the page; 'auto' asks the browser."
    )

    @field_validator("keys", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(ip_network(each.strip()) for each in value.split(",") if each.strip())
        return value

    @field_validator("queue")
    @classmethod
    def _queue(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from redis.connection import parse_url  # noqa: PLC0415 - most settings name no queue

        try:
            parse_url(value)  # type: ignore[no-untyped-call]  # it has no types
        except ValueError:  # its words may have a password in them
            raise ValueError("write it like redis://host:6379/0") from None
        return value

    @field_validator("rate_anonymous", "rate_token")
    @classmethod
    def _rate(cls, value: str) -> str:
        limits.parse(value)
        return value

    @property
    def spool_folder(self) -> Path:
        """The folder of uploads, whether or not it exists."""
        return self.spool or platformdirs.user_data_path("sukashi", appauthor=False) / "spool"


def strangers(environment: Iterable[str]) -> dict[str, str | None]:
    """Return the variables that look like settings and are none, each with the nearest that is one.

    Parameters
    ----------
    environment : iterable of str
        Names of variables; upper and lower case are the same here.
    """
    ours = {name.upper() for name in Settings.model_fields}
    found: dict[str, str | None] = {}
    for each in sorted(environment):
        name = each.upper().removeprefix(PREFIX)
        if name != each.upper() and name not in ours | _ELSEWHERE:
            near = get_close_matches(name, ours, 1)
            found[each] = PREFIX + near[0] if near else None
    return found


def table() -> list[tuple[str, str, str]]:
    """Return the variable, the default and the sentence of each setting."""
    return [
        (PREFIX + name.upper(), _shown(name, field.get_default(call_default_factory=False)), text)
        for name, field in Settings.model_fields.items()
        if (text := field.description)
    ]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, ByteSize):
        return value.human_readable(separator="").replace(".0", "")
    if name == "workers":
        return "cores"
    if value is None or value == ():
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
