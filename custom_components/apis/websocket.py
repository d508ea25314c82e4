"""What cards ask for and are told: what is now and what changes, pushed."""

from collections.abc import Callable, Coroutine
from typing import Any

from homeassistant.components import websocket_api
from homeassistant.components.websocket_api import ActiveConnection
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
import probatio

from apis_core.model.errors import ApisError, CommandRefusedError, ConfigError
from apis_core.model.scenario import Scenario
from apis_core.model.view import Snapshot

from .const import CONF_ALIASES, DOMAIN, LOGGER, WHO
from .coordinator import ApisConfigEntry
from .helpers import async_check_control
from .services import deal_record

ENTRY: dict[str | probatio.Marker, Any] = {probatio.Required("entry_id"): str}
UNIT: dict[str | probatio.Marker, Any] = {**ENTRY, probatio.Required("unit_id"): str}
# What is told of a unit: what cards show, and no more.
SHOWN = ("unit_id", "alive", "mode", "local_mode", "state_of_charge_pct", "converter_mode", "grid_voltage_v", "grid_current_a",
         "grid_power_w", "is_grid_master", "is_voltage_reference", "capacity_wh", "solar_w", "load_w", "status", "preset",
         "request_below_pct", "offer_above_pct", "wish")  # fmt: skip
NOT_LOADED, REFUSED, NO_ANSWER, BAD_SCENARIO = "not_loaded", "refused", "no_answer", "bad_scenario"
type Message = dict[str, Any]
type Handler = Callable[[HomeAssistant, ActiveConnection, Message], None]


@callback
def async_setup_websocket(hass: HomeAssistant) -> None:
    """Register the commands."""
    for command in (ws_communities, ws_subscribe, ws_deals, ws_scenario, ws_preview, ws_statement, ws_set_scenario, ws_entities):
        websocket_api.async_register_command(hass, command)


