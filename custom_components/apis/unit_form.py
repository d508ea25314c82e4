"""The forms of a unit and of a community's policy, and the way from what a person entered to what the core understands."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from homeassistant.const import CONF_HOST, CONF_NAME, CONF_PORT, UnitOfElectricCurrent, UnitOfElectricPotential, UnitOfEnergy, UnitOfRatio
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
import probatio

from apis_core import app
from apis_core.model.hardware import Hardware, Range
from apis_core.model.installation import EMULATED, SYSTEM_TYPES, Address
from apis_core.model.modes import OperationMode
from apis_core.model.policy import Policy
from apis_core.model.unit_plan import EMULATOR_PORT, UnitPlan

from .const import CONF_UNIT_ID, PRESETS

CONF_BATTERY, CONF_DRIVER, CONF_PRESET, CONF_SAFETY = "battery", "driver", "preset", "safety"
CAPACITY_WH, CAPACITY_A = "battery_nominal_capacity_wh", "grid_current_capacity_a"
VOLT, AMPERE, WATT_HOUR = UnitOfElectricPotential.VOLT, UnitOfElectricCurrent.AMPERE, UnitOfEnergy.WATT_HOUR
RANGES = ("temperature_range_c", "grid_voltage_range_v", "battery_voltage_range_v", "grid_current_range_a", "battery_current_range_a")
RANGE_UNITS = dict(zip(RANGES, ("°C", VOLT, VOLT, AMPERE, AMPERE), strict=True))
POLICY_UNITS: dict[str, str] = {
    "operation_grid_voltage_v": VOLT,
    "operation_grid_voltage_min_v": VOLT,
    "operation_grid_voltage_max_v": VOLT,
    "deal_grid_current_a": AMPERE,
    "sum_of_deal_grid_current_max_a": AMPERE,
    "deal_amount_min_wh": WATT_HOUR,
    "deal_amount_max_wh": WATT_HOUR,
    "deal_amount_unit_wh": WATT_HOUR,
    "discharge_unit_lower_limit_pct": UnitOfRatio.PERCENTAGE,
    "charge_unit_upper_limit_pct": UnitOfRatio.PERCENTAGE,
}
WHOLE = {field.name for field in fields(Policy) if field.type is int}


def _number(unit: str | None = None, low: float = 0, high: float = 100_000) -> NumberSelector:
    config = NumberSelectorConfig(min=low, max=high, step="any", mode=NumberSelectorMode.BOX)
    if unit is not None:
        config["unit_of_measurement"] = unit
    return NumberSelector(config)


def _choice(options: list[str], key: str) -> SelectSelector:
    return SelectSelector(SelectSelectorConfig(options=options, translation_key=key, mode=SelectSelectorMode.DROPDOWN))


_PORT = NumberSelector(NumberSelectorConfig(min=1, max=65535, step=1, mode=NumberSelectorMode.BOX))
UNIT_SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_NAME): TextSelector(),
        probatio.Required(CONF_UNIT_ID): TextSelector(),
        probatio.Required(CONF_DRIVER, default=EMULATED): _choice(list(SYSTEM_TYPES), CONF_DRIVER),
        probatio.Required(CONF_HOST, default="localhost"): TextSelector(),
        probatio.Required(CONF_PORT, default=EMULATOR_PORT): _PORT,
        probatio.Required(CONF_BATTERY): section(
            probatio.Schema(
                {probatio.Required(CONF_HOST, default="localhost"): TextSelector(), probatio.Required(CONF_PORT, default=8080): _PORT}
            ),
            {"collapsed": True},
        ),
    }
)
_SAFETY: dict[Any, Any] = {
    probatio.Required("grid_current_allowance_a"): _number(AMPERE),
    probatio.Required("droop_ratio"): _number(),
    **{probatio.Required(f"{name}_{end}"): _number(RANGE_UNITS[name], -1000) for name in RANGES for end in ("low", "high")},
}
_CAPACITIES: dict[Any, Any] = {
    probatio.Required(CAPACITY_WH): _number(WATT_HOUR, 1),
    probatio.Required(CAPACITY_A): _number(AMPERE, 0.1),
}
_RANGES: dict[Any, Any] = {probatio.Required(CONF_SAFETY): section(probatio.Schema(_SAFETY), {"collapsed": True})}
LIMITS_SCHEMA = probatio.Schema({**_CAPACITIES, **_RANGES})
NEW_LIMITS_SCHEMA = probatio.Schema(
    {**_CAPACITIES, probatio.Required(CONF_PRESET, default="balanced"): _choice(list(PRESETS), CONF_PRESET), **_RANGES}
)
POLICY_SCHEMA = probatio.Schema(
    {
        **{probatio.Required(name): _number(unit) for name, unit in POLICY_UNITS.items()},
        probatio.Required("operation_mode"): _choice([str(mode) for mode in OperationMode], "mode"),
    }
)


def unit_values(plan: UnitPlan | None) -> dict[str, Any]:
    """What the unit's form shows of a plan."""
    if plan is None:
        return {}
    battery = {CONF_HOST: plan.battery.host, CONF_PORT: plan.battery.port}
    values = {CONF_NAME: plan.name or plan.unit_id, CONF_UNIT_ID: plan.unit_id, CONF_DRIVER: plan.system_type, CONF_BATTERY: battery}
    return {**values, CONF_HOST: plan.device.host, CONF_PORT: plan.device.port}


