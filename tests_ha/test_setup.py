"""Set up, gone, back, unloaded: what an entry does over its life."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from apis_core.model.errors import ClusterError
from apis_core.model.view import Event, Snapshot
from custom_components.apis import async_remove_config_entry_device
from custom_components.apis.const import DOMAIN

from .conftest import NOW, FakeCommunity, a_unit


async def look_again(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    freezer.tick(timedelta(seconds=31))
    async_fire_time_changed(hass)
    await hass.async_block_till_done()


async def test_an_entry_loads_and_unloads_without_a_trace(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    assert loaded.state is ConfigEntryState.LOADED
    assert hass.states.get("sensor.house_1_battery_battery").state == "62.0"
    assert await hass.config_entries.async_unload(loaded.entry_id)
    await hass.async_block_till_done()
    assert loaded.state is ConfigEntryState.NOT_LOADED
    assert hass.states.get("sensor.house_1_battery_battery").state == "unavailable"


async def test_a_community_that_does_not_answer_is_tried_again(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity
) -> None:
    community.error = ClusterError("nobody is there")
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY


async def test_losing_it_and_finding_it_again_is_said_once(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory, caplog: pytest.LogCaptureFixture
) -> None:
    community.error = ClusterError("nobody is there")
    for _ in range(3):
        await look_again(hass, freezer)
    assert hass.states.get("sensor.street_grid_master").state == "unavailable"
    assert sum("Error fetching apis data" in record.getMessage() for record in caplog.records) == 1
    community.error = None
    await look_again(hass, freezer)
    assert hass.states.get("sensor.street_grid_master").state == "House 1"


async def test_units_come_and_go(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    registry = dr.async_get(hass)
    community.now = replace(community.now, units=(*community.now.units, a_unit("E003")))
    await look_again(hass, freezer)
    assert hass.states.get("sensor.house_3_battery_battery").state == "62.0"
    community.now = replace(community.now, units=community.now.units[1:])
    await look_again(hass, freezer)
    assert hass.states.get("sensor.house_1_battery_battery").state == "unavailable"
    gone = registry.async_get_device_by_identifier((DOMAIN, f"{loaded.entry_id}_E001"), loaded.entry_id)
    there = registry.async_get_device_by_identifier((DOMAIN, f"{loaded.entry_id}_E003"), loaded.entry_id)
    assert gone is not None
    assert there is not None
    assert await async_remove_config_entry_device(hass, loaded, gone)
    assert not await async_remove_config_entry_device(hass, loaded, there)
    # Whether a unit that runs elsewhere is still there is not known while nobody can be asked.
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert not await async_remove_config_entry_device(hass, loaded, gone)
    whole = registry.async_get_device_by_identifier((DOMAIN, loaded.entry_id), loaded.entry_id)
    assert whole is not None
    assert not await async_remove_config_entry_device(hass, loaded, whole)


async def test_devices_stand_in_their_order(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    registry = dr.async_get(hass)

    def device(suffix: str) -> dr.DeviceEntry:
        found = registry.async_get_device_by_identifier((DOMAIN, f"{loaded.entry_id}{suffix}"), loaded.entry_id)
        assert found is not None
        return found

    street, house = device(""), device("_E001")
    assert street.entry_type is dr.DeviceEntryType.SERVICE
    assert (house.via_device_id, house.name, house.serial_number, house.sw_version) == (street.id, "House 1", "E001", "0.1.0")
    entities = er.async_entries_for_config_entry(er.async_get(hass), loaded.entry_id)
    assert len({entity.unique_id for entity in entities}) == len(entities) > 60
    assert not [entity for entity in entities if entity.device_id is None]


async def test_what_happens_is_shown_at_once(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    community.now = replace(community.now, grid_master="E002")
    community.events.put_nowait(Event("grid_master", community.now.time, "E002 is Grid Master", "E002"))
    await asyncio.sleep(0)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=1))
    await hass.async_block_till_done()
    assert hass.states.get("sensor.street_grid_master").state == "House 2"


async def test_home_assistants_end_ends_the_community_in_order(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    closed = []
    loaded.runtime_data.stack.callback(lambda: closed.append(True))
    hass.bus.async_fire("homeassistant_stop")
    await hass.async_block_till_done()
    assert closed == [True]


@pytest.mark.parametrize("error", [ClusterError("the line is down"), ValueError("what nobody has thought of")])
async def test_a_stream_that_breaks_is_taken_up_again(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, error: Exception
) -> None:
    with patch("custom_components.apis.coordinator.RECONNECT_S", 0):
        community.events.put_nowait(Event("notice", NOW, "hello", None, {}, 7))
        community.events.put_nowait(error)
        for _ in range(3):
            await asyncio.sleep(0.01)
        community.now = replace(community.now, grid_master="E002")
        community.events.put_nowait(Event("grid_master", community.now.time, "E002 is Grid Master", "E002"))
        await hass.async_block_till_done()
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=1))
        await hass.async_block_till_done()
    assert hass.states.get("sensor.street_grid_master").state == "House 2"
    # What came meanwhile is asked for.
    assert community.subscribed_after == [None, 7]


async def test_what_cannot_be_opened_is_tried_again(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    with patch("apis_core.app.open_trial_community", side_effect=OSError("the disk is full")):
        await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY


async def test_houses_to_try_leave_nothing_behind(hass: HomeAssistant, loaded: MockConfigEntry, tmp_path: Path) -> None:
    with patch.object(hass.config, "config_dir", str(tmp_path)):
        folder = tmp_path / "apis" / loaded.entry_id
        folder.mkdir(parents=True)
        assert await hass.config_entries.async_remove(loaded.entry_id)
        await hass.async_block_till_done()
        assert not folder.exists()


async def test_a_unit_that_comes_back_has_its_entities_still(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that starts shows its units one after the other."""
    full = community.now
    few = replace(full, units=full.units[:1])

    async def shown(now: Snapshot) -> str | None:
        community.now = now
        await loaded.runtime_data.coordinator.async_refresh()
        await hass.async_block_till_done()
        state = hass.states.get("switch.house_2_take_part_in_sharing")
        return None if state is None else state.state

    assert [await shown(now) for now in (few, full)] == ["unavailable", "on"]
    # One that was removed meanwhile comes as a new one.
    assert await shown(few) == "unavailable"
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(("apis", f"{loaded.entry_id}_E002"), loaded.entry_id)
    assert device is not None
    registry.async_remove_device(device.id)
    await hass.async_block_till_done()
    assert [await shown(now) for now in (few, full)] == [None, "on"]
    assert "unique IDs" not in caplog.text
