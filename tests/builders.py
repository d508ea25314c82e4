"""Small builders: the values tests need, with only what matters spelled out."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from apis_core.clock import run_virtual
from apis_core.emulator.houses import House
from apis_core.emulator.profiles import Profiles, Series
from apis_core.model.deal import Deal, Direction, Grant
from apis_core.model.hardware import Hardware, Range
from apis_core.model.modes import OperationMode
from apis_core.model.policy import Policy
from apis_core.model.scenario import Scenario
from apis_core.ports import DeviceRequest
from apis_core.simulation.stage import Stage

NOON = datetime(2020, 6, 1, 12, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def a_policy(members: int = 4, **changes: Any) -> Policy:
    """The policy an existing installation has, with the values its sample file gives."""
    policy = Policy(
        member_unit_ids=tuple(f"E{i:03}" for i in range(1, members + 1)),
        large_capacity_unit_ids=("E001",),
        operation_mode=OperationMode.STOP,
        operation_grid_voltage_v=350,
        operation_grid_voltage_min_v=300,
        operation_grid_voltage_max_v=380,
        grid_voltage_separation_v=10,
        grid_voltage_allowance_v=4,
        grid_voltage_drop_allowance_v=20,
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
    )
    return replace(policy, **changes)


def a_hardware(**changes: Any) -> Hardware:
    """The hardware of the sample installation."""
    hardware = Hardware(
        battery_nominal_capacity_wh=4800,
        grid_current_capacity_a=2.3,
        grid_current_allowance_a=0.125,
        droop_ratio=0.039,
        temperature_range_c=Range(0, 45),
        grid_voltage_range_v=Range(-4, 380),
        battery_voltage_range_v=Range(32, 58.4),
        grid_current_range_a=Range(-2.35, 2.35),
        battery_current_range_a=Range(-20, 20),
        efficient_battery_grid_voltage_ratio=6.5,
    )
    return replace(hardware, **changes)


def scenario_json(price: float = 10.0) -> dict[str, Any]:
    """A scenario of the sample's form: four bands of the battery, one of the day."""

    def band(direction: str, limit_wh: int) -> dict[str, Any]:
        return {direction: {"limitWh": limit_wh, "pointPerWh": price}}

    return {
        "refreshingPeriodMsec": 5000,
        "acceptSelection": {"strategy": "pointAndAmount"},
        "00:00:00-24:00:00": {
            "batteryStatus": {"4320-": "excess", "3600-4320": "sufficient", "2880-3600": "scarce", "-2880": "short"},
            "request": {"excess": band("discharge", 4320), "sufficient": {}, "scarce": {}, "short": band("charge", 2880)},
            "accept": {
                "excess": band("discharge", 3600),
                "sufficient": band("discharge", 3600),
                "scarce": band("charge", 3600),
                "short": band("charge", 3600),
            },
        },
    }


def a_scenario(price: float = 10.0) -> Scenario:
    return Scenario.from_json(scenario_json(price))[0]


def a_deal(giver: str = "E002", taker: str = "E003", **changes: Any) -> Deal:
    """A deal that was just created, asked for by the taker."""
    deal = Deal(
        deal_id=f"{giver}-{taker}",
        negotiation_id=f"n-{giver}-{taker}",
        direction=Direction.CHARGE,
        request_unit_id=taker,
        accept_unit_id=giver,
        charge_unit_id=taker,
        discharge_unit_id=giver,
        grid_current_a=1.0,
        amount_wh=50,
        request_time=NOON,
        accept_time=NOON,
        create_time=NOON,
        request_amount_wh=50,
        accept_amount_wh=50,
        request_grid_current_a=1.0,
        accept_grid_current_a=1.0,
        point_per_wh=10.0,
        grants=(Grant(giver, NOON.replace(year=2100)), Grant(taker, NOON.replace(year=2100))),
    )
    return deal.changed(**changes)


def quiet_profiles() -> Profiles:
    """No sun, no load: only the deals move the batteries (beside the houses' own losses)."""
    return Profiles(Series(np.zeros((1, 8760)), 3600.0), Series(np.zeros((1, 8760)), 3600.0), solar_per_kw=True)


class VirtualCommunity(Stage):
    """Units in virtual time on an emulated line, with every device request written down."""

    def __init__(
        self,
        charges_pct: dict[str, float],
        policy: Policy | None = None,
        hardware: Hardware | None = None,
        scenario: Scenario | None = None,
        seed: int = 1,
        units: tuple[str, ...] | None = None,
    ) -> None:
        self.requests: list[str] = []
        self.after_write: Callable[[], None] = lambda: None
        self.faults: dict[str, Callable[[DeviceRequest], Awaitable[Any] | None]] = {}
        houses = tuple(House(unit, i, state_of_charge_pct=pct, solar_kw=0) for i, (unit, pct) in enumerate(charges_pct.items()))
        super().__init__(
            houses,
            quiet_profiles(),
            NOON.replace(tzinfo=None),
            policy or a_policy(len(charges_pct)),
            hardware or a_hardware(),
            scenario or a_scenario(),
            seed=seed,
            units=units,
        )

    async def send(self, unit: str, request: DeviceRequest) -> Any:
        fault = self.faults.get(unit)
        if fault is not None:
            work = fault(request)
            if work is not None:
                return await work
        if "/set/" in request.path:
            self.requests.append(request.path)
        answer = await super().send(unit, request)
        if "/set/" in request.path:
            self.after_write()
        return answer

    def setters(self, unit: str) -> list[str]:
        return [path for path in self.requests if f"/{unit}?" in path]

    async def settle(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    async def until(self, condition: Callable[[], bool], limit_s: float = 600, step_s: float = 0.1) -> None:
        end_s = self.clock.monotonic() + limit_s
        while not condition():
            assert self.clock.monotonic() < end_s
            await self.clock.sleep(step_s)

    async def no_deals(self, limit_s: float = 7200) -> None:
        end_s = self.clock.monotonic() + limit_s
        while [d for d in self.community.board.deals() if not d.is_ended]:
            assert self.clock.monotonic() < end_s, self.community.board.deals()
            await self.clock.sleep(1)
        await self.clock.sleep(1)

    async def started(self, count: int, limit_s: float = 600) -> None:
        end_s = self.clock.monotonic() + limit_s
        while sum(d.is_started for d in self.community.board.deals()) < count:
            assert self.clock.monotonic() < end_s, self.community.board.deals()
            await self.clock.sleep(0.5)


def in_virtual_time(story: Callable[[VirtualCommunity], Awaitable[None]], *args: Any, **kwargs: Any) -> VirtualCommunity:
    """Run a story on a fresh community and end it in order."""
    made: list[VirtualCommunity] = []

    async def main() -> None:
        community = VirtualCommunity(*args, **kwargs)
        made.append(community)
        await community.play(lambda: story(community))

    try:
        run_virtual(main)
    finally:
        for community in made:
            community.database.close()
    return made[0]
