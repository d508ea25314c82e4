"""Whether the line can carry one more deal: its sum of currents, or branch by branch."""

from collections.abc import Iterable

from ..model.deal import Deal
from ..model.policy import Policy
from .slots import exact


def refusal(deal: Deal, active: Iterable[Deal], policy: Policy) -> str | None:
    """Why `deal` would overload the line beside the active deals, or None. Nominal currents count."""
    deals = [*active, deal]
    if not policy.topology_enabled:
        total = sum(exact(d.grid_current_a) for d in deals)
        limit = exact(policy.sum_of_deal_grid_current_max_a)
        return f"all deals together would take {total} A, the line carries {limit} A" if total > limit else None
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
