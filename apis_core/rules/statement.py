"""What a unit's deals add up to: energy, points and how they ended; in total, and per partner and month."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import tzinfo
from typing import Any

from ..model.deal import Deal, Side


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over deals; none of them ever falls as deals go on.

    Energies in Wh: `received_wh` and `shared_wh` on the line's side, `charged_wh` and `discharged_wh` at the battery, and
    what the unit's converter kept of both. Points are the deals' own.
    """

    received_wh: float = 0.0
    shared_wh: float = 0.0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    loss_wh: float = 0.0
    points_earned: float = 0.0
    points_paid: float = 0.0
    completed: int = 0
    aborted: int = 0
    scrammed: int = 0

    def __add__(self, other: Totals) -> Totals:
        """Both together."""
        return Totals(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def of_deal(unit_id: str, deal: Deal) -> Totals:
    """One deal as it is now, from a unit's side; nothing for one it has no part in."""
    side = deal.side_of(unit_id)
    if side is None:
        return Totals()
    energy, takes = deal.side_energy(unit_id), side is Side.CHARGE
    return Totals(
        received_wh=energy.grid_wh if takes else 0.0,
        shared_wh=0.0 if takes else energy.grid_wh,
        charged_wh=energy.battery_wh if takes else 0.0,
        discharged_wh=0.0 if takes else energy.battery_wh,
        loss_wh=energy.loss_wh,
        points_earned=0.0 if takes else deal.points(),
        points_paid=deal.points() if takes else 0.0,
        completed=int(deal.is_ended and deal.is_completed),
        aborted=int(deal.is_ended and deal.abort_time is not None),
        scrammed=int(deal.is_ended and deal.scram_time is not None),
    )


def totals(unit_id: str, deals: Iterable[Deal]) -> Totals:
    """A unit's deals together."""
    return sum((of_deal(unit_id, deal) for deal in deals), Totals())


@dataclass(frozen=True, slots=True)
class Line:
    """What a unit and one partner exchanged in one month (`2026-11`)."""

    month: str
    partner_id: str
    deals: int
    totals: Totals


def statement(unit_id: str, deals: Iterable[Deal], zone: tzinfo) -> tuple[Line, ...]:
    """A unit's deals per month of their creation and partner, in that order."""
    found: dict[tuple[str, str], list[Deal]] = {}
    for deal in deals:
        if deal.side_of(unit_id) is None:
            continue
        partner = next(other for other in deal.unit_ids if other != unit_id)
        month = deal.create_time.astimezone(zone).strftime("%Y-%m")
        found.setdefault((month, partner), []).append(deal)
    return tuple(Line(month, partner, len(own), totals(unit_id, own)) for (month, partner), own in sorted(found.items()))
