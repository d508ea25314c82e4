"""A scenario on a calendar: when which of its time bands holds, on days that may have 23 or 25 hours."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from .scenario import DAY_S, Scenario, TimeBand


def occurrences(scenario: Scenario, start: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime, TimeBand]]:
    """The bands that hold between two moments, each from its own beginning to its own end, in order.

    The local clock counts: a band that begins at six begins at six on the day on which clocks change too.
    """
    day, last = start.astimezone(zone).date() - timedelta(days=1), end.astimezone(zone).date()
    while day <= last:
        found = [
            (_moment(day, begin_s, zone), _moment(day, end_s, zone), band) for band in scenario.bands for begin_s, end_s in _pieces(band)
        ]
        for begins, ends, band in sorted(found, key=lambda item: item[0]):
            if begins < end and ends > start and begins < ends:
                yield begins, ends, band
        day += timedelta(days=1)


def _pieces(band: TimeBand) -> tuple[tuple[int, int], ...]:
    """One that goes past midnight is one piece of the day on which it begins."""
    return ((band.start_s, band.end_s if band.start_s < band.end_s else band.end_s + DAY_S),)


def _moment(day: date, of_day_s: int, zone: tzinfo) -> datetime:
    days, second = divmod(of_day_s, DAY_S)
    local = time(second // 3600, second // 60 % 60, second % 60)
    return datetime.combine(day + timedelta(days=days), local, zone).astimezone(UTC)
