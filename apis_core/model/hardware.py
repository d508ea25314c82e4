"""A unit's hardware configuration (the original's `hwConfig.json`)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import ConfigError, Problem
from .keys import Key, Notice, number, read_keys, write_keys


class Range(NamedTuple):
    """Lowest and highest permitted value."""

    low: float
    high: float


RANGES = {
    "tmp": "temperature_range_c",
    "vg": "grid_voltage_range_v",
    "vb": "battery_voltage_range_v",
    "ig": "grid_current_range_a",
    "ib": "battery_current_range_a",
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """What one unit's battery and converter can do: capacities, tolerances, and the static safety ranges.

    `droop_ratio` is used while the voltage reference is handed over. `efficient_battery_grid_voltage_ratio` times the
    battery voltage is the line voltage at which the converter works best.
    """

    battery_nominal_capacity_wh: float
    grid_current_capacity_a: float
    grid_current_allowance_a: float
    droop_ratio: float
    temperature_range_c: Range
    grid_voltage_range_v: Range
    battery_voltage_range_v: Range
    grid_current_range_a: Range
    battery_current_range_a: Range
    efficient_battery_grid_voltage_ratio: float | None = None
    refreshing_period_s: float = 5.0

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str = "hwConfig") -> tuple[Hardware, tuple[Notice, ...]]:
        """Read and check a file's content.

        Raises:
            ConfigError: with every problem.

        """
        values, notices = read_keys(_KEYS, data, where)
        problems = []
        for key, name in RANGES.items():
            low, high = values.pop(f"{name}_low"), values.pop(f"{name}_high")
            if low > high:
                problems.append(Problem(f"{where}: safety.range.dcdc.meter.{key}", f"min {low} > max {high}", "min <= max"))
            values[name] = Range(low, high)
        span = values["grid_current_range_a"]
        capacity_a = values["grid_current_capacity_a"]
        if not span.low <= -capacity_a <= capacity_a <= span.high:
            problems.append(
                Problem(
                    f"{where}: gridCurrentCapacityA",
                    f"{capacity_a} A",
                    f"a current within safety.range.dcdc.meter.ig ({span.low} to {span.high} A) in both directions",
                )
            )
        if problems:
            raise ConfigError(tuple(problems))
        return cls(**values), notices

    def to_json(self) -> dict[str, Any]:
        """The file's form."""
        data = write_keys(tuple(key for key in _KEYS if not key.path.startswith("safety.")), self)
        meters = {key: {"min": getattr(self, name).low, "max": getattr(self, name).high} for key, name in RANGES.items()}
        return {**data, "safety": {"range": {"dcdc": {"meter": meters}}}}


_KEYS = (
    Key("refreshingPeriodMsec", "refreshing_period_s", number(above=0), 5.0, scale=1000),
    Key("batteryNominalCapacityWh", "battery_nominal_capacity_wh", number(above=0)),
    Key("gridCurrentCapacityA", "grid_current_capacity_a", number(above=0)),
    Key("gridCurrentAllowanceA", "grid_current_allowance_a", number(at_least=0)),
    Key("droopRatio", "droop_ratio", number(at_least=0)),
    Key("efficientBatteryGridVoltageRatio", "efficient_battery_grid_voltage_ratio", number(above=0), None),
    *(
        Key(f"safety.range.dcdc.meter.{key}.{end}", f"{name}_{word}", number())
        for key, name in RANGES.items()
        for end, word in (("min", "low"), ("max", "high"))
    ),
)
