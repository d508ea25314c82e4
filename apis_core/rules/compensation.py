"""Sensors disagree; what one converter gives and the other takes differs a little, and the voltage reference makes up for it.

So one current-mode converter is trimmed until the reference carries what it should (behaviour reference 4.7).
"""

from dataclasses import dataclass

from ..model.deal import Deal, Side
from .reference import Line
from .slots import exact


@dataclass(frozen=True, slots=True)
class Trim:
    """Who is watched, who is trimmed, and to what: the reference should carry `target_a` within the allowance [A]."""

    observed_unit_id: str
    trimmed_unit_id: str
    target_a: float
    trimmed_side: Side


def plan(deal: Deal, line: Line) -> Trim | None:
    """The trim a warmed-up deal needs; None where its own reference side must not be touched."""
    reference = line.reference_unit_id
    reference_side = Side(line.policy.reference_side)
    target_a = deal.compensation_target_a
    if reference is None or target_a is None:
        return None
    if deal.unit_on(line.master_side) == reference:
        if line.master_side is not reference_side:
            return None
        trimmed_side = line.master_side.opposite
    else:
        trimmed_side = reference_side.opposite
    return Trim(reference, deal.unit_on(trimmed_side), target_a, trimmed_side)


def within(trim: Trim, observed_a: float, allowance_a: float) -> bool:
    """Whether the reference carries what it should."""
    return abs(exact(observed_a) - exact(trim.target_a)) <= exact(allowance_a)


def carried_a(deal: Deal, unit_id: str, measured_a: float) -> float:
    """What a unit carries for a deal [A, signed]: as measured, unless most of that is not the deal's, as on a reference that
    makes up for a converter which follows nobody; then what was agreed.
    """
    agreed_a = deal.unit_sign(unit_id) * deal.grid_current_a
    return measured_a if abs(measured_a - agreed_a) <= abs(agreed_a) / 2 else agreed_a


def corrected_a(trim: Trim, set_a: float, observed_a: float) -> float:
    """The trimmed converter's next current limit [A], never negative.

    A discharging unit gives less where the reference takes too much; a charging one takes more.
    """
    excess = exact(observed_a) - exact(trim.target_a)
    sign = -1 if trim.trimmed_side is Side.DISCHARGE else 1
    return float(max(exact(0.0), exact(set_a) + sign * excess))