def next_unit(known: Sequence[str]) -> dict[str, Any]:
    """A name and an id for one more unit."""
    number = next(number for number in range(1, len(known) + 2) if f"E{number:03}" not in known)
    return {CONF_NAME: f"House {number}", CONF_UNIT_ID: f"E{number:03}"}


def limit_values(limits: Hardware) -> dict[str, Any]:
    """What the form of a unit's limits shows."""
    safety = {"grid_current_allowance_a": limits.grid_current_allowance_a, "droop_ratio": limits.droop_ratio}
    for name in RANGES:
        safety |= {f"{name}_low": getattr(limits, name).low, f"{name}_high": getattr(limits, name).high}
    return {CAPACITY_WH: limits.battery_nominal_capacity_wh, CAPACITY_A: limits.grid_current_capacity_a, CONF_SAFETY: safety}


def limits_of(values: Mapping[str, Any], before: Hardware | None) -> Hardware:
    """The limits that were entered. Raises ConfigError with what does not go together."""
    safety = values[CONF_SAFETY]
    ranges: dict[str, Any] = {name: Range(safety[f"{name}_low"], safety[f"{name}_high"]) for name in RANGES}
    limits = replace(
        before or app.sample_hardware(),
        battery_nominal_capacity_wh=values[CAPACITY_WH],
        grid_current_capacity_a=values[CAPACITY_A],
        grid_current_allowance_a=safety["grid_current_allowance_a"],
        droop_ratio=safety["droop_ratio"],
        **ranges,
    )
    return Hardware.from_json(limits.to_json(), "limits")[0]


def plan_of(unit: Mapping[str, Any], limits: Mapping[str, Any], before: UnitPlan | None) -> UnitPlan:
    """The unit that was entered in both forms; `before` is what it was. Raises ConfigError with what does not go together."""
    found = limits_of(limits, before.hardware if before is not None else None)
    scenario = before.scenario if before is not None else app.preset_scenario(found.battery_nominal_capacity_wh, limits[CONF_PRESET])
    battery = Address(unit[CONF_BATTERY][CONF_HOST], int(unit[CONF_BATTERY][CONF_PORT]))
    plan = UnitPlan(
        unit_id=unit[CONF_UNIT_ID].strip(),
        system_type=unit[CONF_DRIVER],
        hardware=found,
        scenario=scenario,
        device=Address(unit[CONF_HOST].strip(), int(unit[CONF_PORT])),
        battery=battery,
        name=unit[CONF_NAME].strip(),
        serial_number=before.serial_number if before is not None else "NA",
        driver_options=before.driver_options if before is not None else {},
    )
    return UnitPlan.from_json(plan.to_json())


def policy_values(policy: Policy) -> dict[str, Any]:
    """What the form of a policy shows."""
    return {name: getattr(policy, name) for name in POLICY_UNITS} | {"operation_mode": str(policy.operation_mode)}


def policy_of(values: Mapping[str, Any], before: Policy) -> Policy:
    """The policy that was entered; what the form does not show stays. Raises ConfigError with what does not go together."""
    changes: dict[str, Any] = {name: int(values[name]) if name in WHOLE else values[name] for name in POLICY_UNITS}
    policy = replace(before, **changes, operation_mode=OperationMode(values["operation_mode"]))
    return Policy.from_json(policy.to_json())[0]
