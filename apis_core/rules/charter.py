"""What a community has agreed on, and when it may agree on something else."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from ..model.deal import Deal
from ..model.modes import OperationMode
from ..model.policy import Policy


def with_members(policy: Policy, unit_ids: Collection[str]) -> Policy:
    """The policy for other members: whatever it says of units that are no longer there goes as well."""
    members = tuple(sorted(unit_ids))
    branches = {
        branch: {end: tuple(unit for unit in units if unit in unit_ids) for end, units in ends.items()}
        for branch, ends in policy.branch_units.items()
    }
    large = tuple(unit for unit in policy.large_capacity_unit_ids if unit in unit_ids)
    return replace(policy, member_unit_ids=members, large_capacity_unit_ids=large, branch_units=branches)


def refusal(old: Policy, new: Policy, mode: OperationMode, deals: Sequence[Deal]) -> str | None:
    """Why the community cannot go over from one policy to another now, or None.

    Members come and go while others share, as long as they have no deal themselves. Anything else is changed only while
    nothing is shared: every timer, limit and voltage of a running deal was decided by the old one.
    """
    open_deals = [deal for deal in deals if not deal.is_ended]
    if new != with_members(old, new.member_unit_ids):
        if mode is not OperationMode.STOP:
            return f"the community's mode is {mode}: a policy is changed only in {OperationMode.STOP}"
        return f"{len(open_deals)} deals have not ended yet" if open_deals else None
    leaving = set(old.member_unit_ids) - set(new.member_unit_ids)
    bound = sorted(unit for unit in leaving if any(unit in deal.unit_ids for deal in open_deals))
    return f"{bound[0]} has a deal that has not ended" if bound else None
