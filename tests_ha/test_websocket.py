"""What cards ask for and are told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from apis_core.model.errors import ClusterError, CommandRefusedError
from apis_core.presets import community_scenario

from .conftest import NOW, FakeCommunity, a_deal


class Card:
    """A card's connection."""

    def __init__(self, client: Any, entry_id: str) -> None:
        self.client, self.entry_id = client, entry_id

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        await self.client.send_json_auto_id({"type": f"apis/{kind}", "entry_id": self.entry_id, **fields})
        answer: dict[str, Any] = await self.client.receive_json()
        return answer


@pytest.fixture
async def card(loaded: MockConfigEntry, hass_ws_client: WebSocketGenerator) -> Card:
    return Card(await hass_ws_client(), loaded.entry_id)


async def test_communities_are_listed(loaded: MockConfigEntry, card: Card) -> None:
    await card.client.send_json_auto_id({"type": "apis/communities"})
    found = await card.client.receive_json()
    assert found["result"] == [{"entry_id": loaded.entry_id, "title": "Street", "loaded": True}]


async def test_what_changes_is_pushed_until_the_card_lets_go(
    hass: HomeAssistant, loaded: MockConfigEntry, card: Card, community: FakeCommunity
) -> None:
    subscribed = await card.ask("subscribe")
    assert subscribed["success"]
    first = (await card.client.receive_json())["event"]
    assert (first["kind"], first["snapshot"]["gridMaster"], first["snapshot"]["isAdmin"]) == ("snapshot", "E001", True)
    deal = a_deal()
    community.now = replace(community.now, deals=(deal,))
    await loaded.runtime_data.coordinator.async_refresh()
    second = (await card.client.receive_json())["event"]["snapshot"]
    assert [(each["deal_id"], each["from"], each["to"]) for each in second["deals"]] == [("d1", "E001", "E002")]
    # That time has passed is no news.
    community.now = replace(community.now, time=NOW + timedelta(minutes=1))
    await loaded.runtime_data.coordinator.async_refresh()
    await card.client.send_json_auto_id({"type": "unsubscribe_events", "subscription": subscribed["id"]})
    assert (await card.client.receive_json())["success"]
    community.now = replace(community.now, deals=())
    await loaded.runtime_data.coordinator.async_refresh()
    assert (await card.ask("statement", unit_id="E001"))["type"] == "result"


async def test_a_resident_sees_who_shares_and_nothing_private(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
    community: FakeCommunity,
) -> None:
    hass.config_entries.async_update_entry(loaded, options={"aliases": {"E001": "Mill"}})
    await hass.async_block_till_done()
    card = Card(await hass_ws_client(hass, hass_read_only_access_token), loaded.entry_id)
    await card.ask("subscribe")
    shown = (await card.client.receive_json())["event"]["snapshot"]
    assert [unit["name"] for unit in shown["units"]] == ["Mill", "House 2"]
    assert not {"serial_number", "last_error", "device_url", "driver_health"} & shown["units"][0].keys()


async def test_scenarios_deals_and_statements(card: Card, community: FakeCommunity) -> None:
    scenario = community_scenario().to_json()
    found = (await card.ask("scenario", unit_id="E001"))["result"]
    assert (found["scenario"], found["versions"][0]["who"]) == (scenario, "start")
    assert (await card.ask("preview", unit_id="E001"))["result"]["now"] == {"status": "excess"}
    await card.ask("preview", unit_id="E001", scenario=scenario)
    assert community.asked[-1] == ("preview_scenario", "E001", community_scenario())
    assert (await card.ask("set_scenario", unit_id="E001", scenario=scenario))["success"]
    assert community.asked[-1][:3] == ("set_scenario", "E001", community_scenario())
    assert (await card.ask("statement", unit_id="E001"))["result"][0]["partner"] == "E002"
    community.past = (a_deal(),)
    found = (await card.ask("deals", unit_id="E001", **{"from": "2026-11-01T00:00:00+09:00"}))["result"]
    assert [each["deal_id"] for each in found] == ["d1"]
    assert community.asked[-1][1].isoformat() == "2026-10-31T15:00:00+00:00"


