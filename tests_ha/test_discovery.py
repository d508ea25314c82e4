"""What announces itself: on the network and as apps, known and new, understood or not."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from homeassistant.config_entries import SOURCE_HASSIO, SOURCE_IGNORE, SOURCE_ZEROCONF, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from apis_core.model.errors import ClusterError, DriverError
from apis_core.model.installation import Address
from apis_core.model.unit_plan import UnitPlan
from apis_core.presets import hardware, scenario
from apis_core.web import API
from custom_components.apis import discovery

from .conftest import FakeCommunity
from .test_config_flow import UNIT, limits, new_node

ADDRESS = "192.168.1.9"


def announced(source: str, role: str, port: int = 4391, host: str = ADDRESS, **more: str) -> Any:
    """The same, as the network and as an app says it."""
    told = {"role": role, "id": "0123abcd", "api": "1", "version": "0.1.0", **more}
    if source == SOURCE_HASSIO:
        return HassioServiceInfo(config={**told, "host": host, "port": port}, name="APIS", slug="apis", uuid="u")
    address = ip_address(host)
    return ZeroconfServiceInfo(
        ip_address=address, ip_addresses=[address], port=port, hostname="h.local.", type="_apis._tcp.local.",
        name="APIS._apis._tcp.local.", properties=told,
    )  # fmt: skip


async def find(hass: HomeAssistant, source: str, role: str, **more: Any) -> Any:
    return await hass.config_entries.flow.async_init("apis", context={"source": source}, data=announced(source, role, **more))


both = pytest.mark.parametrize("source", [SOURCE_ZEROCONF, SOURCE_HASSIO])


def test_the_interface_is_the_cores() -> None:
    assert discovery.API == API


@both
async def test_a_node_is_connected_to_and_followed_to_a_new_address(hass: HomeAssistant, community: FakeCommunity, source: str) -> None:
    form = await find(hass, source, "node")
    assert (form["step_id"], form["description_placeholders"]) == ("found_node", {"host": ADDRESS, "version": "0.1.0"})
    configure = hass.config_entries.flow.async_configure
    community.error = ClusterError("nobody")
    assert (await configure(form["flow_id"], {"name": "Street"}))["errors"] == {"base": "cannot_connect"}
    community.error = None
    done = await configure(form["flow_id"], {"name": "Street"})
    assert (done["type"], done["data"]) == (FlowResultType.CREATE_ENTRY, {"kind": "daemon", "url": f"http://{ADDRESS}:4391"})
    await hass.async_block_till_done()
    entry = done["result"]
    assert entry.unique_id == "0123abcd"
    moved = await find(hass, source, "node", host="192.168.1.77")
    assert moved["reason"] == "already_configured"
    await hass.async_block_till_done()
    assert (entry.data["url"], entry.state) == ("http://192.168.1.77:4391", ConfigEntryState.LOADED)


async def test_an_address_with_https_is_not_left_for_one_without(hass: HomeAssistant, community: FakeCommunity) -> None:
    private = {"kind": "daemon", "url": "https://node.example:8443", "token": "secret"}
    entry = MockConfigEntry(domain="apis", title="Street", unique_id="0123abcd", data=private)
    entry.add_to_hass(hass)
    assert (await find(hass, SOURCE_ZEROCONF, "node"))["reason"] == "already_configured"
    assert entry.data == private


async def test_a_node_that_was_found_is_paired_with(hass: HomeAssistant, community: FakeCommunity) -> None:
    community.token = "secret"
    form = await find(hass, SOURCE_ZEROCONF, "node")
    configure = hass.config_entries.flow.async_configure
    assert (await configure(form["flow_id"], {"name": "Street"}))["step_id"] == "pair"
    done = await configure(form["flow_id"], {"code": "123456"})
    assert (done["data"]["token"], done["result"].unique_id) == ("secret", "0123abcd")
    await hass.async_block_till_done()


async def test_a_node_that_was_entered_is_known_when_it_announces_itself(hass: HomeAssistant, community: FakeCommunity) -> None:
    community.node_id = "0123abcd"
    configure = hass.config_entries.flow.async_configure

    async def enter(url: str) -> Any:
        menu = await hass.config_entries.flow.async_init("apis", context={"source": "user"})
        await configure(menu["flow_id"], {"next_step_id": "daemon"})
        return await configure(menu["flow_id"], {"name": "Street", "url": url})

    done = await enter("http://127.0.0.1:4391")
    assert done["result"].unique_id == "0123abcd"
    await hass.async_block_till_done()
    assert (await find(hass, SOURCE_ZEROCONF, "node"))["reason"] == "already_configured"
    assert done["result"].data["url"] == f"http://{ADDRESS}:4391"
    assert (await enter("http://10.0.0.3:4391"))["reason"] == "already_configured"


@both
async def test_an_emulators_units_run_here(hass: HomeAssistant, community: FakeCommunity, source: str) -> None:
    def plan(unit_id: str) -> UnitPlan:
        address = Address(ADDRESS, 4390)
        return UnitPlan(unit_id, "dcdc_emulator", hardware(), scenario(), address, address)

    community.emulated = DriverError("nobody")
    assert (await find(hass, source, "emulator", port=4390))["reason"] == "cannot_connect"
    community.emulated = (plan("E001"), plan("E002"), plan("E003"))
    form = await find(hass, source, "emulator", port=4390)
    assert form["step_id"] == "found_emulator"
    assert form["data_schema"]({"name": "Street"})["units"] == ["E001", "E002", "E003"]
    configure = hass.config_entries.flow.async_configure
    assert (await configure(form["flow_id"], {"name": "Street", "units": []}))["errors"] == {"units": "no_units"}
    done = await configure(form["flow_id"], {"name": "Street", "units": ["E001", "E003"]})
    entry = done["result"]
    assert [each.unique_id for each in entry.subentries.values()] == ["E001", "E003"]
    await hass.async_block_till_done()
    moved = await find(hass, source, "emulator", port=4390, host="192.168.1.77")
    assert moved["reason"] == "already_configured"
    await hass.async_block_till_done()
    hosts = {UnitPlan.from_json(dict(each.data["unit"])).device.host for each in entry.subentries.values()}
    assert hosts == {"192.168.1.77"}
    assert {asked[:2] for asked in community.asked} == {("update_unit", "E001"), ("update_unit", "E003")}


async def test_what_runs_here_already_is_not_driven_twice(hass: HomeAssistant, community: FakeCommunity) -> None:
    await new_node(hass)
    here = Address(UNIT["host"], UNIT["port"])
    plans = tuple(UnitPlan(unit_id, "dcdc_emulator", hardware(), scenario(), here, here) for unit_id in ("E001", "E002"))
    community.emulated = plans
    form = await find(hass, SOURCE_ZEROCONF, "emulator", port=4390)
    assert form["data_schema"]({"name": "Street"})["units"] == ["E002"]
    community.emulated = plans[:1]
    assert (await find(hass, SOURCE_ZEROCONF, "emulator", port=4390, id="another"))["reason"] == "already_configured"


@both
async def test_a_driver_becomes_a_unit_of_a_new_community(hass: HomeAssistant, community: FakeCommunity, source: str) -> None:
    form = await find(hass, source, "driver", port=4380)
    assert form["step_id"] == "found_driver"
    configure = hass.config_entries.flow.async_configure
    unit = await configure(form["flow_id"], {"name": "Street"})
    suggested = {str(key): key.description["suggested_value"] for key in unit["data_schema"].schema if key.description}
    assert suggested == {"name": "House 1", "unit_id": "E001", "driver": "dcdc_v2", "host": ADDRESS, "port": 4380}
    await configure(form["flow_id"], {**UNIT, **suggested})
    done = await configure(form["flow_id"], limits())
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    (unit,) = done["result"].subentries.values()
    assert unit.data["identity"] == "0123abcd"
    assert (await find(hass, source, "driver", port=4385))["reason"] == "already_configured"
    (unit,) = done["result"].subentries.values()
    assert UnitPlan.from_json(dict(unit.data["unit"])).device == Address(ADDRESS, 4385)


async def test_a_driver_joins_a_community_that_is_there(hass: HomeAssistant, community: FakeCommunity) -> None:
    entry: MockConfigEntry = await new_node(hass)
    form = await find(hass, SOURCE_ZEROCONF, "driver", port=4380)
    configure = hass.config_entries.flow.async_configure
    await configure(form["flow_id"], {"name": "Street", "community": entry.entry_id})
    twice = await configure(form["flow_id"], {**UNIT, "driver": "dcdc_v2", "host": ADDRESS, "port": 4380})
    assert (twice["step_id"], twice["errors"]) == ("unit", {"unit_id": "already_there"})
    await configure(form["flow_id"], {**UNIT, "unit_id": "E002", "driver": "dcdc_v2", "host": ADDRESS, "port": 4380})
    done = await configure(form["flow_id"], limits())
    assert (done["type"], done["reason"]) == (FlowResultType.ABORT, "unit_added")
    await hass.async_block_till_done()
    assert community.asked[-1][:2] == ("add_unit", "E002")
    assert [each.unique_id for each in entry.subentries.values()] == ["E001", "E002"]


async def test_a_converter_has_one_unit_whatever_it_is_called(hass: HomeAssistant, community: FakeCommunity) -> None:
    """Two units on one converter would drive it against each other."""
    entry: MockConfigEntry = await new_node(hass)
    driver = {**UNIT, "driver": "dcdc_v2", "host": ADDRESS, "port": 4380}
    configure = hass.config_entries.subentries.async_configure

    async def added(unit: dict[str, Any]) -> Any:
        form = await hass.config_entries.subentries.async_init((entry.entry_id, "unit"), context={"source": "user"})
        await configure(form["flow_id"], unit)
        return await configure(form["flow_id"], limits())

    assert (await added({**driver, "unit_id": "E002"}))["type"] is FlowResultType.CREATE_ENTRY
    assert (await added({**driver, "unit_id": "E003"}))["errors"] == {"base": "twin"}
    # Units of one emulator share its address.
    assert (await added({**UNIT, "unit_id": "E004"}))["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    # The driver announces itself: it is in use already, and is followed from now on.
    for port in (4380, 4385):
        assert (await find(hass, SOURCE_ZEROCONF, "driver", port=port))["reason"] == "already_configured"
    plans = [UnitPlan.from_json(dict(each.data["unit"])) for each in entry.subentries.values()]
    assert [plan.device.port for plan in plans] == [4390, 4385, 4390]


@both
@pytest.mark.parametrize(
    ("role", "more", "reason"), [("toaster", {}, "unknown_role"), ("node", {"api": "9"}, "other_api"), ("node", {"id": ""}, "unknown_role")]
)
async def test_what_is_not_understood_ends_with_a_sentence(
    hass: HomeAssistant, source: str, role: str, more: dict[str, str], reason: str
) -> None:
    assert (await find(hass, source, role, **more))["reason"] == reason


def test_an_address_of_the_present_internet_protocol() -> None:
    assert replace(discovery.NOTHING, host="fd00::1", port=4391).url == "http://[fd00::1]:4391"


async def test_what_a_person_ignores_breaks_no_page_and_no_later_find(hass: HomeAssistant, community: FakeCommunity) -> None:
    await find(hass, SOURCE_ZEROCONF, "driver", port=4380)
    ignored = {"unique_id": "0123abcd", "title": "A driver"}
    await hass.config_entries.flow.async_init("apis", context={"source": SOURCE_IGNORE}, data=ignored)
    (entry,) = hass.config_entries.async_entries("apis")
    assert entry.supported_subentry_types == {}
    assert entry.as_json_fragment
    another = await find(hass, SOURCE_ZEROCONF, "driver", port=4381, id="another")
    assert another["step_id"] == "found_driver"