def _entry(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> ApisConfigEntry | None:
    """The loaded community that is asked about; whoever asks is told if there is none."""
    entry: ApisConfigEntry | None = hass.config_entries.async_get_entry(message["entry_id"])
    if entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
        connection.send_error(message["id"], NOT_LOADED, "There is no such community now.")
        return None
    return entry


async def _async_answer(connection: ActiveConnection, message: Message, work: Coroutine[Any, Any, Any]) -> None:
    try:
        connection.send_result(message["id"], await work)
    except (CommandRefusedError, ConfigError) as error:
        connection.send_error(message["id"], REFUSED, str(error))
    except (ApisError, TimeoutError) as error:
        # Where its node is, and what its network says, is nobody's business who only looks.
        LOGGER.debug("%s: %s", message["type"], error)
        connection.send_error(message["id"], NO_ANSWER, "The community does not answer now.")


def shown(entry: ApisConfigEntry, snapshot: Snapshot, *, admin: bool) -> dict[str, Any]:
    """A community as a resident may see it: who gives to whom and how well each house is off, not where its device is or what failed."""
    aliases: dict[str, str] = entry.options.get(CONF_ALIASES, {})
    units = [{**{key: getattr(unit, key) for key in SHOWN}, "name": aliases.get(unit.unit_id, unit.name)} for unit in snapshot.units]
    return {
        "title": entry.title,
        "isAdmin": admin,
        "time": snapshot.time.isoformat(),
        "mode": snapshot.mode,
        "gridMaster": snapshot.grid_master,
        "alert": snapshot.alert,
        "acceleration": snapshot.acceleration,
        "units": units,
        "deals": [deal_record(deal) for deal in snapshot.deals],
    }


@websocket_api.websocket_command({probatio.Required("type"): "apis/communities"})
@callback
def ws_communities(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """Which communities there are."""
    entries = hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False)
    found = [{"entry_id": entry.entry_id, "title": entry.title, "loaded": entry.state is ConfigEntryState.LOADED} for entry in entries]
    connection.send_result(message["id"], found)


@websocket_api.websocket_command({probatio.Required("type"): "apis/subscribe", **ENTRY})
@callback
def ws_subscribe(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """The community now, and again whenever it has changed."""
    entry = _entry(hass, connection, message)
    if entry is None:
        return
    coordinator, admin = entry.runtime_data.coordinator, connection.user.is_admin

    last: dict[str, Any] = {}

    @callback
    def look() -> None:
        """Tell what is new; that time has passed is no news."""
        nonlocal last
        now = {**shown(entry, coordinator.data, admin=admin), "available": coordinator.last_update_success}
        if {**now, "time": ""} != {**last, "time": ""}:
            last = now
            connection.send_message(websocket_api.event_message(message["id"], {"kind": "snapshot", "snapshot": now}))

    @callback
    def gone() -> None:
        """The entry is unloaded or begins anew: what was told is no longer so."""
        end()
        connection.send_message(websocket_api.event_message(message["id"], {"kind": "gone"}))

    ends = [coordinator.async_add_listener(look), coordinator.async_at_end(gone)]

    @callback
    def end() -> None:
        while ends:
            ends.pop()()

    connection.subscriptions[message["id"]] = end
    connection.send_result(message["id"])
    look()


@websocket_api.websocket_command({probatio.Required("type"): "apis/entities", **ENTRY})
@callback
def ws_entities(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """Which device and entities the community and each of its units have, by their keys."""
    entry = _entry(hass, connection, message)
    if entry is None:
        return
    begin, units = f"{entry.entry_id}_", sorted((unit.unit_id for unit in entry.runtime_data.coordinator.data.units), key=len, reverse=True)
    found: dict[str, dict[str, str]] = {unit_id: {} for unit_id in ("", *units)}
    for entity in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id):
        rest = entity.unique_id.removeprefix(begin)
        # The longest id that fits: one may begin as another one does.
        unit_id = next((unit_id for unit_id in units if rest.startswith(f"{unit_id}_")), "")
        if entity.disabled_by is None:
            found[unit_id][rest.removeprefix(f"{unit_id}_")] = entity.entity_id

    def device_id(identifier: str) -> str | None:
        return dr.async_get_device_id_by_identifier(hass, (DOMAIN, identifier), config_entry_id=entry.entry_id)

    told = {unit_id: {"device_id": device_id(begin + unit_id), "entities": found[unit_id]} for unit_id in units}
    connection.send_result(message["id"], {"device_id": device_id(entry.entry_id), "entities": found[""], "units": told})


@websocket_api.websocket_command(
    {
        probatio.Required("type"): "apis/deals",
        **ENTRY,
        probatio.Optional("unit_id"): str,
        probatio.Optional("from"): str,
        probatio.Optional("to"): str,
    }
)
@websocket_api.async_response
async def ws_deals(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """Deals within a span, past ones included."""
    entry = _entry(hass, connection, message)
    if entry is None:
        return
    try:
        span = [dt_util.parse_datetime(message[key], raise_on_error=True) if key in message else None for key in ("from", "to")]
    except ValueError as error:
        connection.send_error(message["id"], websocket_api.ERR_INVALID_FORMAT, str(error))
        return
    start, end = (moment and dt_util.as_utc(moment) for moment in span)

    async def work() -> list[dict[str, Any]]:
        return [deal_record(deal) for deal in await entry.runtime_data.community.deals(start, end, message.get("unit_id"))]

    await _async_answer(connection, message, work())


@websocket_api.websocket_command({probatio.Required("type"): "apis/scenario", **UNIT})
@websocket_api.async_response
async def ws_scenario(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """A unit's scenario, and its versions."""
    entry = _entry(hass, connection, message)
    if entry is None:
        return
    community, unit_id = entry.runtime_data.community, message["unit_id"]

    async def work() -> dict[str, Any]:
        scenario = await community.scenario(unit_id)
        return {"scenario": scenario.to_json(), "versions": list(await community.scenario_versions(unit_id))}

    await _async_answer(connection, message, work())


@websocket_api.websocket_command({probatio.Required("type"): "apis/preview", **UNIT, probatio.Optional("scenario"): dict})
@websocket_api.async_response
async def ws_preview(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """What a unit would do, now and through today."""
    entry = _entry(hass, connection, message)
    if entry is None or (scenario := _scenario(connection, message)) is _BAD:
        return
    assert scenario is None or isinstance(scenario, Scenario)
    await _async_answer(connection, message, entry.runtime_data.community.preview_scenario(message["unit_id"], scenario))


@websocket_api.websocket_command({probatio.Required("type"): "apis/statement", **UNIT})
@websocket_api.async_response
async def ws_statement(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """What a unit exchanged with each partner in each month."""
    entry = _entry(hass, connection, message)
    if entry is None:
        return

    async def work() -> list[dict[str, Any]]:
        return list(await entry.runtime_data.community.statement(message["unit_id"]))

    await _async_answer(connection, message, work())


@websocket_api.websocket_command({probatio.Required("type"): "apis/set_scenario", **UNIT, probatio.Required("scenario"): dict})
@websocket_api.async_response
async def ws_set_scenario(hass: HomeAssistant, connection: ActiveConnection, message: Message) -> None:
    """Give a unit another scenario, whole and checked."""
    entry = _entry(hass, connection, message)
    if entry is None or (scenario := _scenario(connection, message)) is _BAD:
        return
    assert isinstance(scenario, Scenario)
    async_check_control(hass, connection.user, entry, message["unit_id"])
    data, who = entry.runtime_data, f"{connection.user.name or ''} ({WHO})".strip()

    async def work() -> None:
        await data.community.set_scenario(message["unit_id"], scenario, who)
        await data.coordinator.async_refresh()

    await _async_answer(connection, message, work())


_BAD = object()


def _scenario(connection: ActiveConnection, message: Message) -> Scenario | object | None:
    """The scenario that was sent; `_BAD` once whoever sent it was told every problem."""
    if "scenario" not in message:
        return None
    try:
        return Scenario.from_json(message["scenario"])[0]
    except ConfigError as error:
        connection.send_error(message["id"], BAD_SCENARIO, str(error))
        return _BAD
