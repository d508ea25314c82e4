"""What points are worth, and what the Energy dashboard is told."""

from dataclasses import replace
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.energy.data import async_get_manager
from homeassistant.components.energy.validate import async_validate
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from custom_components.apis.energy_sources import async_add, sources_of
from custom_components.apis.statistics import statistic_id

from .conftest import FakeCommunity, a_unit
from .test_statistics import auto_enable_custom_integrations, deals_of, written

__all__ = ["auto_enable_custom_integrations"]


async def options(hass: HomeAssistant, entry: MockConfigEntry, step: str) -> Any:
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    return await hass.config_entries.options.async_configure(menu["flow_id"], {"next_step_id": step})


async def test_a_hundred_points_at_a_half_are_fifty(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-11-20T12:30:00Z")
    deal, _ = deals_of(2)
    # Ten watt-hours for ten points each.
    community.past = (replace(deal, cumulate_amount_wh=10.0, point_per_wh=10.0),)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert await written(hass, entry, "E002", "points_paid") == []

    form = await options(hass, entry, "points")
    assert form["description_placeholders"] == {"currency": "EUR"}
    done = await hass.config_entries.options.async_configure(form["flow_id"], {"point_value": 0.5})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    paid = await written(hass, entry, "E002", "points_paid")
    assert paid[-1][1] == pytest.approx(50.0)
    assert (await written(hass, entry, "E001", "points_earned"))[-1][1] == pytest.approx(50.0)
    assert (await written(hass, entry, "E001", "points_paid"))[-1][1] == 0.0

    # Another value holds from now on, and what was written stays.
    form = await options(hass, entry, "points")
    await hass.config_entries.options.async_configure(form["flow_id"], {"point_value": 1.0})
    await hass.async_block_till_done()
    assert await written(hass, entry, "E002", "points_paid") == paid


async def test_sources_are_shown_and_then_added_beside_those_that_are_there(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-11-20T12:30:00Z")
    assert await async_setup_component(hass, "energy", {})
    manager = await async_get_manager(hass)
    mine: Any = {"type": "solar", "stat_energy_from": "sensor.roof", "config_entry_solar_forecast": None}
    await manager.async_update({"energy_sources": [mine]})
    community.past = deals_of(3)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    await async_wait_recording_done(hass)

    configure = hass.config_entries.options.async_configure
    form = await options(hass, entry, "energy")
    form = await configure(form["flow_id"], {"units": ["E002"]})
    assert form["step_id"] == "energy_sources"
    assert form["description_placeholders"] == {"sources": "- 🔋 House 2: Street\n- ⚡ House 2: Street"}
    assert manager.data is not None
    assert len(manager.data["energy_sources"]) == 1
    assert (await configure(form["flow_id"], {}))["reason"] == "added"
    solar, battery, line = manager.data["energy_sources"]
    assert solar["stat_energy_from"] == "sensor.roof"
    assert (battery["type"], battery["capacity"]) == ("battery", 4.8)
    assert battery["stat_energy_from"] == statistic_id(entry, "E002", "battery_out")
    assert line["stat_cost"] is None

    # Points are worth something from now on: the source gets that, and keeps the name it was given.
    mended: Any = [solar, battery, {**line, "name": "Neighbours"}]
    await manager.async_update({"energy_sources": mended})
    hass.config_entries.async_update_entry(entry, options={"point_value": 0.5})
    await hass.async_block_till_done()
    await async_wait_recording_done(hass)
    form = await options(hass, entry, "energy")
    form = await configure(form["flow_id"], {"units": ["E002"]})
    assert form["description_placeholders"] == {"sources": "- ⚡ House 2: Street"}
    assert (await configure(form["flow_id"], {}))["reason"] == "added"
    assert manager.data["energy_sources"][:2] == [solar, battery]
    (line,) = manager.data["energy_sources"][2:]
    assert line["stat_cost"] == statistic_id(entry, "E002", "points_paid")
    assert (line["stat_compensation"], line["name"]) == (statistic_id(entry, "E002", "points_earned"), "Neighbours")

    found = await async_validate(hass)
    assert [each.issues for each in found.energy_sources[1:]] == [{}, {}]

    form = await options(hass, entry, "energy")
    assert (await configure(form["flow_id"], {"units": ["E002"]}))["reason"] == "nothing_to_add"


async def test_an_accelerated_community_is_no_energy_of_a_day(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity
) -> None:
    assert (await options(hass, entry, "energy"))["reason"] == "not_loaded"
    community.now = replace(community.now, acceleration=60.0)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert (await options(hass, entry, "energy"))["reason"] == "accelerated"


async def test_a_unit_that_shows_less_is_a_source_with_less_and_nothing_comes_twice(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    registry = er.async_get(hass)
    for key in ("state_of_charge", "battery_power"):
        entity_id = registry.async_get_entity_id("sensor", "apis", f"{loaded.entry_id}_E001_{key}")
        assert entity_id is not None
        registry.async_remove(entity_id)
    battery, _ = sources_of(hass, loaded, a_unit("E001", capacity_wh=None))
    assert not {"stat_soc", "power_config", "capacity"} & battery.keys()
    assert await async_setup_component(hass, "energy", {})
    assert await async_add(hass, loaded, ["E001", "E002"]) == 4
    before = (await async_get_manager(hass)).data
    assert await async_add(hass, loaded, ["E001", "E002"]) == 0
    assert (await async_get_manager(hass)).data == before
