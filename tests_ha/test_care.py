"""Diagnostics, system health and repairs."""

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState, ConfigSubentryData
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events, get_system_health_info
from pytest_homeassistant_custom_component.components.diagnostics import get_diagnostics_for_config_entry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from apis_core.model.errors import ClusterError, CommandRefusedError
from apis_core.model.installation import Address
from apis_core.model.unit_plan import UnitPlan
from apis_core.model.view import Event
from apis_core.presets import community_scenario, hardware, policy_for, scenario
from custom_components.apis.logbook import async_describe_events

from .conftest import NOW, FakeCommunity, a_deal


async def test_diagnostics_help_and_tell_nothing_private(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    found: dict[str, Any] = await get_diagnostics_for_config_entry(hass, hass_client, loaded)
    assert found["community"]["snapshot"]["gridMaster"] == "E001"
    assert found["community"]["units"].keys() == {"E001", "E002"}
    assert found["community"]["policy"]["memberUnitIds"] == ["E001", "E002"]
    assert {unit["name"] for unit in found["community"]["snapshot"]["units"]} == {"**REDACTED**"}
    assert found["entry"]["title"] == "**REDACTED**"


async def test_no_sentence_in_diagnostics_names_a_house_or_a_host(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    whole = await community.diagnostics()
    url = "http://mill.local:4380"
    whole["snapshot"]["units"][0]["device_url"] = url
    reason = f"E001 (House 1): Cannot connect to host mill.local:4380, nor to {url}/x or 10.0.0.7, version 0.1.0"
    whole["events"] = [{"text": reason, "deal": {"abortReason": "House 2 of Street said no"}}]
    with patch.object(community, "diagnostics", return_value=whole):
        found: dict[str, Any] = await get_diagnostics_for_config_entry(hass, hass_client, loaded)
    (event,) = found["community"]["events"]
    assert event["deal"]["abortReason"] == "**REDACTED** of **REDACTED** said no"
    hidden = "**REDACTED**"
    assert event["text"] == f"E001 ({hidden}): Cannot connect to host {hidden}:4380, nor to {hidden}/x or {hidden}, version 0.1.0"
    assert found["community"]["snapshot"]["gridMaster"] == "E001"


async def test_system_health(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    assert await async_setup_component(hass, "system_health", {})
    await hass.async_block_till_done()
    assert await get_system_health_info(hass, "apis") == {"communities": 1, "units": "2 / 2", "active_deals": 0}
    community.now = replace(community.now, deals=(a_deal(),))
    await loaded.runtime_data.coordinator.async_refresh()
    community.error = ClusterError("away")
    await loaded.runtime_data.coordinator.async_refresh()
    assert await get_system_health_info(hass, "apis") == {"communities": 1, "units": "0 / 2", "active_deals": 0}


async def test_a_unit_that_does_not_answer_is_a_problem_until_it_does(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    registry, well = ir.async_get(hass), community.now
    issue_id = f"unit_unreachable_{loaded.entry_id}_E001"
    community.now = replace(well, units=(replace(well.units[0], alive=False), well.units[1]))
    for _ in range(2):
        await loaded.runtime_data.coordinator.async_refresh()
    issue = registry.async_get_issue("apis", issue_id)
    assert issue is not None
    assert not issue.is_fixable
    community.now = well
    await loaded.runtime_data.coordinator.async_refresh()
    assert registry.async_get_issue("apis", issue_id) is None


async def test_an_emergency_stop_is_released_by_its_repair(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    assert await async_setup_component(hass, "repairs", {})
    community.now = replace(community.now, mode="stop", alert="leak of 0.4 A")
    await loaded.runtime_data.coordinator.async_refresh()
    issue_id = f"stopped_{loaded.entry_id}"
    issue = ir.async_get(hass).async_get_issue("apis", issue_id)
    assert issue is not None
    assert issue.translation_placeholders == {"community": "Street", "reason": "leak of 0.4 A"}
    client = await hass_client()
    begun = await client.post("/api/repairs/issues/fix", json={"handler": "apis", "issue_id": issue_id})
    assert begun.status == HTTPStatus.OK
    flow = await begun.json()
    # A refusal is said, and the problem stays.
    community.error = CommandRefusedError("a leak is measured")
    refused = await (await client.post(f"/api/repairs/issues/fix/{flow['flow_id']}", json={})).json()
    assert (refused["type"], refused["reason"]) == ("abort", "refused")
    assert refused["description_placeholders"] == {"reason": "a leak is measured"}
    assert ir.async_get(hass).async_get_issue("apis", issue_id) is not None
    community.error = None
    flow = await (await client.post("/api/repairs/issues/fix", json={"handler": "apis", "issue_id": issue_id})).json()
    done = await (await client.post(f"/api/repairs/issues/fix/{flow['flow_id']}", json={})).json()
    assert done["type"] == "create_entry"
    assert community.asked[-1] == ("resume", "Home Assistant")
    await hass.async_block_till_done()
    assert ir.async_get(hass).async_get_issue("apis", issue_id) is None


async def test_problems_go_with_the_entry(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    community.now = replace(community.now, alert="leak")
    await loaded.runtime_data.coordinator.async_refresh()
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert ir.async_get(hass).async_get_issue("apis", f"stopped_{loaded.entry_id}") is None


async def test_deals_are_told_in_plain_words(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    describers: dict[str, Any] = {}
    async_describe_events(hass, lambda _domain, name, describe: describers.update({name: describe}))
    done = replace(
        a_deal(), activate_time=NOW, start_time=NOW, deactivate_time=NOW, cumulate_amount_wh=40.2, abort_time=NOW, abort_reason="cut"
    )
    told = async_capture_events(hass, "apis_deal")
    for state, deal in (("started", replace(a_deal(), start_time=NOW, activate_time=NOW)), ("ended", done)):
        community.events.put_nowait(Event("deal", NOW, "", "E001", {"state": state, "deal": deal.to_json()}))
        await hass.async_block_till_done()
    entries = [describers["apis_deal"](event) for event in told]
    assert [f"{entry['name']} {entry['message']}" for entry in entries] == [
        "House 1 began sending 100 Wh to House 2",
        "House 1 stopped sending to House 2 after 40 of 100 Wh: cut",
    ]


async def test_problems_of_the_whole_community(
    hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    def issues() -> set[str]:
        return {issue_id.removesuffix(f"_{loaded.entry_id}") for _, issue_id in ir.async_get(hass).issues}

    async def look(seconds: float, **changes: Any) -> set[str]:
        freezer.tick(seconds)
        community.now = replace(community.now, **changes)
        await loaded.runtime_data.coordinator.async_refresh()
        return issues()

    assert await look(60, grid_master=None) == set()
    assert await look(60) == {"no_grid_master"}
    assert await look(5, grid_master="E001") == set()
    # Nobody leads while nothing is shared, and that is no problem.
    assert await look(600, grid_master=None, mode="stop") == set()
    assert await look(5, version="9.0.1", grid_master="E001") == {"other_version"}
    assert await look(5, version="0.1.7") == set()


async def test_one_device_driven_by_two_communities(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    other = MockConfigEntry(domain="apis", title="Other", data={"kind": "daemon", "url": "http://127.0.0.1:1"})
    other.add_to_hass(hass)
    units = tuple(replace(unit, device_url="http://10.0.0.5:4380" if unit.unit_id == "E001" else "") for unit in community.now.units)
    community.now = replace(community.now, units=units)
    await loaded.runtime_data.coordinator.async_refresh()
    assert await hass.config_entries.async_setup(other.entry_id)
    await hass.async_block_till_done()
    issue = ir.async_get(hass).async_get_issue("apis", f"twin_unit_{other.entry_id}_E001")
    assert issue is not None
    assert issue.translation_placeholders == {"unit": "E001", "community": "Other", "other": "Street"}
    assert ir.async_get(hass).async_get_issue("apis", f"twin_unit_{other.entry_id}_E002") is None


async def test_units_that_work_by_an_older_policy_begin_anew_on_a_persons_word(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, community: FakeCommunity
) -> None:
    assert await async_setup_component(hass, "repairs", {})
    plan = UnitPlan("E001", "dcdc_emulator", hardware(), scenario(), Address("localhost", 1), Address("localhost", 2))
    unit = ConfigSubentryData(data={"unit": plan.to_json()}, subentry_type="unit", title="E001", unique_id="E001")
    options = {"policy": policy_for(1).to_json()}
    entry = MockConfigEntry(domain="apis", title="Street", data={"kind": "node"}, options=options, subentries_data=[unit])
    entry.add_to_hass(hass)
    community.agreed = replace(policy_for(2), deal_amount_max_wh=100)
    assert await hass.config_entries.async_setup(entry.entry_id)
    issue_id = f"other_policy_{entry.entry_id}"
    assert ir.async_get(hass).async_get_issue("apis", issue_id) is not None
    community.agreed = policy_for(2)
    client = await hass_client()
    begun = await (await client.post("/api/repairs/issues/fix", json={"handler": "apis", "issue_id": issue_id})).json()
    done = await (await client.post(f"/api/repairs/issues/fix/{begun['flow_id']}", json={})).json()
    assert done["type"] == "create_entry"
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert ir.async_get(hass).async_get_issue("apis", issue_id) is None


async def test_a_clock_that_is_wrong_is_told_of_until_it_is_right(
    hass: HomeAssistant, community: FakeCommunity, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(NOW)
    entry = MockConfigEntry(domain="apis", title="Street", data={"kind": "daemon", "url": "http://127.0.0.1:1"})
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    registry, issue_id = ir.async_get(hass), f"clock_skew_{entry.entry_id}"
    for ahead_s, is_told in ((0, False), (29, False), (-95, True), (3600, True), (0, False)):
        community.now = replace(community.now, time=NOW + timedelta(seconds=ahead_s))
        await entry.runtime_data.coordinator.async_refresh()
        issue = registry.async_get_issue("apis", issue_id)
        assert (issue is not None) == is_told
    community.now = replace(community.now, time=NOW + timedelta(hours=1), acceleration=60.0)
    await entry.runtime_data.coordinator.async_refresh()
    assert registry.async_get_issue("apis", issue_id) is None


async def test_a_gap_in_a_scenario_is_filled_by_its_repair(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, loaded: MockConfigEntry, community: FakeCommunity
) -> None:
    assert await async_setup_component(hass, "repairs", {})
    (band,) = community_scenario().bands
    begins, ends = (replace(band, start_s=start * 3600, end_s=end * 3600) for start, end in ((6, 12), (14, 22)))
    community.scenarios["E002"] = replace(community_scenario(), bands=(begins, ends))
    well = community.now
    community.now = replace(well, units=(well.units[0], replace(well.units[1], scenario_gap="00:00:00-06:00:00, 12:00:00-14:00:00")))
    await loaded.runtime_data.coordinator.async_refresh()
    issue_id = f"scenario_gap_{loaded.entry_id}_E002"
    client = await hass_client()
    begun = await (await client.post("/api/repairs/issues/fix", json={"handler": "apis", "issue_id": issue_id})).json()
    assert "12:00:00-14:00:00" in begun["description_placeholders"]["times"]
    community.error = ClusterError("nobody")
    failed = await (await client.post(f"/api/repairs/issues/fix/{begun['flow_id']}", json={})).json()
    assert (failed["type"], failed["reason"]) == ("abort", "no_answer")
    community.error = None
    begun = await (await client.post("/api/repairs/issues/fix", json={"handler": "apis", "issue_id": issue_id})).json()
    community.now = well
    done = await (await client.post(f"/api/repairs/issues/fix/{begun['flow_id']}", json={})).json()
    assert done["type"] == "create_entry"
    kind, unit_id, scenario, who = community.asked[-1]
    assert (kind, unit_id, who) == ("set_scenario", "E002", "Home Assistant")
    assert [(each.start_s, each.end_s) for each in scenario.bands] == [(6 * 3600, 14 * 3600), (14 * 3600, 6 * 3600)]
    assert scenario.gaps() == ()
    assert ir.async_get(hass).async_get_issue("apis", issue_id) is None


async def test_a_driver_tells_how_it_is_and_that_it_is_old(hass: HomeAssistant, community: FakeCommunity) -> None:
    entry = MockConfigEntry(domain="apis", title="Street", data={"kind": "daemon", "url": "http://127.0.0.1:1"})
    entry.add_to_hass(hass)
    health = {"status": "trouble", "trips": 2, "line": {"failures": 7}}
    first = replace(community.now.units[0], driver="dcdc_v2", driver_version="0.0.9", driver_health=health)
    community.now = replace(community.now, units=(first, community.now.units[1]))
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    def state(entity_id: str) -> str | None:
        found = hass.states.get(entity_id)
        return None if found is None else found.state

    assert state("binary_sensor.house_1_converter_driver_problem") == "on"
    assert state("sensor.house_1_converter_stops_by_the_driver") == "2"
    assert state("sensor.house_1_converter_line_failures") == "7"
    assert state("update.house_1_converter_driver") == "on"
    # The node has the version that this integration is made for; the emulated house has no driver of its own.
    assert state("update.street_node") == "off"
    assert state("update.house_2_converter_driver") is None
    # A driver that is heard of later is shown from then on.
    second = replace(community.now.units[1], driver="dcdc_v2", driver_version="0.1.0", driver_health=health)
    community.now = replace(community.now, units=(first, second))
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    assert state("update.house_2_converter_driver") == "off"
    assert state("sensor.house_2_converter_line_failures") == "7"
    assert state("binary_sensor.house_2_converter_driver_problem") == "on"
    # Nothing is claimed while the driver does not answer.
    community.now = replace(community.now, units=(replace(first, driver_health={}), community.now.units[1]))
    await entry.runtime_data.coordinator.async_refresh()
    assert state("binary_sensor.house_1_converter_driver_problem") == "unknown"


async def test_diagnostics_of_what_does_not_answer(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, community: FakeCommunity
) -> None:
    data = {"kind": "daemon", "url": "http://mill.local:4391", "token": "a secret"}
    entry = MockConfigEntry(domain="apis", title="Street", data=data)
    entry.add_to_hass(hass)
    community.error = ClusterError("Cannot connect to host mill.local:4391")
    await hass.config_entries.async_setup(entry.entry_id)
    found: dict[str, Any] = await get_diagnostics_for_config_entry(hass, hass_client, entry)
    assert (found["entry"]["state"], found["community"]) == ("setup_retry", {})
    assert "does not answer" in found["entry"]["reason"]
    community.error = None
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    with patch.object(community, "diagnostics", side_effect=ClusterError("Cannot connect to host mill.local:4391")):
        gone: dict[str, Any] = await get_diagnostics_for_config_entry(hass, hass_client, entry)
    assert gone["community"]["problem"] == "Cannot connect to host **REDACTED**:4391"
    assert gone["community"]["snapshot"]["gridMaster"] == "E001"
    assert not any(each in str(told) for told in (found, gone) for each in ("mill.local", "a secret", "House 1"))
