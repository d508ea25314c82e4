"""The actions: what they ask of the community, what they answer, and what they refuse."""

import csv
from dataclasses import replace
import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized, UnknownUser
from homeassistant.helpers import device_registry as dr
from probatio import Invalid
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from apis_core.emulator.faults import UnitFault
from apis_core.model.errors import CommandRefusedError
from apis_core.model.modes import CommandKind, OperationMode
from apis_core.presets import community_scenario
from custom_components.apis.services import FAULTS

from .conftest import NOW, FakeCommunity, a_deal


@pytest.fixture
def device(hass: HomeAssistant, loaded: MockConfigEntry) -> dict[str, str]:
    """Device ids by unit; `street` is the community's."""
    registry = dr.async_get(hass)
    names = {"street": "", "E001": "_E001", "E002": "_E002"}
    found = {}
    for name, suffix in names.items():
        entry = registry.async_get_device_by_identifier(("apis", f"{loaded.entry_id}{suffix}"), loaded.entry_id)
        assert entry is not None
        found[name] = entry.id
    return found


async def call(hass: HomeAssistant, action: str, *, answer: bool = True, context: Context | None = None, **data: Any) -> Any:
    return await hass.services.async_call("apis", action, data, blocking=True, return_response=answer, context=context)


async def test_actions_are_there_before_any_entry(hass: HomeAssistant) -> None:
    from homeassistant.setup import async_setup_component

    assert await async_setup_component(hass, "apis", {})
    assert len(hass.services.async_services_for_domain("apis")) == 12
    with pytest.raises(ServiceValidationError):
        await call(hass, "get_deals")


async def test_whoever_may_only_look_changes_nothing(
    hass: HomeAssistant, community: FakeCommunity, device: dict[str, str], hass_read_only_user: MockUser, hass_admin_user: MockUser
) -> None:
    resident = Context(user_id=hass_read_only_user.id)
    house, street = {"device_id": device["E001"]}, dict[str, str]()
    rule = {"band": "00:00:00-24:00:00", "status": "excess", "kind": "request", "direction": "discharge", "limit_wh": 100}
    changes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("set_scenario", {**house, "scenario": community_scenario().to_json()}),
        ("update_scenario_rule", {**house, **rule}),
        ("create_deal", {**house, "partner_device_id": device["E002"], "amount_wh": 50}),
        ("set_mode", {**house, "mode": "stop"}),
        ("set_mode", {**street, "mode": "stop"}),
        ("stop_deal", {"deal_id": "d1"}),
    )
    for action, data in changes:
        with pytest.raises(Unauthorized):
            await call(hass, action, answer=False, context=resident, **data)
    assert community.asked == []
    # One who may control the house may, and nothing else.
    hass_read_only_user.mock_policy({"entities": {"entity_ids": {"select.house_1_scenario": True}}})
    await call(hass, "set_scenario", answer=False, context=resident, **changes[0][1])
    assert community.asked[-1][3] == f"{hass_read_only_user.name} (Home Assistant)"
    with pytest.raises(Unauthorized):
        await call(hass, "create_deal", answer=False, context=resident, **changes[2][1])
    await call(hass, "stop_deal", answer=False, context=Context(user_id=hass_admin_user.id), deal_id="d1")
    with pytest.raises(UnknownUser):
        await call(hass, "stop_deal", answer=False, context=Context(user_id="nobody"), deal_id="d1")


async def test_scenarios(hass: HomeAssistant, community: FakeCommunity, device: dict[str, str]) -> None:
    got = await call(hass, "get_scenario", device_id=device["E001"])
    assert got["unit"] == "E001"
    await call(hass, "set_scenario", answer=False, device_id=device["E001"], scenario=got["scenario"])
    assert community.asked[-1][:3] == ("set_scenario", "E001", community_scenario())
    await call(hass, "set_scenario", answer=False, device_id=device["E002"], scenario=got)
    assert community.asked[-1][:3] == ("set_scenario", "E002", community_scenario())
    with pytest.raises(ServiceValidationError, match="scenario"):
        await call(hass, "set_scenario", answer=False, device_id=device["E002"], scenario={"scenario": 5})
    assert (await call(hass, "preview_scenario", device_id=device["E001"]))["now"] == {"status": "excess"}
    await call(hass, "preview_scenario", device_id=device["E001"], scenario=got["scenario"])
    assert community.asked[-1] == ("preview_scenario", "E001", community_scenario())
    with pytest.raises(ServiceValidationError, match="cannot be used"):
        await call(hass, "set_scenario", answer=False, device_id=device["E001"], scenario={"25:00": {}})


