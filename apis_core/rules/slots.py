"""Room for deals, derived from the deals themselves: current, direction, and energy already promised."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from ..model.deal import Deal, Direction, Side, SideEnergy


@lru_cache(maxsize=4096)
def exact(value: float) -> Decimal:
    """The decimal number a person meant by a float: 0.9 / 0.3 is 3 in decimals, but 2 in binary floats."""
    return Decimal(repr(value))


def free_slots(capacity_a: Decimal, in_use_a: Decimal, deal_current_a: Decimal) -> int:
    """How many more deals a unit can carry.

    Args:
        capacity_a: what the unit's converter may exchange with the grid [A].
        in_use_a: the currents of the deals it already has [A], >= 0.
        deal_current_a: what one more deal takes, from the policy [A], > 0.

    """
    return max(0, int((capacity_a - in_use_a) // deal_current_a))


@dataclass(frozen=True, slots=True)
class Promise:
    """What a unit is bound to before a deal of it is in the store: its own open request, or an accept it has given."""

    direction: Direction
    grid_current_a: float
    amount_wh: float


def current_in_use_a(unit_id: str, deals: Iterable[Deal], promises: Iterable[Promise] = ()) -> Decimal:
    """The grid current bound by the unit's deals and promises [A]."""
    deals_a = (exact(deal.grid_current_a) for deal in deals if not deal.is_ended and unit_id in deal.unit_ids)
    return sum(deals_a, start=Decimal(0)) + sum((exact(p.grid_current_a) for p in promises), start=Decimal(0))


def direction_in_use(unit_id: str, deals: Iterable[Deal], promises: Iterable[Promise] = ()) -> Direction | None:
    """The direction the unit's deals and promises bind it to; a unit never works in two at once."""
    for deal in deals:
        side = None if deal.is_ended else deal.side_of(unit_id)
        if side is not None:
            return Direction.CHARGE if side is Side.CHARGE else Direction.DISCHARGE
    return next((promise.direction for promise in promises), None)


def promised_wh(
    unit_id: str, deals: Iterable[Deal], promises: Iterable[Promise] = (), counted: Mapping[str, SideEnergy] | None = None
) -> float:
    """Energy on its way into (positive) or out of (negative) the unit's battery by what it already agreed to [Wh].

    `counted`: the unit's own counters by deal, where they know more than the deals do.
    """
    total = 0.0
    for deal in deals:
        side = None if deal.is_ended else deal.side_of(unit_id)
        if side is not None:
            energy = (counted or {}).get(deal.deal_id) or deal.side_energy(unit_id)
            total += side.sign * max(0.0, deal.amount_wh - energy.battery_wh)
    for promise in promises:
        total += promise.amount_wh if promise.direction is Direction.CHARGE else -promise.amount_wh
    return total


def refusal(
    unit_id: str,
    direction: Direction,
    grid_current_a: float,
    capacity_a: float,
    deals: Iterable[Deal],
    promises: Iterable[Promise] = (),
) -> str | None:
    """Why the unit has no room for one more deal, or None if it has."""
    deals, promises = tuple(deals), tuple(promises)
    bound = direction_in_use(unit_id, deals, promises)
    if bound is not None and bound is not direction:
        return f"{unit_id} is bound to {bound} and cannot {direction} at the same time"
    in_use_a = current_in_use_a(unit_id, deals, promises)
    if in_use_a + exact(grid_current_a) > exact(capacity_a):
        return f"{unit_id} carries {in_use_a} A of its {capacity_a} A: no room for {grid_current_a} A more"
    return None
