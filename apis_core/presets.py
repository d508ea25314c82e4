"""An emulated community's policy, hardware and scenario: what `apis demo` and `apis simulate` begin with."""

from dataclasses import replace
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


def community_scenario(battery_wh: float = 4800.0) -> Scenario:
    """Give above 80 % of the battery, ask below 40 %, help in between; the same all day."""

    def wh(share: float) -> int:
        return round(share * battery_wh)

    def wish(direction: str, share: float, price: float) -> dict[str, Any]:
        return {direction: {"limitWh": wh(share), "pointPerWh": price}}

    content = {
        "acceptSelection": {"strategy": "pointAndAmount"},
        "00:00:00-24:00:00": {
            "batteryStatus": {
                f"{wh(0.8)}-": "excess",
                f"{wh(0.6)}-{wh(0.8)}": "sufficient",
                f"{wh(0.4)}-{wh(0.6)}": "scarce",
                f"-{wh(0.4)}": "short",
            },
            "request": {"excess": wish("discharge", 0.8, 10), "short": wish("charge", 0.4, 12)},
            "accept": {
                "excess": wish("discharge", 0.6, 10),
                "sufficient": wish("discharge", 0.6, 10),
                "scarce": wish("charge", 0.6, 10),
                "short": wish("charge", 0.6, 12),
            },
        },
    }
    return Scenario.from_json(content, battery_nominal_capacity_wh=battery_wh)[0]
