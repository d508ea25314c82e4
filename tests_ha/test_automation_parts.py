"""Triggers and conditions, each in an automation."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed, async_mock_service

from apis_core.model.errors import ClusterError
from apis_core.model.view import Event

from .conftest import NOW, FakeCommunity, a_deal


async def automate(hass: HomeAssistant, trigger: dict[str, Any], condition: dict[str, Any] | None = None) -> list[ServiceCall]:
    """An automation that calls `test.done`."""
    calls = async_mock_service(hass, "test", "done")
    automation = {"triggers": [trigger], "conditions": [condition] if condition else [], "actions": [{"action": "test.done"}]}
    assert await async_setup_component(hass, "automation", {"automation": automation})
    await hass.async_block_till_done()
    return calls


def device(hass: HomeAssistant, entry: MockConfigEntry, suffix: str = "") -> str:
    found = dr.async_get(hass).async_get_device_by_identifier(("apis", f"{entry.entry_id}{suffix}"), entry.entry_id)
    assert found is not None
    return found.id


async def told(hass: HomeAssistant, community: FakeCommunity, state: str, deal: Any) -> None:
    community.events.put_nowait(Event("deal", NOW, "", "E001", {"state": state, "deal": deal.to_json()}))
    await asyncio.sleep(0)
    await hass.async_block_till_done()


@pytest.mark.parametrize("step", ["started", "completed", "aborted"])
async def test_what_becomes_of_a_units_deals(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, step: str) -> None:
    calls = await automate(hass, {"trigger": f"apis.deal_{step}", "target": {"device_id": device(hass, loaded, "_E001")}})
    running = replace(a_deal(), activate_time=NOW, start_time=NOW)
    done = replace(running, deactivate_time=NOW, cumulate_amount_wh=100.0)
    steps = {
        "created": ("created", a_deal()),
        "started": ("started", running),
        "completed": ("ended", done),
        "aborted": ("ended", replace(done, abort_time=NOW, abort_reason="cut")),
    }
    for name, (state, deal) in steps.items():
        await told(hass, community, state, deal)
        assert len(calls) == (list(steps).index(name) >= list(steps).index(step))
    await told(hass, community, *steps[step][:1], replace(steps[step][1], charge_unit_id="E003", discharge_unit_id="E004"))
    assert len(calls) == 1


async def test_a_battery_below_its_target_for_a_while(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    target = {"device_id": device(hass, loaded, "_E001")}
    options = {"behavior": "each", "for": {"minutes": 10}}
    entity = {"entity_id": "binary_sensor.house_1_battery_below_target"}
    calls = await automate(hass, {"trigger": "apis.energy_below_target", "target": entity, "options": options})
    assert hass.states.get(entity["entity_id"]).state == "off"
    assert target

    async def charge(percent: float) -> None:
        community.now = replace(community.now, units=(replace(community.now.units[0], state_of_charge_pct=percent), community.now.units[1]))
        await loaded.runtime_data.coordinator.async_refresh()
        await hass.async_block_till_done()

    async def wait(minutes: float) -> None:
        freezer.tick(timedelta(minutes=minutes))
        async_fire_time_changed(hass, dt_util.utcnow())
        await hass.async_block_till_done()

    await charge(39.0)
    await wait(5)
    await charge(41.0)
    await wait(10)
    assert calls == []
    await charge(39.0)
    await wait(11)
    assert len(calls) == 1


async def test_another_grid_master(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    calls = await automate(hass, {"trigger": "apis.grid_master_changed", "target": {"device_id": device(hass, loaded)}})
    # Nobody leads for a moment: who leads after that is news only if it is another one.
    for master, expected in (("E001", 0), ("E002", 1), ("E002", 1), (None, 1), ("E002", 1), (None, 1), ("E001", 2), ("E002", 3)):
        community.now = replace(community.now, grid_master=master)
        await loaded.runtime_data.coordinator.async_refresh()
        await hass.async_block_till_done()
        assert len(calls) == expected, master
    community.now = replace(community.now, units=tuple(replace(unit, name=f"New {unit.name}") for unit in community.now.units))
    await loaded.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert hass.states.get("sensor.street_grid_master").state == "New House 2"
    assert len(calls) == 3


async def test_only_while_a_unit_shares(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    condition = {"condition": "apis.is_sharing", "target": {"device_id": device(hass, loaded, "_E001")}, "options": {"behavior": "any"}}
    calls = await automate(hass, {"trigger": "event", "event_type": "go"}, condition)
    hass.bus.async_fire("go")
    await hass.async_block_till_done()
    assert calls == []
    community.now = replace(community.now, units=(replace(community.now.units[0], converter_mode="CHARGE"), community.now.units[1]))
    await loaded.runtime_data.coordinator.async_refresh()
    hass.bus.async_fire("go")
    await hass.async_block_till_done()
    assert len(calls) == 1


async def test_only_while_two_units_trade(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    units = {"device_id": device(hass, loaded, "_E002"), "partner_device_id": device(hass, loaded, "_E001")}
    calls = await automate(hass, {"trigger": "event", "event_type": "go"}, {"condition": "apis.deal_is_running", "options": units})
    running = replace(a_deal(), activate_time=NOW, ramp_up_time=NOW, warm_up_time=NOW, start_time=NOW)
    for deals, expected in (((), 0), ((a_deal(),), 0), ((replace(running, charge_unit_id="E003"),), 0), ((running,), 1)):
        community.now = replace(community.now, deals=deals)
        await loaded.runtime_data.coordinator.async_refresh()
        hass.bus.async_fire("go")
        await hass.async_block_till_done()
        assert len(calls) == expected
    # What was so before it fell silent is not so for ever.
    community.error = ClusterError("away")
    await loaded.runtime_data.coordinator.async_refresh()
    hass.bus.async_fire("go")
    await hass.async_block_till_done()
    assert len(calls) == 1


async def test_a_choice_goes_on_while_a_community_is_not_there(
    hass: HomeAssistant, loaded: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    units = {"device_id": device(hass, loaded, "_E002"), "partner_device_id": device(hass, loaded, "_E001")}
    await hass.config_entries.async_unload(loaded.entry_id)
    calls = async_mock_service(hass, "test", "otherwise")
    choice = {"conditions": [{"condition": "apis.deal_is_running", "options": units}], "sequence": []}
    script = {"sequence": [{"choose": [choice], "default": [{"action": "test.otherwise"}]}]}
    assert await async_setup_component(hass, "script", {"script": {"look": script}})
    await hass.services.async_call("script", "look", blocking=True)
    assert len(calls) == 1
    assert "Street for integration apis is not loaded" in caplog.text
