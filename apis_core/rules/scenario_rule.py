"""One line of a scenario changed: what a unit asks for, or accepts, at one charge of its battery in one part of the day."""

from dataclasses import replace

from ..model.errors import CommandRefusedError
from ..model.rule_change import RuleChange
from ..model.scenario import Condition, Scenario, TimeBand


def changed(scenario: Scenario, change: RuleChange) -> Scenario:
    """The scenario with that line changed.

    Raises:
        CommandRefusedError: if there is no such time band or status, or the line has no limit.

    """
    keys = [band.key for band in scenario.bands]
    if change.band not in keys:
        raise CommandRefusedError(f"time band: found {change.band}, expected one of {', '.join(keys)}")
    return replace(scenario, bands=tuple(_changed(band, change) if band.key == change.band else band for band in scenario.bands))


def _changed(band: TimeBand, change: RuleChange) -> TimeBand:
    statuses = [each.status for each in band.battery_bands]
    if change.status not in statuses:
        raise CommandRefusedError(f"status: found {change.status}, expected one of {', '.join(statuses)}")
    lines = band.requests if change.kind == "request" else band.accepts
    wishes = dict(lines.get(change.status, {}))
    old = wishes.pop(change.direction, None)
    if not change.remove:
        limit_wh = change.limit_wh if change.limit_wh is not None else old.limit_wh if old is not None else None
        if limit_wh is None:
            raise CommandRefusedError(f"{change.kind} to {change.direction} at {change.status}: found no limit, expected one [Wh]")
        price = change.point_per_wh if change.point_per_wh is not None else old.point_per_wh if old is not None else None
        wishes[change.direction] = Condition(limit_wh, price, old.pair_unit_id if old is not None else None)
    found = {status: conditions for status, conditions in {**lines, change.status: wishes}.items() if conditions}
    return replace(band, requests=found) if change.kind == "request" else replace(band, accepts=found)
