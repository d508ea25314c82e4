"""Every way in, every mistake on it, and back from each to success."""

from dataclasses import replace
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from apis_core.model.errors import ClusterError, CommandRefusedError, ConfigError, DriverError, Problem
from apis_core.model.unit_plan import UnitPlan
from apis_core.presets import community_hardware, community_policy, community_scenario, hardware, policy_for
from custom_components.apis.unit_form import limit_values, policy_values

from .conftest import FakeCommunity

URL = "http://192.168.1.9:4391"


async def begin(hass: HomeAssistant, way: str) -> str:
    menu = await hass.config_entries.flow.async_init("apis", context={"source": SOURCE_USER})
    assert menu["type"] is FlowResultType.MENU
    assert menu["menu_options"] == ["trial", "node", "daemon"]
    form = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": way})
    assert (form["type"], form["step_id"]) == (FlowResultType.FORM, way)
    return str(form["flow_id"])


async def test_houses_to_try(hass: HomeAssistant, community: FakeCommunity) -> None:
    done = await hass.config_entries.flow.async_configure(await begin(hass, "trial"), {"name": "Street", "units": 3.0})
    assert (done["type"], done["title"], done["data"]) == (FlowResultType.CREATE_ENTRY, "Street", {"kind": "trial", "units": 3})
    await hass.async_block_till_done()
    again = await hass.config_entries.flow.async_configure(await begin(hass, "trial"), {"name": "Other", "units": 3})
    assert (again["type"], again["reason"]) == (FlowResultType.ABORT, "already_configured")


@pytest.mark.parametrize(
    ("url", "error", "errors"),
    [
        ("192.168.1.9", None, {"url": "invalid_url"}),
        ("ftp://192.168.1.9", None, {"url": "invalid_url"}),
        ("http://[half", None, {"url": "invalid_url"}),
        (URL, ClusterError("nobody"), {"base": "cannot_connect"}),
        (URL, KeyError("units"), {"base": "unknown"}),
    ],
)
async def test_a_daemon_after_a_mistake(
    hass: HomeAssistant, community: FakeCommunity, url: str, error: Exception | None, errors: dict[str, str]
) -> None:
    flow_id = await begin(hass, "daemon")
    community.error = error
    form = await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "url": url})
    assert (form["type"], form["errors"]) == (FlowResultType.FORM, errors)
    community.error = None
    done = await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "url": URL + "/"})
    assert (done["type"], done["data"]) == (FlowResultType.CREATE_ENTRY, {"kind": "daemon", "url": URL})
    await hass.async_block_till_done()
    again = await hass.config_entries.flow.async_configure(await begin(hass, "daemon"), {"name": "Other", "url": URL})
    assert again["reason"] == "already_configured"


async def test_a_node_on_another_machine_is_paired_with_and_again_after_it_was_taken_back(
    hass: HomeAssistant, community: FakeCommunity
) -> None:
    configure = hass.config_entries.flow.async_configure
    community.token = "secret"
    flow_id = await begin(hass, "daemon")
    form = await configure(flow_id, {"name": "Street", "url": URL})
    assert (form["step_id"], form["description_placeholders"]) == ("pair", {"url": URL})
    assert (await configure(flow_id, {"code": "654321"}))["errors"] == {"code": "wrong_code"}
    community.error = ClusterError("nobody")
    assert (await configure(flow_id, {"code": "123456"}))["errors"] == {"base": "cannot_connect"}
    community.error = None
    done = await configure(flow_id, {"code": "123 456"})
    assert (done["type"], done["data"]) == (FlowResultType.CREATE_ENTRY, {"kind": "daemon", "url": URL, "token": "secret"})
    await hass.async_block_till_done()
    entry = done["result"]
    assert entry.state is ConfigEntryState.LOADED

    community.token = "another"
    await entry.runtime_data.coordinator.async_refresh()
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress()
    assert (flow["step_id"], flow["context"]["source"]) == ("reauth_confirm", "reauth")
    assert (await configure(flow["flow_id"], {"code": "000000"}))["errors"] == {"code": "wrong_code"}
    done = await configure(flow["flow_id"], {"code": "123456"})
    assert (done["type"], done["reason"]) == (FlowResultType.ABORT, "reauth_successful")
    await hass.async_block_till_done()
    assert (entry.state, entry.data["token"]) == (ConfigEntryState.LOADED, "another")

    # Taken back while Home Assistant was away.
    community.token = "third"
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    (flow,) = hass.config_entries.flow.async_progress()
    await configure(flow["flow_id"], {"code": "123456"})
    await hass.async_block_till_done()
    assert (entry.state, entry.data["token"]) == (ConfigEntryState.LOADED, "third")