async def test_what_is_refused_says_why(hass: HomeAssistant, loaded: MockConfigEntry, card: Card, community: FakeCommunity) -> None:
    for kind in ("preview", "set_scenario"):
        wrong = await card.ask(kind, unit_id="E001", scenario={"25:00": {}})
        assert wrong["error"]["code"] == "bad_scenario"
    community.error = CommandRefusedError("unit E009: expected one of E001, E002")
    refused = await card.ask("statement", unit_id="E009")
    assert refused["error"] == {"code": "refused", "message": "unit E009: expected one of E001, E002"}
    # Where a node is, is nobody's business who only looks.
    community.error = ClusterError("http://10.0.0.9:4391: Cannot connect")
    silent = await card.ask("statement", unit_id="E001")
    assert silent["error"] == {"code": "no_answer", "message": "The community does not answer now."}
    community.error = None
    assert await hass.config_entries.async_unload(loaded.entry_id)
    for kind, fields in (
        ("subscribe", {}),
        ("deals", {}),
        ("scenario", {"unit_id": "E001"}),
        ("preview", {"unit_id": "E001"}),
        ("statement", {"unit_id": "E001"}),
        ("set_scenario", {"unit_id": "E001", "scenario": {}}),
    ):
        assert (await card.ask(kind, **fields))["error"]["code"] == "not_loaded"


async def test_a_card_is_told_that_the_community_has_gone(hass: HomeAssistant, loaded: MockConfigEntry, card: Card) -> None:
    subscribed = await card.ask("subscribe")
    assert subscribed["success"]
    assert (await card.client.receive_json())["event"]["kind"] == "snapshot"
    assert await hass.config_entries.async_reload(loaded.entry_id)
    await hass.async_block_till_done()
    assert (await card.client.receive_json())["event"] == {"kind": "gone"}
    # What is new is told to whoever asks anew.
    assert (await card.ask("subscribe"))["success"]
    assert (await card.client.receive_json())["event"]["kind"] == "snapshot"


async def test_whoever_may_only_look_changes_no_scenario(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
    community: FakeCommunity,
) -> None:
    card = Card(await hass_ws_client(hass, hass_read_only_access_token), loaded.entry_id)
    refused = await card.ask("set_scenario", unit_id="E001", scenario=community_scenario().to_json())
    assert refused["error"]["code"] == "unauthorized"
    assert not [asked for asked in community.asked if asked[0] == "set_scenario"]


async def test_a_time_that_is_none_is_refused(card: Card) -> None:
    assert (await card.ask("deals", **{"from": "yesterday"}))["error"]["code"] == "invalid_format"


async def test_entities_are_found_by_their_keys(hass: HomeAssistant, loaded: MockConfigEntry, card: Card) -> None:
    found = (await card.ask("entities"))["result"]
    assert found["entities"]["community_mode"] == "select.street_mode"
    first = found["units"]["E001"]
    assert first["entities"]["scenario_preset"] == "select.house_1_scenario"
    assert first["entities"]["state_of_charge"] == "sensor.house_1_battery_battery"
    assert dr.async_get(hass).async_get(first["device_id"]) is not None
    assert found["device_id"] != first["device_id"]
    # What is off by default is not there.
    assert "last_error" not in first["entities"]


async def test_an_ignored_discovery_is_no_community(hass: HomeAssistant, loaded: MockConfigEntry, card: Card) -> None:
    MockConfigEntry(domain="apis", title="Ignored", source="ignore", data={}).add_to_hass(hass)
    await card.client.send_json_auto_id({"type": "apis/communities"})
    found = await card.client.receive_json()
    assert [entry["title"] for entry in found["result"]] == ["Street"]


async def test_a_house_whose_device_is_silent_is_not_shown_as_it_was(
    hass: HomeAssistant, loaded: MockConfigEntry, card: Card, community: FakeCommunity
) -> None:
    first, second = community.now.units
    community.now = replace(community.now, units=(replace(first, answers=False), second))
    await loaded.runtime_data.coordinator.async_refresh()
    await card.ask("subscribe")
    shown = (await card.client.receive_json())["event"]["snapshot"]["units"]
    assert [unit["alive"] for unit in shown] == [False, True]
    state = hass.states.get("sensor.house_1_battery_battery")
    assert state is not None
    assert state.state == "unavailable"
