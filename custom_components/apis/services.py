"""The actions: scenarios, deals, modes, and a converter by hand."""

import csv
from datetime import datetime, timedelta
import json
from pathlib import Path
from typing import Any

from homeassistant.const import ATTR_DEVICE_ID, ATTR_MODE
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_config_entry, async_get_device_and_config_entry, async_register_admin_service
from homeassistant.util import dt as dt_util, slugify
import probatio

from apis_core.model.deal import Deal, Direction
from apis_core.model.errors import ConfigError
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.model.rule_change import RuleChange
from apis_core.model.scenario import Scenario

from .const import DOMAIN
from .coordinator import ApisConfigEntry, ApisData, names_of
from .entity import async_do, unit_of_device
from .helpers import async_asked, async_is_admin, async_who

ATTR_AMOUNT_WH, ATTR_CONFIG_ENTRY, ATTR_CURRENT_A, ATTR_DEAL_ID = "amount_wh", "config_entry_id", "current_a", "deal_id"
ATTR_FROM, ATTR_PARTNER, ATTR_POINT_PER_WH, ATTR_SCENARIO = "from_time", "partner_device_id", "point_per_wh", "scenario"
ATTR_STATE, ATTR_TO, ATTR_VOLTAGE_V = "state", "to_time", "voltage_v"
CONVERTER_MODES = {"wait": CommandKind.WAIT, "charge": CommandKind.CHARGE, "discharge": CommandKind.DISCHARGE,
                   "voltage_reference": CommandKind.VOLTAGE_REFERENCE}  # fmt: skip
FOLLOW = "follow"
COLUMNS = ("deal_id", "from", "to", "amount_wh", "exchanged_wh", "current_a", "point_per_wh", "state", "reason",
           "created", "started", "ended")  # fmt: skip
STATES = ("running", "completed", "aborted")
HAND_DEADLINE_S = 10.0
ATTR_BAND, ATTR_DIRECTION, ATTR_DURATION, ATTR_FAULT, ATTR_FORMAT = "band", "direction", "duration", "fault", "format"
ATTR_KIND, ATTR_LIMIT_WH, ATTR_REMOVE, ATTR_STATUS = "kind", "limit_wh", "remove", "status"
KINDS, FORMATS = ("request", "accept"), ("csv", "json")
# What can go wrong with an emulated unit on purpose, in the emulator's words.
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "silent": {"silent": True},
    "slow": {"delay_s": 2.0},
    "http_error": {"http_error": 500},
    "frozen": {"frozen": True},
    "noise": {"noise": 0.02},
    "stuck": {"stuck": True},
    "no_ramp": {"no_ramp": True},
    "heavy_alarm": {"heavy_alarm": True},
    "lost": {"lost": True},
}

