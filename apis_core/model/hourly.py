"""Deals by the hour: a unit's energy at its battery and its line, and points, each deal spread evenly over the time it ran."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from .deal import Deal, Side

HOUR = timedelta(hours=1)
# No deal runs longer: one that has not ended after it never will.
LONGEST = timedelta(days=2)
BATTERY_IN, BATTERY_OUT, LINE_IN, LINE_OUT = "battery_in", "battery_out", "line_in", "line_out"
KINDS = (BATTERY_IN, BATTERY_OUT, LINE_IN, LINE_OUT)
POINTS_PAID, POINTS_EARNED = "points_paid", "points_earned"
POINT_KINDS = (POINTS_PAID, POINTS_EARNED)
type Hours = dict[datetime, float]


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def begin_of(deal: Deal) -> datetime:
    """Since when energy may have flowed for it: one that was interrupted, or stopped while it warmed up, has no start any more."""
    return deal.start_time or deal.warm_up_time or deal.activate_time or deal.create_time


def settled_until(deals: Sequence[Deal], now: datetime) -> datetime:
    """Up to which hour nothing changes any more: the present one, or that in which the oldest deal began that still runs."""
    running = [begin_of(deal) for deal in deals if not deal.is_ended and begin_of(deal) > now - LONGEST]
    return min([hour_of(now), *(hour_of(start) for start in running)])


def by_hour(unit_id: str, deals: Sequence[Deal]) -> dict[str, Hours]:
    """A unit's energy by kind and hour [Wh], and its points, of deals that have ended."""
    found: dict[str, Hours] = {kind: {} for kind in (*KINDS, *POINT_KINDS)}
    for deal in deals:
        side = deal.side_of(unit_id)
        if side is None or not deal.is_ended:
            continue
        energy = deal.side_energy(unit_id)
        kinds = (BATTERY_IN, LINE_IN, POINTS_PAID) if side is Side.CHARGE else (BATTERY_OUT, LINE_OUT, POINTS_EARNED)
        begin = begin_of(deal)
        end = deal.stop_time or deal.deactivate_time or deal.scram_time or deal.abort_time or begin
        for hour, share in _shares(begin, end):
            for kind, amount in zip(kinds, (energy.battery_wh, energy.grid_wh, deal.points()), strict=True):
                found[kind][hour] = found[kind].get(hour, 0.0) + share * amount
    return found


def _shares(start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """The hours that a span touches, and its part in each; they add up to one."""
    whole_s = (end - start).total_seconds()
    hour = hour_of(start)
    if whole_s <= 0:
        yield hour, 1.0
        return
    while hour < end:
        part_s = (min(end, hour + HOUR) - max(start, hour)).total_seconds()
        if part_s > 0:
            yield hour, part_s / whole_s
        hour += HOUR
