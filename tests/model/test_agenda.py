"""A scenario on a calendar."""

from datetime import UTC, datetime, timedelta
import itertools
from zoneinfo import ZoneInfo

from apis_core.model.agenda import occurrences
from apis_core.model.scenario import Scenario
from apis_core.presets import community_scenario

BERLIN = ZoneInfo("Europe/Berlin")


def scenario(*bands: str) -> Scenario:
    wish = {"batteryStatus": {"0-": "all"}, "request": {}, "accept": {}}
    return Scenario.from_json(dict.fromkeys(bands, wish))[0]


def test_a_scenario_that_never_changes_holds_day_by_day() -> None:
    start = datetime(2026, 11, 20, 12, tzinfo=UTC)
    found = list(occurrences(community_scenario(), start, start + timedelta(days=2), UTC))
    assert [(begin.day, end.day) for begin, end, _ in found] == [(20, 21), (21, 22), (22, 23)]


def test_a_night_is_one_piece_and_the_local_clock_counts_on_the_day_of_change() -> None:
    bands = scenario("06:00:00-22:00:00", "22:00:00-06:00:00")
    # Clocks go back on 25 October 2026 at 3:00.
    start = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    found = list(occurrences(bands, start, start + timedelta(days=1, hours=1), BERLIN))
    local = [(begin.astimezone(BERLIN).strftime("%d %H"), end.astimezone(BERLIN).strftime("%d %H")) for begin, end, _ in found]
    assert local == [("24 06", "24 22"), ("24 22", "25 06"), ("25 06", "25 22")]
    assert [(end - begin) / timedelta(hours=1) for begin, end, _ in found] == [16, 9, 16]
    assert all(first[1] == second[0] for first, second in itertools.pairwise(found))


def test_what_ends_before_or_begins_after_is_left_out() -> None:
    bands = scenario("06:00:00-09:00:00", "18:00:00-21:00:00")
    start = datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert list(occurrences(bands, start, start + timedelta(hours=9), UTC)) == []
    (found,) = occurrences(bands, start, start + timedelta(hours=9, seconds=1), UTC)
    assert found[0].hour == 18