UNIT = {probatio.Required(ATTR_DEVICE_ID): cv.string}
SPAN = {probatio.Optional(ATTR_FROM): cv.datetime, probatio.Optional(ATTR_TO): cv.datetime}
POSITIVE = probatio.All(probatio.Coerce(float), probatio.Range(min=0.01))
GET_SCENARIO = probatio.Schema(UNIT)
SET_SCENARIO = probatio.Schema({**UNIT, probatio.Required(ATTR_SCENARIO): dict})
PREVIEW_SCENARIO = probatio.Schema({**UNIT, probatio.Optional(ATTR_SCENARIO): dict})
CREATE_DEAL = probatio.Schema(
    {
        **UNIT,
        probatio.Required(ATTR_PARTNER): cv.string,
        probatio.Required(ATTR_AMOUNT_WH): probatio.All(probatio.Coerce(int), probatio.Range(min=1, max=100_000)),
        probatio.Optional(ATTR_CURRENT_A): POSITIVE,
        probatio.Optional(ATTR_POINT_PER_WH): probatio.All(probatio.Coerce(float), probatio.Range(min=0)),
    }
)
STOP_DEAL = probatio.Schema({probatio.Optional(ATTR_CONFIG_ENTRY): cv.string, probatio.Required(ATTR_DEAL_ID): cv.string})
GET_DEALS = probatio.Schema(
    {
        probatio.Optional(ATTR_CONFIG_ENTRY): cv.string,
        probatio.Optional(ATTR_DEVICE_ID): cv.string,
        probatio.Optional(ATTR_STATE): probatio.In(STATES),
        **SPAN,
    }
)
GET_STATEMENT = probatio.Schema({**UNIT, **SPAN})
SET_MODE = probatio.Schema(
    {
        probatio.Optional(ATTR_CONFIG_ENTRY): cv.string,
        probatio.Optional(ATTR_DEVICE_ID): cv.string,
        probatio.Required(ATTR_MODE): probatio.In((*map(str, OperationMode), FOLLOW)),
    }
)
CONTROL_CONVERTER = probatio.Schema(
    {
        **UNIT,
        probatio.Required(ATTR_MODE): probatio.In(CONVERTER_MODES),
        probatio.Optional(ATTR_CURRENT_A): probatio.All(probatio.Coerce(float), probatio.Range(min=0, max=100)),
        probatio.Optional(ATTR_VOLTAGE_V): probatio.All(probatio.Coerce(float), probatio.Range(min=0, max=1000)),
        probatio.Optional(ATTR_DURATION): cv.positive_time_period,
    }
)
UPDATE_RULE = probatio.Schema(
    {
        **UNIT,
        probatio.Required(ATTR_BAND): cv.string,
        probatio.Required(ATTR_STATUS): cv.string,
        probatio.Required(ATTR_KIND): probatio.In(KINDS),
        probatio.Required(ATTR_DIRECTION): probatio.In([str(direction) for direction in Direction]),
        probatio.Optional(ATTR_LIMIT_WH): probatio.All(probatio.Coerce(int), probatio.Range(min=0)),
        probatio.Optional(ATTR_POINT_PER_WH): probatio.All(probatio.Coerce(float), probatio.Range(min=0)),
        probatio.Optional(ATTR_REMOVE, default=False): cv.boolean,
    }
)
EXPORT_LEDGER = probatio.Schema(
    {probatio.Optional(ATTR_CONFIG_ENTRY): cv.string, probatio.Required(ATTR_FORMAT, default="csv"): probatio.In(FORMATS), **SPAN}
)
INJECT_FAULT = probatio.Schema(
    {**UNIT, probatio.Required(ATTR_FAULT): probatio.In(FAULTS), probatio.Optional(ATTR_DURATION): cv.positive_time_period}
)


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    only, maybe, never = SupportsResponse.ONLY, SupportsResponse.OPTIONAL, SupportsResponse.NONE
    for name, handler, schema, response in (
        ("get_scenario", _get_scenario, GET_SCENARIO, only),
        ("set_scenario", _set_scenario, SET_SCENARIO, never),
        ("preview_scenario", _preview_scenario, PREVIEW_SCENARIO, only),
        ("update_scenario_rule", _update_rule, UPDATE_RULE, never),
        ("create_deal", _create_deal, CREATE_DEAL, maybe),
        ("stop_deal", _stop_deal, STOP_DEAL, never),
        ("get_deals", _get_deals, GET_DEALS, only),
        ("get_statement", _get_statement, GET_STATEMENT, only),
        ("set_mode", _set_mode, SET_MODE, never),
    ):
        hass.services.async_register(DOMAIN, name, handler, schema=schema, supports_response=response)
    async_register_admin_service(hass, DOMAIN, "control_converter", _control_converter, schema=CONTROL_CONVERTER)
    async_register_admin_service(hass, DOMAIN, "inject_fault", _inject_fault, schema=INJECT_FAULT)
    async_register_admin_service(hass, DOMAIN, "export_ledger", _export_ledger, schema=EXPORT_LEDGER, supports_response=maybe)


@callback
def async_unit_of(hass: HomeAssistant, device_id: str) -> tuple[ApisData, str]:
    """The community and the unit that a device stands for."""
    device, entry = async_get_device_and_config_entry(hass, DOMAIN, device_id)
    unit_id = unit_of_device(entry, device)
    if unit_id is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_a_unit")
    data: ApisData = entry.runtime_data
    return data, unit_id


