"""Files that are broken on purpose, each of which can be made again from the seed and its number.

Bytes are flipped, parts are cut out or repeated, and the head of one file is set before the tail of
another.  The service may refuse what comes out, and may look at it; what it may not do is break
down, or find a mark that none of the files it was made of carried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.service.files import Sample
from bench.service.library import Told
from bench.service.load import Reply, in_turn
from bench.service.modes import House
from watermark.detect import Search

__all__ = ["allowed", "fuzz", "mutated"]

Line = dict[str, Any]

_HEAD = 512  # bytes in which formats keep what decides most
_MOST_FLIPS = 32
_FAR = 0.1  # of splices are with any file, whatever its format


def mutated(
    samples: Sequence[Sample], *, seed: int, number: int
) -> tuple[bytes, list[Sample], str]:
    """Return a broken file, the files that it was made of, and how it was broken."""
    rng = np.random.default_rng((seed, number))
    first = samples[int(rng.integers(len(samples)))]
    how = ("flip", "cut", "repeat", "splice")[int(rng.choice(4, p=(0.5, 0.2, 0.05, 0.25)))]
    data, made_of = bytearray(first.data), [first]
    if how == "flip":
        end = min(_HEAD, len(data)) if rng.random() < 0.5 else len(data)
        for at in rng.integers(0, end, int(rng.integers(1, _MOST_FLIPS + 1))):
            data[at] ^= int(rng.integers(1, 256))
    elif how == "splice":
        others = [each for each in samples if each is not first]
        alike = [each for each in others if each.path.suffix == first.path.suffix]
        among = others if not alike or rng.random() < _FAR else alike
        second = among[int(rng.integers(len(among)))]
        made_of.append(second)
        share = rng.random()  # of both, so that files of one kind and size go on where they were
        data = data[: int(share * len(data))] + second.data[int(share * len(second.data)) :]
    else:
        start, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        if how == "cut":
            data = data[:start] if rng.random() < 0.5 else data[:start] + data[end:]
        else:
            data[end:end] = data[start:end]
    return bytes(data), made_of, how


def allowed(reply: Reply, made_of: Sequence[Sample]) -> bool:
    """Tell whether every mark that is ``detected`` is that of a file it was made of."""
    if reply.told is None or reply.told.verdict != "detected":
        return True
    own = {each.mark for each in made_of if each.mark is not None}
    return bool(reply.told.marks) and set(reply.told.marks) <= own


def fuzz(
    house: House, samples: Sequence[Sample], *, search: Search, count: int, seed: int
) -> tuple[list[Line], Line]:
    """Send broken files, and return what went wrong and the count of what came back."""
    statuses: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    bad: list[Line] = []
    before = _whole(house, samples, search)

    def send(number: int) -> tuple[int, Reply, list[Sample], str]:
        data, made_of, how = mutated(samples, seed=seed, number=number)
        broken = Sample(Path(f"{number}{made_of[0].path.suffix}"), data, None)
        return number, house.client.send(broken, search), made_of, how

    for number, reply, made_of, how in in_turn(send, range(count), clients=house.workers):
        statuses[str(reply.status)] += 1
        if reply.told is not None:
            verdicts[reply.told.verdict] += 1
        server_error = reply.status >= 500 and not (reply.status == 503 and reply.retry)
        wrong = not allowed(reply, made_of)
        if server_error or wrong or reply.status == 0:
            bad.append(
                {
                    "what": "fuzz case",
                    "number": number,
                    "how": how,
                    "made_of": [each.path.name for each in made_of],
                    "status": reply.status,
                    "wrong": wrong,
                    "told": reply.told and [reply.told.verdict, *reply.told.marks],
                    "problem": reply.problem,
                }
            )
    return bad, {
        "what": "fuzz",
        "search": search,
        "count": count,
        "statuses": dict(sorted(statuses.items())),
        "verdicts": dict(sorted(verdicts.items())),
        "no_answer": statuses["0"],
        "server_errors": sum(each["status"] >= 500 for each in bad),
        "wrong": sum(each["wrong"] for each in bad),
        "alive": _healthy(house) and _whole(house, samples, search) == before,
        "seeds": len(samples),
        "seeds_detected": sum(each is not None and each.verdict == "detected" for each in before),
        "crashes": _crashes(house) if house.server.alive() else {},
        "rss_end": house.server.memory(),
    }


def _whole(house: House, samples: Sequence[Sample], search: Search) -> list[Told | None]:
    """Return what the service tells of the files as they are."""
    return [house.client.send(each, search).told for each in samples]


def _healthy(house: House) -> bool:
    try:
        answer = house.client.http.get("/healthz")
    except httpx.HTTPError:
        return False
    return house.server.alive() and answer.status_code == httpx.codes.OK


def _crashes(house: House) -> dict[str, float]:
    """Return what the service counts of workers and decoders that broke down."""
    words = ("crashes_total", "restarts_total", "timeouts_total")
    return {n: value for n, value in house.client.counted().items() if n.endswith(words)}
