"""The proof that a unit really holds the line's voltage: it moves it, and the measured voltage must follow."""

from ..model.policy import Policy


def candidate_voltages_v(policy: Policy, present_v: float) -> tuple[float, ...]:
    """The voltages the proof picks from [V]: range.min + 3 sep to range.max - sep in steps of sep, but the present one.

    Never empty for a policy that passed its check, unless the one candidate is the present voltage.
    """
    step = policy.grid_voltage_separation_v
    first, last = policy.operation_grid_voltage_min_v + 3 * step, policy.operation_grid_voltage_max_v - step
    count = int((last - first) / step + 1e-9) + 1
    return tuple(voltage for i in range(count) if abs((voltage := first + i * step) - present_v) > 1e-6)