def _data_of(call: ServiceCall) -> ApisData:
    """The community that is named, or the only one."""
    entry: ApisConfigEntry = async_get_config_entry(call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY))
    return entry.runtime_data


async def _asked(call: ServiceCall, data: ApisData, *unit_ids: str | None) -> str:
    return await async_asked(call.hass, call.context, data.coordinator.config_entry, *unit_ids)


def _scenario(call: ServiceCall) -> Scenario | None:
    if (content := call.data.get(ATTR_SCENARIO)) is None:
        return None
    try:
        # All that the action returned that gets a scenario is as good as the scenario in it.
        whole = content.get(ATTR_SCENARIO)
        return Scenario.from_json(dict(whole if isinstance(whole, dict) else content))[0]
    except ConfigError as error:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="bad_scenario", translation_placeholders={"problems": str(error)}
        ) from error


def _span(call: ServiceCall) -> tuple[datetime | None, datetime | None]:
    start, end = call.data.get(ATTR_FROM), call.data.get(ATTR_TO)
    start, end = start and dt_util.as_utc(start), end and dt_util.as_utc(end)
    if start is not None and end is not None and end <= start:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="bad_span")
    return start, end


async def _get_scenario(call: ServiceCall) -> ServiceResponse:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    scenario: Scenario = await async_do(data.community.scenario(unit_id))
    return {"unit": unit_id, "scenario": scenario.to_json()}


async def _set_scenario(call: ServiceCall) -> None:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    scenario = _scenario(call)
    assert scenario is not None
    await async_do(data.community.set_scenario(unit_id, scenario, await _asked(call, data, unit_id)))
    await data.coordinator.async_refresh()


async def _preview_scenario(call: ServiceCall) -> ServiceResponse:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    found: dict[str, Any] = await async_do(data.community.preview_scenario(unit_id, _scenario(call)))
    return {"unit": unit_id, **found}


async def _create_deal(call: ServiceCall) -> ServiceResponse:
    data, giver = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    other, taker = async_unit_of(call.hass, call.data[ATTR_PARTNER])
    if other is not data:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="two_communities")
    deal = await async_do(
        data.community.create_deal(
            giver,
            taker,
            call.data[ATTR_AMOUNT_WH],
            who=await _asked(call, data, giver, taker),
            current_a=call.data.get(ATTR_CURRENT_A),
            point_per_wh=call.data.get(ATTR_POINT_PER_WH),
        )
    )
    await data.coordinator.async_refresh()
    return deal_record(deal)


async def _stop_deal(call: ServiceCall) -> None:
    data = _data_of(call)
    await async_do(data.community.stop_deal(call.data[ATTR_DEAL_ID], await _asked(call, data, None)))


async def _get_deals(call: ServiceCall) -> ServiceResponse:
    if (device_id := call.data.get(ATTR_DEVICE_ID)) is not None:
        data, unit_id = async_unit_of(call.hass, device_id)
    else:
        data, unit_id = _data_of(call), None
    found: tuple[Deal, ...] = await async_do(data.community.deals(*_span(call), unit_id))
    records = [deal_record(deal) for deal in found]
    wanted = call.data.get(ATTR_STATE)
    return {"deals": [record for record in records if wanted is None or _is(record["state"], wanted)]}


def _is(state: str, wanted: str) -> bool:
    return state == wanted if wanted != "running" else state not in ("completed", "aborted")


async def _get_statement(call: ServiceCall) -> ServiceResponse:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    lines: tuple[dict[str, Any], ...] = await async_do(data.community.statement(unit_id, *_span(call)))
    names = names_of(data.coordinator.data)
    return {"unit": unit_id, "lines": [{**line, "partner_name": names.get(line["partner"], line["partner"])} for line in lines]}


async def _set_mode(call: ServiceCall) -> None:
    wanted, device_id = call.data[ATTR_MODE], call.data.get(ATTR_DEVICE_ID)
    data, unit_id = (_data_of(call), None) if device_id is None else async_unit_of(call.hass, device_id)
    if wanted == FOLLOW and unit_id is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="nobody_to_follow")
    resumes = unit_id is None and data.coordinator.data.alert is not None and wanted != OperationMode.STOP
    if (resumes or wanted == OperationMode.MANUAL) and not await async_is_admin(call.hass, call.context):
        raise Unauthorized(context=call.context)
    mode = None if wanted == FOLLOW else OperationMode(wanted)
    await async_do(data.community.set_mode(mode, unit_id, await _asked(call, data, unit_id)))
    await data.coordinator.async_refresh()


