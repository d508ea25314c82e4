"""What is shown, and what pressing it does."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
import re
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import Platform
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    snapshot_platform,
)
from syrupy.assertion import SnapshotAssertion

from apis_core.model.deal import Deal, SideEnergy
from apis_core.model.errors import ClusterError, CommandRefusedError
from apis_core.model.modes import OperationMode
from apis_core.model.view import Event
from apis_core.presets import PRESETS as CORE_PRESETS
from custom_components.apis.const import PRESETS

from .conftest import NOW, FakeCommunity, a_deal, a_unit


@pytest.mark.parametrize(
    "platform",
    [
        Platform.BINARY_SENSOR,
        Platform.BUTTON,
        Platform.CALENDAR,
        Platform.EVENT,
        Platform.NUMBER,
        Platform.SELECT,
        Platform.SENSOR,
        Platform.SWITCH,
    ],
)
@pytest.mark.usefixtures("entity_registry_enabled_by_default")
async def test_every_entity_is_as_it_was(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    community: FakeCommunity,
    entity_registry: er.EntityRegistry,
    snapshot: SnapshotAssertion,
    platform: Platform,
    freezer: FrozenDateTimeFactory,
) -> None:
    freezer.move_to("2026-11-21T12:00:00Z")
    with patch("custom_components.apis.PLATFORMS", [platform]):
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        await snapshot_platform(hass, entity_registry, snapshot, entry.entry_id)


async def press(hass: HomeAssistant, domain: str, action: str, entity_id: str, context: Context | None = None, **data: str) -> None:
    await hass.services.async_call(domain, action, {"entity_id": entity_id, **data}, blocking=True, context=context)


async def test_the_communitys_mode(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    await press(hass, "select", "select_option", "select.street_mode", option="heteronomous")
    assert community.asked == [("set_mode", OperationMode.HETERONOMOUS, None, "Home Assistant")]
    assert hass.states.get("select.street_mode").state == "heteronomous"


async def test_manual_and_resuming_are_an_administrators(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, hass_read_only_user: MockUser, hass_admin_user: MockUser
) -> None:
    resident, admin = Context(user_id=hass_read_only_user.id), Context(user_id=hass_admin_user.id)
    hass_read_only_user.mock_policy({"entities": {"all": True}})
    with pytest.raises(Unauthorized):
        await press(hass, "select", "select_option", "select.street_mode", resident, option="manual")
    community.now = replace(community.now, mode="stop", alert="leak")
    await loaded.runtime_data.coordinator.async_refresh()
    with pytest.raises(Unauthorized):
        await press(hass, "select", "select_option", "select.street_mode", resident, option="autonomous")
    # Stopping is everyone's.
    await press(hass, "select", "select_option", "select.street_mode", resident, option="stop")
    await press(hass, "button", "press", "button.street_stop_all", resident)
    await press(hass, "select", "select_option", "select.street_mode", admin, option="autonomous")
    assert [asked[:2] for asked in community.asked] == [
        ("set_mode", "stop"),
        ("stop_all", "Mock User (Home Assistant)"),
        ("set_mode", "autonomous"),
    ]
    community.stop_failures = {"E002": "its device does not answer"}
    with pytest.raises(HomeAssistantError, match="E002: its device does not answer"):
        await press(hass, "button", "press", "button.street_stop_all", resident)
    assert community.asked[-1][-1].endswith("(Home Assistant)")


async def test_a_unit_takes_part_or_not_and_both_controls_say_the_same(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    await press(hass, "switch", "turn_off", "switch.house_1_take_part_in_sharing")
    assert community.asked[-1][1:3] == (OperationMode.HETERONOMOUS, "E001")
    assert hass.states.get("select.house_1_own_mode").state == "heteronomous"
    await press(hass, "select", "select_option", "select.house_1_own_mode", option="follow")
    assert community.asked[-1][1:3] == (None, "E001")
    assert hass.states.get("switch.house_1_take_part_in_sharing").state == "on"
    await press(hass, "switch", "turn_on", "switch.house_1_take_part_in_sharing")
    await press(hass, "select", "select_option", "select.house_1_own_mode", option="stop")
    assert hass.states.get("switch.house_1_take_part_in_sharing").state == "off"


async def test_refusals_and_failures_are_told_apart(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    community.error = CommandRefusedError("deals are running")
    with pytest.raises(ServiceValidationError, match="deals are running"):
        await press(hass, "button", "press", "button.street_stop_all")
    community.error = ClusterError("nobody is there")
    with pytest.raises(HomeAssistantError, match="nobody is there"):
        await press(hass, "button", "press", "button.street_stop_all")
    # Also when the last look has failed: a stop that does nothing in silence is none.
    await loaded.runtime_data.coordinator.async_refresh()
    with pytest.raises(HomeAssistantError, match="nobody is there"):
        await press(hass, "button", "press", "button.street_stop_all")


async def test_the_life_of_a_deal_in_events(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    deal = a_deal()
    done = replace(
        deal,
        activate_time=NOW,
        ramp_up_time=NOW,
        warm_up_time=NOW,
        start_time=NOW,
        stop_time=NOW,
        deactivate_time=NOW,
        cumulate_amount_wh=100.2,
    )
    failed = replace(done, cumulate_amount_wh=20.0, abort_time=NOW, abort_reason="E002 does not answer")

    async def told(kind: str, state: str, of: object) -> None:
        community.events.put_nowait(Event(kind, NOW, "", "E001", {"state": state, "deal": of.to_json()}))
        await asyncio.sleep(0)
        await hass.async_block_till_done()

    for state, of, expected in (("created", deal, "created"), ("started", done, "started"), ("ended", done, "completed")):
        await told("deal", state, of)
        for entity_id in ("event.street_deal", "event.house_1_deal", "event.house_2_deal"):
            assert hass.states.get(entity_id).attributes["event_type"] == expected
    giving, receiving = hass.states.get("event.house_1_deal").attributes, hass.states.get("event.house_2_deal").attributes
    assert (giving["partner_name"], receiving["partner_name"], giving["from_name"]) == ("House 2", "House 1", "House 1")
    assert (giving["direction"], giving["partner"], giving["exchanged_wh"]) == ("giving", "E002", 100.2)
    assert (receiving["direction"], receiving["partner"], receiving["amount_wh"]) == ("receiving", "E001", 100)
    before = hass.states.get("event.street_deal").state
    await told("deal", "ramped_up", done)
    await told("deal", "created", a_deal("d2", "E003", "E004"))
    assert hass.states.get("event.house_1_deal").attributes["event_type"] == "completed"
    assert hass.states.get("event.street_deal").state >= before
    half = replace(done, deactivate_time=None, stop_time=None, cumulate_amount_wh=50.4)
    await told("progress", "", half)
    assert hass.states.get("event.house_2_deal").attributes["event_type"] == "progress"
    assert hass.states.get("event.house_2_deal").attributes["percent"] == 50
    await told("deal", "ended", failed)
    assert hass.states.get("event.house_1_deal").attributes["reason"] == "E002 does not answer"


async def test_what_does_not_answer_is_unavailable_and_says_so(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    units = (replace(community.now.units[0], alive=False), community.now.units[1])
    community.now = replace(community.now, units=units)
    await loaded.runtime_data.coordinator.async_refresh()
    assert hass.states.get("sensor.house_1_battery_battery").state == "unavailable"
    assert hass.states.get("binary_sensor.house_1_connectivity").state == "off"
    assert hass.states.get("binary_sensor.house_2_connectivity").state == "on"


async def test_scenarios_by_name_and_by_two_figures(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    assert hass.states.get("select.house_1_scenario").state == "balanced"
    await press(hass, "select", "select_option", "select.house_1_scenario", option="storm")
    assert community.asked[-1] == ("set_preset", "E001", "storm", "Home Assistant")
    below, above = "number.house_1_ask_below", "number.house_1_offer_above"
    assert (hass.states.get(below).state, hass.states.get(above).state) == ("40.0", "80.0")
    await press(hass, "number", "set_value", below, value="45")
    assert community.asked[-1][:4] == ("move_edges", "E001", 45.0, None)
    await press(hass, "number", "set_value", above, value="70")
    assert community.asked[-1][:4] == ("move_edges", "E001", None, 70.0)
    community.error = CommandRefusedError("expected room between them")
    with pytest.raises(ServiceValidationError, match="expected room"):
        await press(hass, "number", "set_value", above, value="41")
    community.error = None
    units = (replace(community.now.units[0], preset=None, request_below_pct=None, offer_above_pct=None), community.now.units[1])
    community.now = replace(community.now, units=units)
    await loaded.runtime_data.coordinator.async_refresh()
    assert hass.states.get("select.house_1_scenario").state == "unknown"
    assert hass.states.get(below).state == "unavailable"


def test_the_presets_to_choose_are_those_of_the_core() -> None:
    assert list(PRESETS) == list(CORE_PRESETS)


async def test_what_nobody_sees_is_not_written(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    async def look(**changes: float) -> None:
        community.now = replace(community.now, units=(replace(community.now.units[0], **changes), community.now.units[1]))
        await loaded.runtime_data.coordinator.async_refresh()

    await look(battery_power_w=-120.4, remaining_wh=3001)
    written = hass.states.get("sensor.house_1_battery_power").last_updated
    changes = async_capture_events(hass, "state_changed")
    await look(battery_power_w=-120.3, temperature_c=26.7, grid_voltage_v=0.3)
    assert changes == []
    assert hass.states.get("sensor.house_1_battery_power").last_updated == written
    await look(battery_power_w=-121.2)
    assert [event.data["entity_id"] for event in changes] == ["sensor.house_1_battery_power"]


async def test_the_day_is_summed_up_here_and_goes_on_after_a_restart(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    async def look(minutes: float, shared_wh: float = 0.0, **changes: float | None) -> None:
        freezer.tick(minutes * 60)
        units = (replace(community.now.units[0], **changes), community.now.units[1])
        community.now = replace(community.now, units=units, shared_wh=community.now.shared_wh + shared_wh)
        await entry.runtime_data.coordinator.async_refresh()

    freezer.move_to("2026-11-20T20:00:00Z")
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert hass.states.get("sensor.street_self_sufficiency_today").state == "unavailable"
    # An hour at 1000 W of which 400 W come from the mains, while half a kilowatt-hour is shared.
    await look(1, load_w=1000.0, mains_w=400.0)
    for _ in range(60):
        await look(1)
    await look(0, shared_wh=500.0)
    assert float(hass.states.get("sensor.street_energy_shared_today").state) == pytest.approx(0.5)
    assert float(hass.states.get("sensor.street_self_sufficiency_today").state) == pytest.approx(60)

    # What was not seen for long is not guessed at. One of the two sensors is enough to bring the day back.
    registry = er.async_get(hass)
    registry.async_update_entity("sensor.street_energy_shared_today", disabled_by=er.RegistryEntryDisabler.USER)
    await hass.async_block_till_done()
    assert await hass.config_entries.async_unload(entry.entry_id)
    freezer.tick(3600)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.runtime_data.coordinator.day.shared_wh(entry.runtime_data.coordinator.data) == pytest.approx(500)
    assert float(hass.states.get("sensor.street_self_sufficiency_today").state) == pytest.approx(60)
    day = entry.runtime_data.coordinator.day
    for _ in range(60):
        await look(1)
    assert (day.load_wh, day.mains_wh) == (pytest.approx(2000), pytest.approx(800))

    registry.async_update_entity("sensor.street_energy_shared_today", disabled_by=None)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    freezer.move_to("2026-11-21T20:00:00Z")
    await look(0, load_w=None, mains_w=None)
    assert hass.states.get("sensor.street_self_sufficiency_today").state == "unavailable"
    assert float(hass.states.get("sensor.street_energy_shared_today").state) == 0.0


@pytest.mark.parametrize(("refused", "expected"), [(False, 0.3), (True, 0.0)])
async def test_what_was_shared_today_before_anybody_looked_is_in_the_ledger(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory, *, refused: bool, expected: float
) -> None:
    await hass.config.async_set_time_zone("Asia/Tokyo")
    # Nine in the evening there; its day began at three in the afternoon, UTC.
    freezer.move_to("2026-11-21T12:00:00Z")

    def deal(hours_ago: float, wh: float) -> Deal:
        ended = NOW - timedelta(hours=hours_ago)
        begun = ended - timedelta(hours=1)
        energy = {"E001": SideEnergy(grid_wh=wh), "E002": SideEnergy(grid_wh=wh)}
        return replace(
            a_deal(f"d{hours_ago}"), create_time=begun, activate_time=begun, start_time=begun, deactivate_time=ended, energy=energy
        )

    # Yesterday's, one over midnight, and one of this evening; what runs is counted once it has ended.
    community.past = (deal(22, 50.0), deal(20.5, 200.0), deal(1, 100.0), replace(deal(0, 30.0), deactivate_time=None))
    with patch.object(community, "deals", side_effect=ClusterError("away")) if refused else contextlib.nullcontext():
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
    assert float(hass.states.get("sensor.street_energy_shared_today").state) == pytest.approx(expected)


async def test_an_accelerated_community_has_no_today(hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity) -> None:
    community.now = replace(community.now, acceleration=60.0)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert hass.states.get("sensor.street_energy_shared_today") is None


async def test_a_large_community_is_told_of_house_by_house(hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity) -> None:
    houses = tuple(a_unit(f"E{number:03}", name=f"House {number}") for number in range(1, 21))
    community.now = replace(community.now, units=houses)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    coordinator = entry.runtime_data.coordinator

    async def everyones_turn() -> None:
        for _ in range(2 * len(houses)):
            await asyncio.sleep(0)

    changes = async_capture_events(hass, "state_changed")
    # Time alone changes nothing that is shown.
    community.now = replace(community.now, units=tuple(replace(unit, reading_age_s=4.0) for unit in houses))
    await coordinator.async_refresh()
    await everyones_turn()
    assert changes == []
    community.now = replace(community.now, units=tuple(replace(unit, state_of_charge_pct=50.0) for unit in houses))
    await coordinator.async_refresh()
    # Nobody who waits for a turn has to wait for all of them.
    assert len(changes) < 20
    await everyones_turn()
    assert len(changes) == 20
    assert hass.states.get("sensor.house_20_battery_battery").state == "50.0"
    community.error = ClusterError("nobody is there")
    await coordinator.async_refresh()
    await everyones_turn()
    assert hass.states.get("sensor.house_20_battery_battery").state == "unavailable"


@pytest.mark.parametrize(
    ("state", "unit", "shown"), [("unavailable", "W", None), ("much", "W", None), ("3", "°C", None), ("2", "kW", 2000.0)]
)
async def test_what_a_persons_sensor_says(
    hass: HomeAssistant, entry: MockConfigEntry, community: FakeCommunity, state: str, unit: str, shown: float | None
) -> None:
    hass.states.async_set("sensor.meter", state, {"unit_of_measurement": unit})
    hass.config_entries.async_update_entry(entry, options={"sensors": {"E001": {"solar": "sensor.meter", "load": "sensor.nowhere"}}})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    found = entry.runtime_data.coordinator.unit("E001")
    assert (found.solar_w, found.load_w) == (shown, None)


def documented() -> dict[str, dict[str, str]]:
    """The lines of docs/entities.md by heading and name."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in (Path(__file__).parents[1] / "docs/entities.md").read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| ") and heading:
            for name in line.split("|")[1].split(","):
                found.setdefault(heading, {})[re.sub(r" \(.*\)", "", name.strip())] = line
    return found


async def test_the_docs_tell_where_entities_are_and_which_are_off(
    hass: HomeAssistant, loaded: MockConfigEntry, entity_registry: er.EntityRegistry, device_registry: dr.DeviceRegistry
) -> None:
    docs = documented()
    for entity in er.async_entries_for_config_entry(entity_registry, loaded.entry_id):
        device = device_registry.async_get(entity.device_id or "")
        assert device is not None
        ids = " ".join(identifier for _, identifier in device.identifiers)
        part = "The community" if ids == loaded.entry_id else "A unit"
        part = "Its converter" if "converter" in ids else "Its battery" if "battery" in ids else part
        name = re.sub(r" \(.*\)", "", str(entity.original_name))
        line = docs[part].get(name)
        assert line is not None, f"{name} ({part}) is not in docs/entities.md there"
        is_off = entity.disabled_by is er.RegistryEntryDisabler.INTEGRATION
        assert ("off by default" in line) == is_off, f"{name} ({part}): off by default is {is_off}"