async def test_deals(hass: HomeAssistant, community: FakeCommunity, device: dict[str, str]) -> None:
    made = await call(
        hass, "create_deal", device_id=device["E001"], partner_device_id=device["E002"], amount_wh=50, current_a=2, point_per_wh=8
    )
    assert (made["deal_id"], made["from"], made["to"], made["amount_wh"], made["state"]) == ("new", "E001", "E002", 50, "created")
    assert community.asked[-1][:4] == ("create_deal", "E001", "E002", 50)
    await call(hass, "stop_deal", answer=False, deal_id="new")
    assert community.asked[-1][:2] == ("stop_deal", "new")
    done = replace(a_deal("done"), activate_time=NOW, start_time=NOW, deactivate_time=NOW, cumulate_amount_wh=100.0)
    failed = replace(done, deal_id="failed", abort_time=NOW, abort_reason="cut", cumulate_amount_wh=3.0)
    community.past = (done, failed, a_deal("new"))
    listed = await call(hass, "get_deals", from_time="2026-11-01 00:00:00")
    assert [(deal["deal_id"], deal["state"]) for deal in listed["deals"]] == [
        ("done", "completed"),
        ("failed", "aborted"),
        ("new", "created"),
    ]
    for state, name in (("running", "new"), ("completed", "done"), ("aborted", "failed")):
        found = await call(hass, "get_deals", device_id=device["E001"], state=state)
        assert [deal["deal_id"] for deal in found["deals"]] == [name]
    (line,) = (await call(hass, "get_statement", device_id=device["E001"]))["lines"]
    assert line == {"month": "2026-11", "partner": "E002", "partner_name": "House 2", "deals": 3}
    with pytest.raises(ServiceValidationError, match="has to be after its begin"):
        await call(hass, "get_deals", from_time="2026-11-02 00:00:00", to_time="2026-11-02 00:00:00")
    community.error = CommandRefusedError("E001 has no free slot")
    with pytest.raises(ServiceValidationError, match="no free slot"):
        await call(hass, "create_deal", device_id=device["E001"], partner_device_id=device["E002"], amount_wh=50)


async def test_modes_and_a_converter_by_hand(
    hass: HomeAssistant, community: FakeCommunity, device: dict[str, str], hass_read_only_user: MockUser
) -> None:
    await call(hass, "set_mode", answer=False, mode="stop", device_id=device["E001"])
    assert community.asked[-1][1:3] == (OperationMode.STOP, "E001")
    await call(hass, "set_mode", answer=False, mode="follow", device_id=device["E001"])
    assert community.asked[-1][1:3] == (None, "E001")
    await call(hass, "set_mode", answer=False, mode="manual")
    assert community.asked[-1][1:3] == (OperationMode.MANUAL, None)
    with pytest.raises(ServiceValidationError, match="Only a unit can follow"):
        await call(hass, "set_mode", answer=False, mode="follow")
    resident = Context(user_id=hass_read_only_user.id)
    with pytest.raises(Unauthorized):
        await call(hass, "set_mode", answer=False, mode="manual", context=resident)
    with pytest.raises(Unauthorized):
        await call(hass, "control_converter", answer=False, mode="wait", device_id=device["E001"], context=resident)
    await call(hass, "control_converter", answer=False, mode="charge", device_id=device["E001"], current_a=1.5)
    command = community.asked[-1][2]
    assert (command.kind, command.grid_current_a) == (CommandKind.CHARGE, 1.5)
    with pytest.raises(ServiceValidationError, match="a current is needed"):
        await call(hass, "control_converter", answer=False, mode="charge", device_id=device["E001"])