async def _control_converter(call: ServiceCall) -> None:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    kind = CONVERTER_MODES[call.data[ATTR_MODE]]
    current_a, voltage_v = call.data.get(ATTR_CURRENT_A), call.data.get(ATTR_VOLTAGE_V)
    if kind in (CommandKind.CHARGE, CommandKind.DISCHARGE) and current_a is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="current_needed")
    command = Command(
        kind,
        0,
        HAND_DEADLINE_S,
        grid_current_a=current_a,
        grid_voltage_v=voltage_v,
        reason=f"by hand: {await async_who(call.hass, call.context)}",
    )
    await async_do(data.community.control_converter(unit_id, command, _seconds(call)))
    await data.coordinator.async_refresh()


def _seconds(call: ServiceCall) -> float | None:
    duration: timedelta | None = call.data.get(ATTR_DURATION)
    return None if duration is None else duration.total_seconds()


async def _update_rule(call: ServiceCall) -> None:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    wanted = call.data
    change = RuleChange(
        wanted[ATTR_BAND],
        wanted[ATTR_STATUS],
        wanted[ATTR_KIND],
        Direction(wanted[ATTR_DIRECTION]),
        wanted.get(ATTR_LIMIT_WH),
        wanted.get(ATTR_POINT_PER_WH),
        wanted[ATTR_REMOVE],
    )
    await async_do(data.community.update_scenario_rule(unit_id, change, await _asked(call, data, unit_id)))
    await data.coordinator.async_refresh()


async def _inject_fault(call: ServiceCall) -> None:
    data, unit_id = async_unit_of(call.hass, call.data[ATTR_DEVICE_ID])
    fault, who = FAULTS[call.data[ATTR_FAULT]], await async_who(call.hass, call.context)
    await async_do(data.community.inject_fault(unit_id, fault, _seconds(call), who))


async def _export_ledger(call: ServiceCall) -> ServiceResponse:
    data = _data_of(call)
    deals: tuple[Deal, ...] = await async_do(data.community.deals(*_span(call)))
    name = f"{dt_util.now():%Y-%m-%d-%H%M%S}-{slugify(data.coordinator.config_entry.title)}.{call.data[ATTR_FORMAT]}"
    path = Path(call.hass.config.path(DOMAIN, "export", name))
    try:
        await call.hass.async_add_executor_job(write_deals, path, [deal_record(deal) for deal in deals])
    except OSError as error:
        raise HomeAssistantError(
            translation_domain=DOMAIN, translation_key="not_written", translation_placeholders={"path": str(path), "error": str(error)}
        ) from error
    return {"path": str(path), "deals": len(deals)}


def write_deals(path: Path, records: list[dict[str, Any]]) -> None:
    """Write deals to a file, as its name ends; it is there whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".json":
            json.dump(records, file, indent=2)
        else:
            writer = csv.DictWriter(file, list(COLUMNS))
            writer.writeheader()
            writer.writerows(records)
    unfinished.replace(path)


def deal_record(deal: Deal) -> dict[str, Any]:
    """A deal in words and numbers that automations can use."""
    state = "started" if deal.is_started else "created"
    if deal.is_ended:
        state = "completed" if deal.is_completed else "aborted"
    return {
        "deal_id": deal.deal_id,
        "from": deal.discharge_unit_id,
        "to": deal.charge_unit_id,
        "amount_wh": deal.amount_wh,
        "exchanged_wh": round(deal.cumulate_amount_wh, 2),
        "current_a": deal.grid_current_a,
        "point_per_wh": deal.point_per_wh,
        "state": state,
        "reason": deal.scram_reason or deal.abort_reason,
        "created": deal.create_time.isoformat(),
        "started": None if deal.start_time is None else deal.start_time.isoformat(),
        "ended": None if deal.deactivate_time is None else deal.deactivate_time.isoformat(),
    }
