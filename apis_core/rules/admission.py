"""Whether the line can carry one more deal: its sum of currents, or branch by branch."""

from collections.abc import Iterable
from decimal import Decimal

from ..model.deal import Deal
from ..model.policy import Policy
from .slots import exact


def agreed_a(deals: Iterable[Deal]) -> Decimal:
    """What deals take of the line together [A]: their nominal currents."""
    return sum((exact(deal.grid_current_a) for deal in deals), start=Decimal(0))


def is_full(others_a: Decimal, grid_current_a: float, policy: Policy) -> str | None:
    """Why no deal of this current fits on the line beside others that take `others_a`, whoever its units are, or None.

    With a topology it depends on the units, see `refusal`.
    """
    total, limit = others_a + exact(grid_current_a), exact(policy.sum_of_deal_grid_current_max_a)
    if policy.topology_enabled or total <= limit:
        return None
    return f"all deals together would take {total} A, the line carries {limit} A"


def refusal(deal: Deal, active: Iterable[Deal], policy: Policy) -> str | None:
    """Why `deal` would overload the line beside the active deals, or None. Nominal currents count."""
    if not policy.topology_enabled:
        return is_full(agreed_a(active), deal.grid_current_a, policy)
    deals = [*active, deal]
    for branch_id, branch in policy.branches.items():
        for end, units in (("forward", branch.forward_unit_ids), ("backward", branch.backward_unit_ids)):
            for side, members in (
                ("discharge", (d.discharge_unit_id for d in deals)),
                ("charge", (d.charge_unit_id for d in deals)),
            ):
                total = sum(exact(d.grid_current_a) for d, unit in zip(deals, members, strict=True) if unit in units)
                if total > exact(branch.current_capacity_a):
                    return f"branch {branch_id}: {end} units would {side} {total} A, it carries {branch.current_capacity_a} A"
    return None
