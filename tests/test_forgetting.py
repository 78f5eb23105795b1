"""What is forgotten is gone with all that belongs to it, and nothing else is."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from watermark import forgetting
from watermark.forgetting import forget, forget_before
from watermark.registry import open_registry
from watermark.sightings import EVIDENCE, LOOKS, SIGHTED, SIGHTINGS, Sightings

START = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = {
    "verdict": "detected",
    "log10_p": -12.5,
    "works": [{"work": "w-1", "mark": "000000000007"}],
}


@pytest.fixture
def registry(where):
    with open_registry(where) as registry:
        yield registry


@pytest.fixture
def days(registry):
    """Give the ids of ten sightings, one a day, each with evidence and a look before."""
    sightings = Sightings(registry)
    return [added(sightings, START + timedelta(days=day)) for day in range(10)]


def added(sightings, at):
    given = {"sha256": f"{1:064x}", "kind": "still", "size": (8, 8), "by": "anonymous", "at": at}
    made = sightings.add(**given, record=RECORD, evidence=b"x" * 9)
    assert sightings.looked_again(made.id, RECORD, look=2)
    return made.id


def left(registry):
    """Return how many rows each table has."""
    with registry.database.reading() as connection:
        count = sa.func.count
        return [
            connection.scalar(sa.select(count()).select_from(table))
            for table in (SIGHTINGS, EVIDENCE, LOOKS, SIGHTED)
        ]


def test_one_is_forgotten_with_its_evidence_and_history(registry, days):
    assert forget(registry, days[3])
    assert not forget(registry, days[3])
    assert left(registry) == [9] * 4
    assert Sightings(registry).get(days[3]) is None
    assert all(Sightings(registry).get(each) for each in days if each != days[3])


@pytest.mark.parametrize("at_a_time", [1, 3, 4, 500])
def test_what_is_older_is_forgotten_whatever_fits_into_a_transaction(
    registry, days, monkeypatch, at_a_time
):
    monkeypatch.setattr(forgetting, "_AT_A_TIME", at_a_time)
    assert forget_before(registry, START) == 0
    assert forget_before(registry, START + timedelta(days=4)) == 4
    assert left(registry) == [6] * 4
    assert [each.id for each in Sightings(registry).list()] == days[:3:-1]
    assert forget_before(registry, START + timedelta(days=100)) == 6
    assert left(registry) == [0] * 4
