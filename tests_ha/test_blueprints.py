"""The blueprints, each imported and run."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
import shutil
from typing import Any
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint import BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.components.template.config import TEMPLATE_BLUEPRINT_SCHEMA
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml_dict
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed, async_mock_service

from apis_core.model.errors import ClusterError
from apis_core.model.modes import OperationMode
from apis_core.model.view import Event
from apis_core.presets import community_scenario

from .conftest import NOW, FakeCommunity, a_deal

BLUEPRINTS = Path(__file__).parents[1] / "blueprints"
FOLDER = BLUEPRINTS / "automation/apis"
NORMAL = community_scenario().to_json()


@pytest.fixture
def hass_config_dir(hass_tmp_config_dir: str) -> str:
    """A folder of its own: blueprints are copied into it."""
    return hass_tmp_config_dir


async def automate(hass: HomeAssistant, name: str, **inputs: Any) -> None:
    target = Path(hass.config.path("blueprints/automation/apis"))
    shutil.copytree(FOLDER, target, dirs_exist_ok=True)
    config = {"use_blueprint": {"path": f"apis/{name}.yaml", "input": inputs}}
    assert await async_setup_component(hass, "automation", {"automation": config})
    await hass.async_block_till_done()
    assert hass.states.async_entity_ids("automation")


def unit(hass: HomeAssistant, entry: MockConfigEntry) -> str:
    device = dr.async_get(hass).async_get_device_by_identifier(("apis", f"{entry.entry_id}_E001"), entry.entry_id)
    assert device is not None
    return device.id


SCHEMAS = {"automation": AUTOMATION_BLUEPRINT_SCHEMA, "script": BLUEPRINT_SCHEMA, "template": TEMPLATE_BLUEPRINT_SCHEMA}


@pytest.mark.parametrize("path", sorted(BLUEPRINTS.glob("*/apis/*.yaml")), ids=lambda path: path.stem)
def test_every_blueprint_is_well_formed_and_says_where_it_comes_from(path: Path) -> None:
    domain = path.parts[-3]
    blueprint = Blueprint(load_yaml_dict(str(path)), expected_domain=domain, path=path.name, schema=SCHEMAS[domain])
    assert blueprint.validate() is None
    assert blueprint.metadata["source_url"].endswith(f"blueprints/{domain}/apis/{path.name}")
    assert all(each["description"] for each in blueprint.inputs.values())


async def test_deals_are_told_and_the_message_stops_sharing(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    sent = async_mock_service(hass, "notify", "phone")
    await automate(
        hass,
        "notify_on_deal",
        deal_event="event.house_1_deal",
        take_part="switch.house_1_take_part_in_sharing",
        notify_action="notify.phone",
        steps=["started", "aborted"],
    )
    started = replace(a_deal(), activate_time=NOW, start_time=NOW)
    failed = replace(started, deactivate_time=NOW, abort_time=NOW, abort_reason="E002 does not answer", cumulate_amount_wh=20.0)
    for state, deal in (("created", a_deal()), ("started", started), ("ended", failed)):
        community.events.put_nowait(Event("deal", NOW, "", "E001", {"state": state, "deal": deal.to_json()}))
        await hass.async_block_till_done()
    assert [call.data["title"] for call in sent] == ["Deal started", "Deal aborted"]
    assert sent[1].data["message"] == "House 1 to House 2: 20.0 of 100 Wh (E002 does not answer)"
    hass.bus.async_fire("mobile_app_notification_action", {"action": sent[0].data["data"]["actions"][0]["action"]})
    await hass.async_block_till_done()
    assert community.asked[-1][:3] == ("set_mode", OperationMode.HETERONOMOUS, "E001")
    assert "switch.house_1" in sent[0].data["data"]["actions"][0]["action"]
    # What is shown again after a pause is not told again.
    for error in (ClusterError("away"), None):
        community.error = error
        await loaded.runtime_data.coordinator.async_refresh()
        await hass.async_block_till_done()
    assert hass.states.get("event.house_1_deal").attributes["event_type"] == "aborted"
    assert len(sent) == 2


async def test_a_storm_is_prepared_for_and_forgotten(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    hass.states.async_set("binary_sensor.warning", "off")
    await automate(
        hass, "storm_reserve", unit=unit(hass, loaded), warning="binary_sensor.warning", ask_below_wh=4300, price=15, normal_scenario=NORMAL
    )
    hass.states.async_set("binary_sensor.warning", "on")
    await hass.async_block_till_done()
    kind, unit_id, scenario, _ = community.asked[-1]
    assert (kind, unit_id) == ("set_scenario", "E001")
    (wanted,) = scenario.to_json()["00:00:00-24:00:00"]["request"].values()
    assert wanted["charge"]["limitWh"] == 4300
    # It says again what it said before.
    asked = len(community.asked)
    for state in ("unavailable", "on"):
        hass.states.async_set("binary_sensor.warning", state)
        await hass.async_block_till_done()
    assert len(community.asked) == asked
    hass.states.async_set("binary_sensor.warning", "off")
    await hass.async_block_till_done()
    assert community.asked[-1][2] == community_scenario()
    asked = len(community.asked)
    for state in ("unavailable", "off"):
        hass.states.async_set("binary_sensor.warning", state)
        await hass.async_block_till_done()
    assert len(community.asked) == asked


async def test_who_is_away_gives(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    hass.states.async_set("person.resident", "home")
    await automate(
        hass,
        "away_mode",
        unit=unit(hass, loaded),
        people="person.resident",
        keep_wh=1500,
        price=8,
        normal_scenario={"unit": "E001", "scenario": NORMAL},
    )
    hass.states.async_set("person.resident", "not_home")
    await hass.async_block_till_done()
    asked = len(community.asked)
    # Somebody moves about elsewhere.
    for state, latitude in (("not_home", 35.0), ("Work", 35.1), ("not_home", 35.2)):
        hass.states.async_set("person.resident", state, {"latitude": latitude})
        await hass.async_block_till_done()
    assert len(community.asked) == asked
    request = community.asked[-1][2].to_json()["00:00:00-24:00:00"]["request"]
    assert request == {"excess": {"discharge": {"limitWh": 1500, "pointPerWh": 8.0}}}
    hass.states.async_set("person.resident", "home")
    await hass.async_block_till_done()
    assert community.asked[-1][2] == community_scenario()


async def test_a_soft_stop_comes_once_and_goes_once(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-11-21 21:59:00+00:00")
    await automate(hass, "soft_stop", take_part="switch.house_1_take_part_in_sharing", stop_at="22:00:00", resume_at="06:00:00")
    switch = "switch.house_1_take_part_in_sharing"

    async def at(minutes: float) -> str:
        freezer.tick(timedelta(minutes=minutes))
        async_fire_time_changed(hass, dt_util.utcnow())
        await hass.async_block_till_done()
        return hass.states.get(switch).state

    assert await at(1.1) == "off"
    # Somebody resumes: the stop does not come again before the next evening.
    await hass.services.async_call("switch", "turn_on", {"entity_id": switch}, blocking=True)
    assert await at(60) == "on"
    asked = len(community.asked)
    assert await at(8 * 60) == "on"
    assert [each[1:3] for each in community.asked[asked:]] == [(None, "E001")]
    assert await at(15 * 60) == "off"
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)


async def test_cheap_hours_raise_the_level_and_dear_ones_lower_it(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    hass.states.async_set("sensor.price", "0.30")
    await automate(
        hass, "cheap_hours", price="sensor.price", cheap_below=0.2, ask_below="number.house_1_ask_below", cheap_level=60, normal_level=35
    )

    async def costs(price: str) -> list[float | None]:
        hass.states.async_set("sensor.price", price)
        await hass.async_block_till_done()
        return [asked[2] for asked in community.asked if asked[0] == "move_edges"]

    assert await costs("0.15") == [60.0]
    assert await costs("0.10") == [60.0]
    assert await costs("0.25") == [60.0, 35.0]
    assert await costs("unavailable") == [60.0, 35.0]


async def test_a_battery_that_is_too_warm_finishes_its_deals_and_comes_back_once_it_is_well(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    hass.states.async_set("sensor.temperature", "25")
    switch = "switch.house_1_take_part_in_sharing"
    await automate(hass, "protect_battery", figure="sensor.temperature", lowest=0, highest=40, take_part=switch, good_for={"minutes": 15})

    async def shows(temperature: str, minutes: float) -> str:
        hass.states.async_set("sensor.temperature", temperature)
        await hass.async_block_till_done()
        freezer.tick(timedelta(minutes=minutes))
        async_fire_time_changed(hass, dt_util.utcnow())
        await hass.async_block_till_done()
        return str(hass.states.get(switch).state)

    assert await shows("41", 1) == "off"
    assert await shows("39", 10) == "off"
    assert await shows("42", 10) == "off"
    assert await shows("38", 16) == "on"
    assert await shows("-3", 1) == "off"
    modes = [asked[1] for asked in community.asked if asked[0] == "set_mode"]
    assert modes == [OperationMode.HETERONOMOUS, OperationMode.HETERONOMOUS, None, OperationMode.HETERONOMOUS]
    # Who has taken the unit out has not the sensor's coming back to thank for being in again.
    assert await shows("20", 16) == "on"
    await hass.services.async_call("switch", "turn_off", {"entity_id": switch}, blocking=True)
    assert await shows("unavailable", 1) == "off"
    assert await shows("21", 16) == "off"


async def test_a_statement_comes_on_the_first_of_the_month_only(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-11-30 07:59:00+00:00")
    line = {"partner": "E002", "deals": 3, "shared_wh": 1250.0, "received_wh": 400.0, "points_earned": 12500.0, "points_paid": 4800.0}
    # A neighbour who has left the community is told of by the id.
    community.lines = ({"month": "2026-10", **line}, {"month": "2026-11", **line}, {"month": "2026-11", **line, "partner": "E009"})
    sent = async_mock_service(hass, "notify", "phone")
    await automate(hass, "monthly_statement", unit=unit(hass, loaded), notify="notify.phone", at="08:00:00")
    for day in ("2026-11-30 08:00:01+00:00", "2026-12-01 08:00:01+00:00", "2026-12-02 08:00:01+00:00"):
        freezer.move_to(day)
        async_fire_time_changed(hass, dt_util.utcnow())
        await hass.async_block_till_done()
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)
    (message,) = sent
    assert message.data["title"] == "House 1, 2026-11"
    said = "gave 1.25 kWh for 12500 points, received 0.4 kWh for 4800 points."
    assert message.data["message"].splitlines() == [f"House 2: {said}", f"E009: {said}"]


@pytest.mark.parametrize(
    ("ends", "words"),
    [("completed", "House 1 → House 2: 5.1 of 5 Wh, completed."), ("aborted", "House 1 → House 2: 5.1 of 5 Wh, aborted (cut).")],
)
async def test_a_commissioning_test_tells_how_its_deal_went(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, ends: str, words: str
) -> None:
    shutil.copytree(BLUEPRINTS / "script/apis", Path(hass.config.path("blueprints/script/apis")))
    told = async_mock_service(hass, "persistent_notification", "create")
    partner = dr.async_get(hass).async_get_device_by_identifier(("apis", f"{loaded.entry_id}_E002"), loaded.entry_id)
    assert partner is not None
    inputs = {"giver": unit(hass, loaded), "taker": partner.id, "amount_wh": 5}
    script = {"test": {"use_blueprint": {"path": "apis/commissioning.yaml", "input": inputs}}}
    assert await async_setup_component(hass, "script", {"script": script})
    made = asyncio.Event()
    whole = community.create_deal

    made_id = ""

    async def create_deal(*args: Any, **wish: Any) -> Any:
        nonlocal made_id
        made.set()
        deal = await whole(*args, **wish)
        made_id = deal.deal_id
        return deal

    with patch.object(community, "create_deal", create_deal):
        running = hass.async_create_task(hass.services.async_call("script", "test", blocking=True))
        async with asyncio.timeout(10):
            await made.wait()
        # The script goes on to listen for the end.
        for _ in range(50):
            await asyncio.sleep(0)
        assert hass.bus.async_listeners()["apis_deal"]
    assert community.asked[-1][:4] == ("create_deal", "E001", "E002", 5)
    other = {"type": "completed", "deal_id": "another", "from_name": "House 3", "to_name": "House 4", "exchanged_wh": 100, "amount_wh": 100}
    hass.bus.async_fire("apis_deal", other)
    await asyncio.sleep(0)
    assert told == []
    done = {"type": ends, "deal_id": made_id, "from_name": "House 1", "to_name": "House 2", "exchanged_wh": 5.1, "amount_wh": 5}
    hass.bus.async_fire("apis_deal", done | ({"reason": "cut"} if ends == "aborted" else {}))
    async with asyncio.timeout(10):
        await running
    (message,) = told
    assert " ".join(message.data["message"].split()) == words


async def test_self_sufficiency_of_any_period(hass: HomeAssistant) -> None:
    shutil.copytree(BLUEPRINTS / "template/apis", Path(hass.config.path("blueprints/template/apis")))
    inputs = {"used": "sensor.used", "mains": "sensor.mains"}
    template = [{"use_blueprint": {"path": "apis/self_sufficiency.yaml", "input": inputs}, "name": "Month"}]
    assert await async_setup_component(hass, "template", {"template": template})
    for used, mains, shown in (("0", "0", "unavailable"), ("200", "50", "75.0"), ("200", "260", "0.0"), ("unknown", "50", "unavailable")):
        hass.states.async_set("sensor.used", used)
        hass.states.async_set("sensor.mains", mains)
        await hass.async_block_till_done()
        assert hass.states.get("sensor.month").state == shown
