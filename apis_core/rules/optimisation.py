"""The line voltage at which the converters of the running deals work best."""

from collections.abc import Iterable

from ..model.deal import Deal
from ..model.policy import Policy


def efficient_grid_voltage_v(deals: Iterable[Deal], policy: Policy) -> float | None:
    """The mean of what the active deals' units prefer, within safe bounds [V]; None if none says."""
    preferred = [
        voltage
        for deal in deals
        if deal.is_active
        for voltage in (deal.charge_unit_efficient_grid_voltage_v, deal.discharge_unit_efficient_grid_voltage_v)
        if voltage is not None
    ]
    if not preferred:
        return None
    low, high = policy.operation_grid_voltage_min_v, policy.operation_grid_voltage_max_v
    drop, separation = policy.grid_voltage_drop_allowance_v, policy.grid_voltage_separation_v
    lower = max(low + drop, low + 3 * separation)
    upper = min(high - drop, high - separation)
    return min(max(sum(preferred) / len(preferred), lower), upper)
