"""What the voltage reference has to carry beside its own deals, and which of them end where that is too much.

A converter that may be on and follows nobody stays on the line with the current it was last seen with: the reference
carries that too until the converter is known to be off.
"""

from collections.abc import Iterable, Mapping

from ..model.deal import Deal

TOLERANCE_A = 0.05


def stray_a(unit_id: str, measured_a: float, deals: Iterable[Deal]) -> float:
    """What a converter carries beyond its running deals [A, as its meter counts]; 0 where that is no more than meters differ."""
    beyond_a = measured_a - sum((deal.compensated_current_a(unit_id) for deal in deals), 0.0)
    return beyond_a if abs(beyond_a) > TOLERANCE_A else 0.0


def carried_a(reference: str, deals: Iterable[Deal], strays_a: Mapping[str, float]) -> float:
    """What the reference carries for its own deals and against the strays [A, as its meter counts]."""
    own_a = sum((deal.compensated_current_a(reference) for deal in deals), 0.0)
    return own_a - sum(strays_a.values(), 0.0)


def refusal(reference: str, deals: Iterable[Deal], strays_a: Mapping[str, float], capacity_a: float) -> str | None:
    """Why the line cannot be used as if the strays were not there, or None. `deals`: those of the reference, a new one too."""
    needed_a = abs(carried_a(reference, deals, strays_a))
    if not strays_a or needed_a <= capacity_a + TOLERANCE_A:
        return None
    return (
        f"{reference} would carry {needed_a:g} A of its {capacity_a:g} A: {', '.join(sorted(strays_a))} may be on and cannot be commanded"
    )


def ends_first(reference: str, deals: Iterable[Deal], strays_a: Mapping[str, float], capacity_a: float) -> tuple[str, ...]:
    """Which of the reference's running deals end, the newest first, so that it can carry what is left."""
    left = sorted(deals, key=lambda deal: (deal.create_time, deal.deal_id))
    ended = []
    while (needed_a := carried_a(reference, left, strays_a)) and refusal(reference, left, strays_a, capacity_a):
        relieving = [deal for deal in left if deal.compensated_current_a(reference) * needed_a > 0]
        if not relieving:
            break
        left.remove(relieving[-1])
        ended.append(relieving[-1].deal_id)
    return tuple(ended)
