"""Whether a unit's limits go with what its community has agreed on."""

from .errors import Problem
from .hardware import Hardware
from .policy import Policy


def check_limits(hardware: Hardware, policy: Policy, where: str = "limits") -> tuple[Problem, ...]:
    """What of a unit's limits does not go with the policy: a sentence for each."""
    line_v, low_v, high_v = hardware.grid_voltage_range_v, policy.operation_grid_voltage_min_v, policy.operation_grid_voltage_max_v
    checks = (
        (
            policy.deal_grid_current_a <= hardware.grid_current_capacity_a,
            "gridCurrentCapacityA",
            f"{hardware.grid_current_capacity_a:g} A",
            f"at least one deal's current of the policy, {policy.deal_grid_current_a:g} A",
        ),
        (
            line_v.low <= 0 and high_v <= line_v.high,
            "safety.range.dcdc.meter.vg",
            f"{line_v.low:g} to {line_v.high:g} V",
            f"a range that holds a line that is off and one at its highest, 0 to {high_v:g} V (the policy works from {low_v:g} V)",
        ),
    )
    return tuple(Problem(f"{where}: {name}", found, expected) for good, name, found, expected in checks if not good)
