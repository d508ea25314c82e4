"""What the store says of units beside their deals: who is barred from the voltage, isolated, or stopped by what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ..unit.board import BAN, ISOLATED, UNIT, Board


@dataclass(frozen=True, slots=True)
class Marks:
    """As of one version of the board. `bans`: until when; `dead_men`, `capacities_a`: what a unit has said of its own."""

    isolated: frozenset[str]
    cannot_hold: frozenset[str]
    bans: Mapping[str, datetime]
    dead_men: Mapping[str, str]
    capacities_a: Mapping[str, float]

    @classmethod
    def of(cls, board: Board, unit_ids: tuple[str, ...]) -> Marks:
        """Read them."""
        told = {unit_id: board.value(UNIT + unit_id) or {} for unit_id in unit_ids}
        bans = {unit_id: entry for unit_id in unit_ids if (entry := board.value(BAN + unit_id)) is not None}
        return cls(
            # Also units that have left: what was read of them last is still known.
            frozenset(key.removeprefix(ISOLATED) for key in board.keys(ISOLATED)),
            frozenset(unit_id for unit_id, value in told.items() if value.get("cannotHold", False)),
            {unit_id: datetime.fromisoformat(str(entry.get("until"))) for unit_id, entry in bans.items()},
            {unit_id: str(value.get("deadMan", "")) for unit_id, value in told.items()},
            {unit_id: float(value["capacityA"]) for unit_id, value in told.items() if "capacityA" in value},
        )

    def barred(self, now: datetime) -> frozenset[str]:
        """Units that do not take the voltage reference now: they lost it, or what they are cannot hold it."""
        return self.cannot_hold | {unit_id for unit_id, until in self.bans.items() if now < until}
