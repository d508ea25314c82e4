"""Every way in, every mistake on it, and back from each to success."""

import json
from pathlib import Path

from homeassistant.config_entries import SOURCE_USER, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from apis_core.model.errors import ClusterError
from apis_core.presets import community_hardware, community_policy, community_scenario

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


async def test_a_node_without_units_is_none(hass: HomeAssistant, community: FakeCommunity) -> None:
    from dataclasses import replace

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


async def test_houses_to_try_have_nothing_to_change(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    assert (await loaded.start_reconfigure_flow(hass))["reason"] == "nothing_to_change"


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
    assert (done["type"], done["data"]) == (FlowResultType.CREATE_ENTRY, {"kind": "node", "folder": str(tmp_path)})
    await hass.async_block_till_done()
    assert done["result"].state is ConfigEntryState.LOADED
    again = await hass.config_entries.flow.async_configure(await begin(hass, "node"), {"name": "Other", "folder": str(tmp_path)})
    assert again["reason"] == "already_configured"


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
