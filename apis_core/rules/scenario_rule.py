"""One line of a scenario changed: what a unit asks for, or accepts, at one charge of its battery in one part of the day."""

from dataclasses import dataclass, replace
from typing import Any, Self

from ..model.deal import Direction
from ..model.errors import CommandRefusedError, MessageError
from ..model.scenario import Condition, Scenario, TimeBand

KINDS = ("request", "accept")


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Where (`band` as files write it, `status` of the battery, `kind` request or accept, direction), and what is new there.

    None leaves a figure as it is; a line that was not there needs `limit_wh`. `remove` takes the line away.
    """

    band: str
    status: str
    kind: str
    direction: Direction
    limit_wh: int | None = None
    point_per_wh: float | None = None
    remove: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "band": self.band,
            "status": self.status,
            "kind": self.kind,
            "direction": str(self.direction),
            "limitWh": self.limit_wh,
            "pointPerWh": self.point_per_wh,
            "remove": self.remove,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the JSON form. Raises MessageError."""
        kind, direction = data.get("kind"), data.get("direction")
        if kind not in KINDS or direction not in list(Direction):
            raise MessageError(f"rule: found {kind!r:.40}, {direction!r:.40}, expected {' or '.join(KINDS)}, {' or '.join(Direction)}")
        return cls(
            str(data.get("band")),
            str(data.get("status")),
            str(kind),
            Direction(str(direction)),
            data.get("limitWh"),
            data.get("pointPerWh"),
            bool(data.get("remove")),
        )


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
