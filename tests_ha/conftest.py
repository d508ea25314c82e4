"""A community in memory that tests can look into, and entries for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from syrupy.assertion import SnapshotAssertion

from apis_core.model.deal import Deal, Direction
from apis_core.model.errors import CommandRefusedError, NotPairedError
from apis_core.model.scenario import Scenario
from apis_core.model.unit_plan import UnitPlan
from apis_core.model.view import Event, Snapshot, UnitView
from apis_core.presets import community_hardware, community_scenario, policy_for
import custom_components.apis  # noqa: F401 - before the test package puts its own folder there

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_unit(unit_id: str, **changes: Any) -> UnitView:
    """A house as it could be."""
    unit = UnitView(
        unit_id=unit_id,
        name=f"House {unit_id[-1]}",
        alive=True,
        mode="autonomous",
        state_of_charge_pct=62.5,
        remaining_wh=3000,
        converter_mode="WAIT",
        grid_voltage_v=0.0,
        grid_current_a=0.0,
        grid_power_w=0.0,
        battery_power_w=-120.0,
        reading_age_s=1.0,
        battery_voltage_v=48.0,
        battery_current_a=-2.5,
        temperature_c=26.6,
        capacity_wh=4800.0,
        permission="allowed",
        alarm="No alarm",
        solar_w=850.0,
        load_w=420.0,
        free_slots=3,
        status="sufficient",
        serial_number=unit_id,
        driver="emulator",
        is_simulated=True,
        availability={
            "1": {"available": 99.5, "fault": 0.5, "planned": 0.0},
            "7": {"available": 90.0, "fault": 0.1, "planned": 9.9},
        },
        preset="balanced",
        request_below_pct=40.0,
        offer_above_pct=80.0,
        totals={"received_wh": 500.0, "shared_wh": 1200.0, "charged_wh": 480.0, "discharged_wh": 1250.0, "loss_wh": 70.0,
                "points_earned": 12000.0, "points_paid": 4800.0, "completed": 17, "aborted": 2, "scrammed": 0},
    )  # fmt: skip
    return replace(unit, **changes)


def a_deal(deal_id: str = "d1", giver: str = "E001", taker: str = "E002", **changes: Any) -> Deal:
    """A deal between two houses."""
    deal = Deal(
        deal_id=deal_id, negotiation_id="n1", direction=Direction.DISCHARGE, request_unit_id=giver, accept_unit_id=taker,
        charge_unit_id=taker, discharge_unit_id=giver, grid_current_a=2.0, amount_wh=100, request_time=NOW, accept_time=NOW,
        create_time=NOW, request_amount_wh=100, accept_amount_wh=100, request_grid_current_a=2.0, accept_grid_current_a=2.0,
        point_per_wh=10.0,
    )  # fmt: skip
    return replace(deal, **changes)


class FakeCommunity:
    """See Community. What is asked of it is kept in `asked`; `refusal` is raised instead, where it is set."""

    def __init__(self) -> None:
        self.now = Snapshot(
            NOW,
            "autonomous",
            (a_unit("E001", is_grid_master=True), a_unit("E002")),
            (),
            grid_master="E001",
            version="0.1.0",
            shared_wh=2400.0,
        )
        self.asked: list[tuple[Any, ...]] = []
        self.events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self.error: Exception | None = None
        # What a node on another machine wants to be shown.
        self.token: str | None = None
        self.node_id = ""
        self.emulated: tuple[UnitPlan, ...] | Exception = ()
        self.shown_token: str | None = None
        self.stop_failures: dict[str, str] = {}
        self.probe_error: Exception | None = None
        self.past: tuple[Deal, ...] = ()
        self.lines: tuple[dict[str, Any], ...] = ({"month": "2026-11", "partner": "E002", "deals": 3},)
        self.subscribed_after: list[int | None] = []
        self.agreed = policy_for(2)
        self.scenarios: dict[str, Scenario] = {}

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error

    async def identity(self) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        return {"role": "node", "id": self.node_id, "api": "1", "version": "0.1.0"}

    async def pair(self, code: str, name: str) -> str:
        self._note("pair", code, name)
        if code != "123456":
            raise CommandRefusedError("this is not the code")
        return self.token or ""

    async def snapshot(self) -> Snapshot:
        if self.token is not None and self.shown_token != self.token:
            raise NotPairedError("pair with this node first")
        if self.error is not None:
            raise self.error
        return self.now

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        self.subscribed_after.append(after)
        while True:
            event = await self.events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    async def deals(self, start: Any = None, end: Any = None, unit_id: str | None = None) -> tuple[Deal, ...]:
        if unit_id is not None:
            self._note("deals", start, end, unit_id)
        elif self.error is not None:
            raise self.error
        return tuple(deal for deal in self.past if (start is None or deal.create_time >= start) and (end is None or deal.create_time < end))

    async def set_mode(self, mode: Any, unit_id: str | None, who: str) -> None:
        self._note("set_mode", mode, unit_id, who)
        if unit_id is None:
            self.now = replace(self.now, mode=str(mode), alert=None)
        else:
            units = (replace(unit, local_mode=mode) if unit.unit_id == unit_id else unit for unit in self.now.units)
            self.now = replace(self.now, units=tuple(units))

    async def checkpoint(self, *, hold: bool = False) -> None:
        self._note("checkpoint", hold)

    async def stop_all(self, who: str) -> dict[str, str]:
        self._note("stop_all", who)
        self.now = replace(self.now, mode="stop")
        return self.stop_failures

    async def scenario(self, unit_id: str) -> Scenario:
        if self.error is not None:
            raise self.error
        return self.scenarios.get(unit_id, community_scenario())

    async def set_scenario(self, unit_id: str, scenario: Scenario, who: str) -> None:
        self._note("set_scenario", unit_id, scenario, who)
        self.scenarios[unit_id] = scenario

    async def set_preset(self, unit_id: str, preset: str, who: str) -> None:
        self._note("set_preset", unit_id, preset, who)

    async def move_edges(self, unit_id: str, *, request_below_pct: float | None, offer_above_pct: float | None, who: str) -> None:
        self._note("move_edges", unit_id, request_below_pct, offer_above_pct, who)

    async def preview_scenario(self, unit_id: str, scenario: Scenario | None = None) -> dict[str, Any]:
        self._note("preview_scenario", unit_id, scenario)
        return {"now": {"status": "excess"}, "hours": []}

    async def statement(self, unit_id: str, start: Any = None, end: Any = None) -> tuple[dict[str, Any], ...]:
        self._note("statement", unit_id, start, end)
        return self.lines

    async def create_deal(self, giver: str, taker: str, amount_wh: int, **wish: Any) -> Deal:
        self._note("create_deal", giver, taker, amount_wh, wish)
        return a_deal("new", giver, taker, amount_wh=amount_wh)

    async def stop_deal(self, deal_id: str, who: str) -> None:
        self._note("stop_deal", deal_id, who)

    async def control_converter(self, unit_id: str, command: Any, duration_s: float | None = None) -> None:
        self._note("control_converter", unit_id, command, duration_s)

    async def inject_fault(self, unit_id: str, fault: Any, duration_s: float | None, who: str) -> None:
        self._note("inject_fault", unit_id, fault, duration_s, who)

    async def update_scenario_rule(self, unit_id: str, change: Any, who: str) -> None:
        self._note("update_scenario_rule", unit_id, change, who)

    async def scenario_versions(self, unit_id: str) -> tuple[dict[str, Any], ...]:
        return ({"time": NOW.isoformat(), "who": "start", "scenario": community_scenario().to_json()},)

    async def resume(self, who: str) -> None:
        self._note("resume", who)
        self.now = replace(self.now, mode="autonomous", alert=None)

    async def add_unit(self, plan: UnitPlan, who: str) -> None:
        self._note("add_unit", plan.unit_id, who)
        self.now = replace(self.now, units=(*self.now.units, a_unit(plan.unit_id, name=plan.name)))

    async def update_unit(self, plan: UnitPlan, who: str) -> None:
        self._note("update_unit", plan.unit_id, plan.name, who)

    async def remove_unit(self, unit_id: str, who: str) -> None:
        self._note("remove_unit", unit_id, who)
        self.now = replace(self.now, units=tuple(unit for unit in self.now.units if unit.unit_id != unit_id))

    async def diagnostics(self) -> dict[str, Any]:
        hardware = community_hardware().to_json()
        units = {unit.unit_id: {"hardware": hardware, "scenario": community_scenario().to_json()} for unit in self.now.units}
        return {"snapshot": self.now.to_json(), "policy": self.agreed.to_json(), "units": units, "events": []}

    async def policy(self) -> Any:
        return self.agreed


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Snapshots in Home Assistant's own form."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


@pytest.fixture(autouse=True)
def auto_enable_custom_integrations(enable_custom_integrations: None) -> None:
    """Let Home Assistant find ours."""


@pytest.fixture
def entity_registry_enabled_by_default() -> Iterator[None]:
    """Entities that are off by default are there too."""
    with patch("homeassistant.helpers.entity.Entity.entity_registry_enabled_default", return_value=True):
        yield


@pytest.fixture
def community() -> Iterator[FakeCommunity]:
    """A community behind whatever opens one."""
    fake = FakeCommunity()

    @contextlib.asynccontextmanager
    async def opened(_folder: Path, _zone: Any, _units: int) -> AsyncIterator[FakeCommunity]:
        yield fake

    @contextlib.asynccontextmanager
    async def run(_plans: Any, _policy: Any, _zone: Any, _name: str, _folder: Path, **_: Any) -> AsyncIterator[FakeCommunity]:
        yield fake

    async def probe(_session: Any, plan: UnitPlan, _policy: Any) -> None:
        if fake.probe_error is not None:
            raise fake.probe_error

    async def emulated(_session: Any, _url: str) -> tuple[UnitPlan, ...]:
        if isinstance(fake.emulated, Exception):
            raise fake.emulated
        return fake.emulated

    def connect(_session: Any, _url: str, token: str | None = None) -> FakeCommunity:
        fake.shown_token = token
        return fake

    with (
        patch("apis_core.app.open_trial_community", opened),
        patch("apis_core.app.open_planned_community", run),
        patch("apis_core.app.probe_unit", probe),
        patch("apis_core.app.emulated_units", emulated),
        patch("apis_core.app.connect_community", connect),
    ):
        yield fake


@pytest.fixture
def entry(hass: HomeAssistant) -> MockConfigEntry:
    """A community to try."""
    entry = MockConfigEntry(domain="apis", title="Street", entry_id="01HAPISENTRY", data={"kind": "trial", "units": 2})
    entry.add_to_hass(hass)
    return entry


@pytest.fixture
async def loaded(hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity) -> MockConfigEntry:
    """The same, set up."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    return entry
