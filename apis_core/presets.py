"""An emulated community's policy, hardware and scenario: what `apis demo` and `apis simulate` begin with."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .model.hardware import Hardware, Range
from .model.modes import OperationMode
from .model.policy import Policy
from .model.scenario import Scenario


def policy_for(units: int) -> Policy:
    """A policy for an emulated line: 350 V, deals of 50 Wh at 1 A, autonomous from the start."""
    return Policy(
        member_unit_ids=tuple(f"E{i + 1:03}" for i in range(units)),
        operation_mode=OperationMode.AUTONOMOUS,
        operation_grid_voltage_v=350,
        operation_grid_voltage_min_v=300,
        operation_grid_voltage_max_v=380,
        grid_voltage_separation_v=10,
        grid_voltage_allowance_v=4,
        grid_current_step_a=1,
        grid_uvlo_mask_v=10,
        leak_allowance_per_unit_a=0.125,
        sum_of_deal_grid_current_max_a=100,
        deal_grid_current_a=1,
        deal_amount_min_wh=50,
        deal_amount_max_wh=50,
        deal_amount_unit_wh=50,
        discharge_unit_lower_limit_pct=20,
        charge_unit_upper_limit_pct=95,
        house_keeping_period_s=5.0,
        grid_master_selection="anywhere",
        # The devices are in this very process: one that does not answer at once will not answer later.
        request_timeout_s=1.0,
        request_limit=2,
        stop_me_timeout_s=15.0,
    )


def hardware() -> Hardware:
    """An emulated house: 4.8 kWh, two deals of 1 A at a time."""
    return Hardware(
        battery_nominal_capacity_wh=4800,
        grid_current_capacity_a=2.3,
        grid_current_allowance_a=0.125,
        droop_ratio=0.039,
        temperature_range_c=Range(0, 45),
        grid_voltage_range_v=Range(-4, 385),
        battery_voltage_range_v=Range(32, 58.4),
        grid_current_range_a=Range(-2.5, 2.5),
        battery_current_range_a=Range(-25, 25),
        efficient_battery_grid_voltage_ratio=6.5,
    )


def scenario() -> Scenario:
    """Give what is above 85 %, ask for what is missing to 60 %, accept in between."""

    def wish(direction: str, limit_wh: int, price: float) -> dict[str, Any]:
        return {direction: {"limitWh": limit_wh, "pointPerWh": price}}

    content = {
        "acceptSelection": {"strategy": "pointAndAmount"},
        "00:00:00-24:00:00": {
            "batteryStatus": {"4080-": "excess", "3600-4080": "sufficient", "2880-3600": "scarce", "-2880": "short"},
            "request": {"excess": wish("discharge", 4080, 10), "short": wish("charge", 2880, 12)},
            "accept": {
                "excess": wish("discharge", 3600, 10),
                "sufficient": wish("discharge", 3600, 10),
                "scarce": wish("charge", 3600, 10),
                "short": wish("charge", 3600, 12),
            },
        },
    }
    return Scenario.from_json(content)[0]


def community_policy(units: int, deal_current_a: float = 2.0, deal_wh: int = 100) -> Policy:
    """The same for a whole simulated community: larger deals at a current at which converters lose less."""
    return replace(
        policy_for(units),
        deal_grid_current_a=deal_current_a,
        deal_amount_min_wh=deal_wh,
        deal_amount_max_wh=deal_wh,
        deal_amount_unit_wh=deal_wh,
        house_keeping_period_s=60.0,
        sum_of_deal_grid_current_max_a=100.0,
    )


def community_hardware(battery_wh: float = 4800.0) -> Hardware:
    """A house's battery of any size behind a 2.5 kW converter: two deals of 2 A at 350 V, or more smaller ones."""
    return replace(
        hardware(),
        battery_nominal_capacity_wh=battery_wh,
        grid_current_capacity_a=7.0,
        grid_current_range_a=Range(-7.2, 7.2),
        battery_current_range_a=Range(-70, 70),
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """A preset in figures, as shares of the battery: below `ask` the unit asks, above `offer` it offers, up to `middle` it helps.

    The prices are points for a watt-hour: what it pays when it asks, and what it wants when it gives.
    """

    ask: float
    middle: float
    offer: float
    pays: float = 12.0
    wants: float = 10.0


# What a person chooses by name. Balanced is what a community begins with.
PRESETS = {
    "balanced": Terms(0.40, 0.60, 0.80),
    "reserve": Terms(0.65, 0.80, 0.92, pays=13.0, wants=13.0),
    "generous": Terms(0.25, 0.40, 0.55, pays=10.0, wants=8.0),
    "self_use": Terms(0.20, 0.85, 0.95, pays=9.0, wants=14.0),
    "storm": Terms(0.90, 0.95, 0.98, pays=20.0, wants=25.0),
}


@cache
def community_scenario(battery_wh: float = 4800.0, preset: str = "balanced") -> Scenario:
    """A preset for a battery: give above its upper edge, ask below its lower one, help in between; the same all day.

    Raises:
        KeyError: for a preset that there is none of.

    """
    terms = PRESETS[preset]

    def wh(share: float) -> int:
        return round(share * battery_wh)

    def wish(direction: str, share: float, price: float) -> dict[str, Any]:
        return {direction: {"limitWh": wh(share), "pointPerWh": price}}

    content = {
        "acceptSelection": {"strategy": "pointAndAmount"},
        "00:00:00-24:00:00": {
            "batteryStatus": {
                f"{wh(terms.offer)}-": "excess",
                f"{wh(terms.middle)}-{wh(terms.offer)}": "sufficient",
                f"{wh(terms.ask)}-{wh(terms.middle)}": "scarce",
                f"-{wh(terms.ask)}": "short",
            },
            "request": {
                "excess": wish("discharge", terms.offer, terms.wants),
                "short": wish("charge", terms.ask, terms.pays),
            },
            "accept": {
                "excess": wish("discharge", terms.middle, terms.wants),
                "sufficient": wish("discharge", terms.middle, terms.wants),
                "scarce": wish("charge", terms.middle, terms.wants),
                "short": wish("charge", terms.middle, terms.pays),
            },
        },
    }
    return Scenario.from_json(content, battery_nominal_capacity_wh=battery_wh)[0]


def preset_of(scenario: Scenario, battery_wh: float) -> str | None:
    """The preset that a scenario is, if it is one."""
    return next((name for name in PRESETS if community_scenario(battery_wh, name) == scenario), None)