async def test_what_is_no_unit_is_refused(hass: HomeAssistant, community: FakeCommunity, device: dict[str, str]) -> None:
    with pytest.raises(ServiceValidationError, match="no unit"):
        await call(hass, "get_scenario", device_id=device["street"])
    second = MockConfigEntry(domain="apis", title="Other", data={"kind": "daemon", "url": "http://127.0.0.1:1"})
    second.add_to_hass(hass)
    assert await hass.config_entries.async_setup(second.entry_id)
    await hass.async_block_till_done()
    other = dr.async_get(hass).async_get_device_by_identifier(("apis", f"{second.entry_id}_E002"), second.entry_id)
    assert other is not None
    with pytest.raises(ServiceValidationError, match="different communities"):
        await call(hass, "create_deal", device_id=device["E001"], partner_device_id=other.id, amount_wh=50)


async def test_one_line_of_a_scenario(hass: HomeAssistant, community: FakeCommunity, device: dict[str, str]) -> None:
    line = {"band": "00:00:00-24:00:00", "status": "excess", "kind": "request", "direction": "discharge"}
    await call(hass, "update_scenario_rule", answer=False, device_id=device["E001"], **line, limit_wh=4000)
    kind, unit_id, change, who = community.asked[-1]
    assert (kind, unit_id, who) == ("update_scenario_rule", "E001", "Home Assistant")
    assert (change.band, change.limit_wh, change.point_per_wh, change.remove) == ("00:00:00-24:00:00", 4000, None, False)
    with pytest.raises(Invalid):
        await call(hass, "update_scenario_rule", answer=False, device_id=device["E001"], **{**line, "kind": "wish"})


async def test_faults_and_hands_for_a_while(
    hass: HomeAssistant, community: FakeCommunity, device: dict[str, str], hass_read_only_user: MockUser
) -> None:
    await call(hass, "inject_fault", answer=False, device_id=device["E001"], fault="silent", duration={"minutes": 2})
    assert community.asked[-1] == ("inject_fault", "E001", {"silent": True}, 120.0, "Home Assistant")
    with pytest.raises(Unauthorized):
        await call(hass, "inject_fault", answer=False, device_id=device["E001"], fault="none", context=Context(hass_read_only_user.id))
    await call(hass, "control_converter", answer=False, device_id=device["E001"], mode="wait", duration={"seconds": 5})
    assert community.asked[-1][3] == 5.0


def test_every_fault_is_one_that_the_emulator_knows() -> None:
    assert all(UnitFault.from_json(fault).to_json() == fault for fault in FAULTS.values())


def read(path: str) -> str:
    """A file that was written."""
    return Path(path).read_text(encoding="utf-8")


async def test_the_ledger_as_a_file(hass: HomeAssistant, community: FakeCommunity, device: dict[str, str], tmp_path: Path) -> None:
    community.past = (a_deal("d1"), a_deal("d2", scram_time=NOW, scram_reason="leak, 0.4 A"))
    with patch.object(hass.config, "config_dir", str(tmp_path)):
        table = await call(hass, "export_ledger")
        data = await call(hass, "export_ledger", format="json", from_time="2026-11-01 00:00:00")
    assert (table["deals"], Path(table["path"]).parent) == (2, tmp_path / "apis/export")
    rows = list(csv.DictReader(io.StringIO(read(table["path"]), newline="")))
    assert [(row["deal_id"], row["state"], row["reason"]) for row in rows] == [("d1", "created", ""), ("d2", "aborted", "leak, 0.4 A")]
    assert [record["amount_wh"] for record in json.loads(read(data["path"]))] == [100, 100]
    assert sorted(path.suffix for path in (tmp_path / "apis/export").iterdir()) == [".csv", ".json"]
    (tmp_path / "file").write_text("")
    with patch.object(hass.config, "config_dir", str(tmp_path / "file")), pytest.raises(HomeAssistantError, match="could not be written"):
        await call(hass, "export_ledger")