async def test_a_node_without_units_is_none(hass: HomeAssistant, community: FakeCommunity) -> None:
    full, community.now = community.now, replace(community.now, units=())
    flow_id = await begin(hass, "daemon")
    form = await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "url": URL})
    assert form["errors"] == {"base": "no_units"}
    community.now = full
    assert (await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "url": URL}))["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_another_address(hass: HomeAssistant, community: FakeCommunity) -> None:
    entry, other = (
        MockConfigEntry(domain="apis", title=name, data={"kind": "daemon", "url": f"http://127.0.0.1:{port}"})
        for name, port in (("One", 1), ("Two", 2))
    )
    for each in (entry, other):
        each.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    form = await entry.start_reconfigure_flow(hass)
    assert form["step_id"] == "reconfigure"
    taken = await hass.config_entries.flow.async_configure(form["flow_id"], {"url": "http://127.0.0.1:2"})
    assert taken["reason"] == "already_configured"
    form = await entry.start_reconfigure_flow(hass)
    wrong = await hass.config_entries.flow.async_configure(form["flow_id"], {"url": "nowhere"})
    assert wrong["errors"] == {"url": "invalid_url"}
    done = await hass.config_entries.flow.async_configure(form["flow_id"], {"url": URL})
    assert (done["type"], done["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    await hass.async_block_till_done()
    assert entry.data["url"] == URL


async def test_another_address_is_that_of_the_same_node_and_is_paired_with_there(hass: HomeAssistant, community: FakeCommunity) -> None:
    configure = hass.config_entries.flow.async_configure
    old = {"kind": "daemon", "url": "http://127.0.0.1:1", "token": "old"}
    entry = MockConfigEntry(domain="apis", title="Street", unique_id="0123abcd", data=old)
    entry.add_to_hass(hass)
    community.token, community.node_id = "new", "another"
    form = await entry.start_reconfigure_flow(hass)
    wrong = await configure(form["flow_id"], {"url": URL})
    assert wrong["errors"] == {"url": "another_node"}
    assert community.shown_token is None
    community.node_id = "0123abcd"
    asked = community.identity
    with patch.object(community, "identity", side_effect=ClusterError("gone")):
        assert (await configure(form["flow_id"], {"url": URL}))["errors"] == {"base": "cannot_connect"}
    assert asked
    assert (await configure(form["flow_id"], {"url": URL}))["step_id"] == "pair"
    done = await configure(form["flow_id"], {"code": "123456"})
    assert (done["type"], done["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    await hass.async_block_till_done()
    # It was not loaded, and is now.
    assert (entry.data, entry.state) == ({**old, "url": URL, "token": "new"}, ConfigEntryState.LOADED)


async def test_houses_to_try_have_nothing_to_change(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    assert (await loaded.start_reconfigure_flow(hass))["reason"] == "nothing_to_change"


async def test_units_that_run_here_are_changed_one_by_one(hass: HomeAssistant) -> None:
    """Nobody is told to remove a community, and with it its ledger, for what can be changed."""
    entry = MockConfigEntry(domain="apis", title="Street", data={"kind": "node"}, options={"policy": policy_for(1).to_json()})
    entry.add_to_hass(hass)
    assert (await entry.start_reconfigure_flow(hass))["reason"] == "change_units"


async def test_units_from_an_installations_files(hass: HomeAssistant, community: FakeCommunity, tmp_path: Path) -> None:
    flow_id = await begin(hass, "node")
    wrong = await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "folder": str(tmp_path)})
    assert wrong["errors"] == {"base": "bad_files"}
    assert "found no unit, expected a folder with config.json" in wrong["description_placeholders"]["problems"]
    write_unit(tmp_path / "E001", "E001")
    (tmp_path / "E001/policy.json").rename(tmp_path / "E001/elsewhere.json")
    wrong = await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "folder": str(tmp_path)})
    assert "policy.json" in wrong["description_placeholders"]["problems"]
    (tmp_path / "E001/elsewhere.json").rename(tmp_path / "E001/policy.json")
    write_unit(tmp_path / "E002", "E002")
    done = await hass.config_entries.flow.async_configure(flow_id, {"name": "Street", "folder": str(tmp_path)})
    assert (done["type"], done["data"]) == (FlowResultType.CREATE_ENTRY, {"kind": "node"})
    await hass.async_block_till_done()
    entry = done["result"]
    assert entry.state is ConfigEntryState.LOADED
    assert [each.unique_id for each in entry.subentries.values()] == ["E001", "E002"]
    assert entry.options["policy"] == community_policy(2).to_json()
    again = await hass.config_entries.flow.async_configure(await begin(hass, "node"), {"name": "Other", "folder": str(tmp_path)})
    assert again["reason"] == "already_configured"


UNIT = {"name": "Mill", "unit_id": "E001", "driver": "dcdc_emulator", "host": "localhost", "port": 4390,
        "battery": {"host": "localhost", "port": 8080}}  # fmt: skip


def limits(preset: str | None = "balanced", **changes: Any) -> dict[str, Any]:
    """What a person enters in the form of a unit's limits."""
    values = limit_values(hardware())
    values |= {key: value for key, value in changes.items() if key in values}
    values["safety"] = values["safety"] | {key: value for key, value in changes.items() if key in values["safety"]}
    return values if preset is None else {**values, "preset": preset}


async def new_node(hass: HomeAssistant) -> MockConfigEntry:
    configure = hass.config_entries.flow.async_configure
    flow_id = await begin(hass, "node")
    await configure(flow_id, {"name": "Street"})
    await configure(flow_id, UNIT)
    done = await configure(flow_id, limits())
    await hass.async_block_till_done()
    return done["result"]  # type: ignore[no-any-return]


async def test_a_first_unit_after_every_mistake(hass: HomeAssistant, community: FakeCommunity) -> None:
    configure = hass.config_entries.flow.async_configure
    flow_id = await begin(hass, "node")
    assert (await configure(flow_id, {"name": "Street"}))["step_id"] == "unit"
    assert (await configure(flow_id, UNIT))["step_id"] == "limits"

    swapped = await configure(flow_id, limits(battery_voltage_range_v_low=60.0))
    assert swapped["errors"] == {"base": "bad_limits"}
    assert "safety.range.dcdc.meter.vb: found min 60.0 > max 58.4" in swapped["description_placeholders"]["problems"]

    community.probe_error = ConfigError((Problem("E001: gridCurrentCapacityA", "0.5 A", "at least 1 A"),))
    weak = await configure(flow_id, limits(grid_current_capacity_a=0.5))
    assert weak["errors"] == {"base": "bad_limits"}
    assert "found 0.5 A, expected at least 1 A" in weak["description_placeholders"]["problems"]

    community.probe_error = DriverError("nobody there")
    silent = await configure(flow_id, limits())
    assert (silent["step_id"], silent["errors"]) == ("unit", {"base": "device_silent"})
    assert silent["description_placeholders"]["problems"] == "- nobody there"
    community.probe_error = None
    assert (await configure(flow_id, UNIT))["step_id"] == "limits"
    done = await configure(flow_id, limits("storm"))
    assert (done["type"], done["data"]) == (FlowResultType.CREATE_ENTRY, {"kind": "node"})
    await hass.async_block_till_done()
    (unit,) = done["result"].subentries.values()
    plan = UnitPlan.from_json(dict(unit.data["unit"]))
    assert (unit.title, plan.unit_id, plan.device.port) == ("Mill", "E001", 4390)
    assert plan.scenario == community_scenario(4800.0, "storm")

    # The same device once more is refused.
    flow_id = await begin(hass, "node")
    await configure(flow_id, {"name": "Other"})
    await configure(flow_id, UNIT)
    assert (await configure(flow_id, limits()))["errors"] == {"base": "twin"}


async def test_a_unit_is_added_changed_and_removed(hass: HomeAssistant, community: FakeCommunity) -> None:
    entry = await new_node(hass)
    configure = hass.config_entries.subentries.async_configure
    begun = await hass.config_entries.subentries.async_init((entry.entry_id, "unit"), context={"source": SOURCE_USER})
    assert (await configure(begun["flow_id"], UNIT))["errors"] == {"unit_id": "already_there"}
    other = {**UNIT, "unit_id": "E009", "name": "Barn"}
    assert (await configure(begun["flow_id"], other))["step_id"] == "limits"
    swapped = await configure(begun["flow_id"], limits(temperature_range_c_low=50.0))
    assert swapped["errors"] == {"base": "bad_limits"}
    community.probe_error = ConfigError((Problem("E009: gridCurrentCapacityA", "9 A", "at most 7 A, as its driver says"),))
    assert (await configure(begun["flow_id"], limits()))["errors"] == {"base": "bad_limits"}
    community.probe_error = DriverError("nobody there")
    silent = await configure(begun["flow_id"], limits())
    assert (silent["step_id"], silent["errors"]) == ("user", {"base": "device_silent"})
    assert silent["description_placeholders"]["problems"] == "- nobody there"
    community.probe_error = None
    await configure(begun["flow_id"], other)
    assert (await configure(begun["flow_id"], limits()))["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert community.asked[-1] == ("add_unit", "E009", "Home Assistant")
    devices = dr.async_get(hass)
    new = next(each for each in entry.subentries.values() if each.unique_id == "E009")
    found = {each.name for each in dr.async_entries_for_config_entry(devices, entry.entry_id) if new.subentry_id == each.config_subentry_id}
    assert "Barn" in found

    form = await hass.config_entries.subentries.async_init(
        (entry.entry_id, "unit"), context={"source": SOURCE_RECONFIGURE, "subentry_id": new.subentry_id}
    )
    assert form["step_id"] == "reconfigure"
    assert (await configure(form["flow_id"], {**other, "name": "Byre"}))["step_id"] == "limits"
    done = await configure(form["flow_id"], limits(None))
    assert (done["type"], done["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    await hass.async_block_till_done()
    assert community.asked[-1] == ("update_unit", "E009", "Byre", "Home Assistant")
    assert "Byre" in {each.name for each in dr.async_entries_for_config_entry(devices, entry.entry_id)}

    assert hass.config_entries.async_remove_subentry(entry, new.subentry_id)
    await hass.async_block_till_done()
    assert community.asked[-1] == ("remove_unit", "E009", "Home Assistant")
    assert not {"Barn", "Byre"} & {each.name for each in dr.async_entries_for_config_entry(devices, entry.entry_id)}
    # Nobody else was touched, and the entry was not begun anew.
    assert [what[0] for what in community.asked if what[0].endswith("_unit")] == ["add_unit", "update_unit", "remove_unit"]
    assert entry.state is ConfigEntryState.LOADED


async def test_what_the_units_refuse_is_told_and_tried_again_with_the_next_change(
    hass: HomeAssistant, community: FakeCommunity, issue_registry: ir.IssueRegistry
) -> None:
    entry = await new_node(hass)
    (unit,) = entry.subentries.values()

    async def rename(name: str) -> None:
        plan = replace(UnitPlan.from_json(dict(unit.data["unit"])), name=name)
        hass.config_entries.async_update_subentry(entry, unit, data={"unit": plan.to_json()})
        await hass.async_block_till_done()

    community.error = CommandRefusedError("its converter is on")
    await rename("Byre")
    issue = issue_registry.async_get_issue("apis", f"unit_not_taken_{entry.entry_id}_E001")
    assert issue is not None
    assert (issue.translation_placeholders or {})["reason"] == "its converter is on"
    community.error = None
    await rename("Shed")
    assert community.asked[-1] == ("update_unit", "E001", "Shed", "Home Assistant")
    assert issue_registry.async_get_issue("apis", f"unit_not_taken_{entry.entry_id}_E001") is None
    # What is taken back is no problem either, and none outlives its entry.
    for way_out in ("back", "away"):
        community.error = CommandRefusedError("its converter is on")
        await rename("Byre")
        assert issue_registry.async_get_issue("apis", f"unit_not_taken_{entry.entry_id}_E001") is not None
        community.error = None
        if way_out == "back":
            await rename("Shed")
        else:
            await hass.config_entries.async_unload(entry.entry_id)
        assert issue_registry.async_get_issue("apis", f"unit_not_taken_{entry.entry_id}_E001") is None


async def test_without_any_unit_there_is_nothing_to_run(hass: HomeAssistant, community: FakeCommunity) -> None:
    entry = await new_node(hass)
    (unit,) = entry.subentries.values()
    hass.config_entries.async_remove_subentry(entry, unit.subentry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert entry.reason == "No unit runs here yet: add one to the community"


async def test_the_policy_is_changed_after_a_mistake(hass: HomeAssistant, community: FakeCommunity) -> None:
    entry = await new_node(hass)
    configure = hass.config_entries.options.async_configure
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    assert menu["menu_options"] == ["policy", "sensors", "points", "energy"]
    form = await configure(menu["flow_id"], {"next_step_id": "policy"})
    values = policy_values(policy_for(1))
    for wrong, words in (
        ({"operation_grid_voltage_v": 500}, "operationGridVoltageV: found 500"),
        ({"deal_grid_current_a": 3.0}, "E001: gridCurrentCapacityA: found 2.3 A, expected at least"),
    ):
        form = await configure(menu["flow_id"], values | wrong)
        assert form["errors"] == {"base": "bad_limits"}
        assert words in form["description_placeholders"]["problems"]
    done = await configure(menu["flow_id"], values | {"deal_amount_max_wh": 100.0})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert entry.options["policy"]["mediator"]["deal"]["amountMaxWh"] == 100
    assert entry.state is ConfigEntryState.LOADED


async def test_a_houses_own_sensors_and_name(hass: HomeAssistant, loaded: MockConfigEntry, community: FakeCommunity) -> None:
    configure = hass.config_entries.options.async_configure
    running = loaded.runtime_data
    hass.states.async_set("sensor.meter", "1.5", {"unit_of_measurement": "kW", "device_class": "power"})
    menu = await hass.config_entries.options.async_init(loaded.entry_id)
    form = await configure(menu["flow_id"], {"next_step_id": "sensors"})
    form = await configure(form["flow_id"], {"unit_id": "E001"})
    done = await configure(form["flow_id"], {"name": "Mill", "mains": "sensor.meter"})
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert loaded.options == {"sensors": {"E001": {"mains": "sensor.meter"}}, "aliases": {"E001": "Mill"}}
    units = {unit.unit_id: unit for unit in loaded.runtime_data.coordinator.data.units}
    assert (units["E001"].mains_w, units["E002"].mains_w) == (1500.0, None)
    # The units went on meanwhile: nothing was begun anew, and the new figure is there.
    assert loaded.runtime_data is running
    assert hass.states.get("sensor.house_1_mains_power").state == "1500.0"
    # What is taken away again is gone.
    menu = await hass.config_entries.options.async_init(loaded.entry_id)
    form = await configure(menu["flow_id"], {"next_step_id": "sensors"})
    form = await configure(form["flow_id"], {"unit_id": "E001"})
    await configure(form["flow_id"], {})
    await hass.async_block_till_done()
    assert loaded.options == {"sensors": {}, "aliases": {}}
    # The community may be called otherwise at any time.
    hass.config_entries.async_update_entry(loaded, title="Lane")
    await hass.async_block_till_done()
    device = dr.async_get(hass).async_get_device_by_identifier(("apis", loaded.entry_id), loaded.entry_id)
    assert device is not None
    assert device.name == "Lane"
    assert loaded.runtime_data is running


async def test_a_community_that_is_not_there_has_no_houses_to_choose(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    done = await hass.config_entries.options.async_configure(menu["flow_id"], {"next_step_id": "sensors"})
    assert done["reason"] == "not_loaded"


def write_unit(folder: Path, unit_id: str) -> None:
    """A unit's files in the original's form."""
    folder.mkdir()
    names = {name: f"./{name}.json" for name in ("hwConfig", "policy", "scenario")}
    config = {"unitId": unit_id, "systemType": "dcdc_emulator", **{f"{name}File": path for name, path in names.items()}}
    for name, content in (
        ("config", config),
        ("hwConfig", community_hardware().to_json()),
        ("policy", community_policy(2).to_json()),
        ("scenario", community_scenario().to_json()),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content))
