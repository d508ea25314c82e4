"""Outages: begun once, ended at the first good look, meant or not, and never those of a clock."""

from datetime import UTC, datetime, timedelta
import itertools

from hypothesis import given, strategies as st
import pytest

from apis_core.rules.outages import Cause, Outage, Record, looked, shares

START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FAULT, PLANNED = Cause.FAULT, Cause.PLANNED


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


def story(*looks: tuple[float, Cause | None]) -> Record:
    record = None
    for minutes, cause in looks:
        record = looked(record, at(minutes), cause)
    assert record is not None
    return record


def test_steady_looks_find_nothing() -> None:
    record = story(*((minute, None) for minute in range(60)))
    assert record.outages == ()
    assert shares(record, at(59), 1) == {"available": 100.0, "fault": 0.0, "planned": 0.0}


def test_a_fault_lasts_from_the_last_good_look_to_the_first_good_one() -> None:
    record = story((0, None), (1, None), (2, FAULT), (3, FAULT), (4, None), (5, None))
    assert record.outages == (Outage(at(1), at(4), FAULT),)
    assert shares(record, at(6), 1) == pytest.approx({"available": 50.0, "fault": 50.0, "planned": 0.0})


def test_what_is_meant_begins_when_it_is_meant_and_is_no_fault() -> None:
    record = story((0, None), (1, None), (2, PLANNED), (3, PLANNED), (4, FAULT), (5, None))
    assert record.outages == (Outage(at(2), at(4), PLANNED), Outage(at(4), at(5), FAULT))


def test_who_was_not_there_was_away_by_fault_or_because_it_was_ended_in_order() -> None:
    running = story((0, None), (1, None))
    assert looked(running, at(30), None).outages == (Outage(at(1), at(30), FAULT),)
    closed = Record(running.since, running.seen, running.outages, is_closed=True)
    assert looked(closed, at(30), None).outages == (Outage(at(1), at(30), PLANNED),)
    # One look that came late is no outage.
    assert looked(running, at(3), None).outages == ()


def test_a_unit_that_never_comes_back_is_an_open_outage_at_once() -> None:
    record = story(*((minute, None) for minute in range(11)))
    assert shares(record, at(20), 1) == {"available": 50.0, "fault": 50.0, "planned": 0.0}
    open_one = looked(record, at(11), FAULT)
    assert open_one.outages == (Outage(at(10), None, FAULT),)
    assert shares(open_one, at(40), 1) == {"available": 25.0, "fault": 75.0, "planned": 0.0}


def test_only_the_time_in_service_counts_and_old_outages_are_forgotten() -> None:
    record = story((0, None), (1, FAULT), (2, None))
    day = 24 * 60
    assert shares(Record(at(0), at(2 * day), record.outages), at(2 * day), 1) == {"available": 100.0, "fault": 0.0, "planned": 0.0}
    assert shares(Record(at(5), at(5)), at(5), 1) is None
    old = Record(at(0), at(40 * day - 1), record.outages)
    assert looked(old, at(40 * day), None).outages == ()


def test_a_clock_that_was_set_back_tells_of_nothing() -> None:
    record = story((0, None), (10, None))
    assert looked(record, at(5), FAULT) == record


@given(st.lists(st.tuples(st.floats(0.1, 20), st.sampled_from([None, FAULT, PLANNED])), min_size=1, max_size=30))
def test_outages_are_in_order_never_overlap_and_survive_being_stored(steps: list[tuple[float, Cause | None]]) -> None:
    minutes, record = 0.0, looked(None, START, None)
    for gap, cause in steps:
        minutes += gap
        record = looked(record, at(minutes), cause)
        assert Record.from_json(record.to_json()) == record
    ends = [(each.start, each.end or at(minutes)) for each in record.outages]
    assert all(start <= end for start, end in ends)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ends))
    assert all(each.end is not None for each in record.outages[:-1])
    parts = shares(record, at(minutes), 30)
    assert parts is not None
    assert sum(parts.values()) == pytest.approx(100)
