"""The device driver's Web API: the original's endpoints as they were, and beside them the present one under /api/v1.

The original answers every failure with 400. Here 400 is the client's mistake, 409 a command that must not be, 502 a device
that answers what cannot be, 503 a port that is not there, 504 a device that does not answer; the body is the original's.
"""

from collections.abc import Awaitable, Callable, Mapping
import contextlib
from dataclasses import asdict
from importlib.metadata import version
import math
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
import orjson
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from ..drivers.eza2500.client import NoAnswerOnLineError, PortError, WithdrawnError
from ..drivers.eza2500.codec import Alarms, Measurements, OutOfRangeError, State
from ..drivers.modbus_battery import BatteryError
from ..model.converter import MODE_BY_CODE, AlarmState, ConverterMode
from ..model.errors import ApisError, CommandRefusedError, DriverError, MessageError
from ..ports import GuardRole, Json
from ..web import API, identity, middleware, page
from . import settings as device_settings
from .hands import Snapshot
from .service import BatteryState, Command, Service

INTERFACE_VERSION, DRIVER_VERSION = "2.0", "1.4"
SERVICE = web.AppKey("service", Service)
IDENTITY = web.AppKey("identity", str)
GOODBYE: web.AppKey[Callable[[], None]] = web.AppKey("goodbye")
# What a community may ask of the dead-man at most: times and voltages beyond are no watch at all.
CURRENT_MAX_S, REFERENCE_MAX_S, WINDOW_MAX_V = 60.0, 300.0, 1000.0
ALARMS = (AlarmState.NONE, AlarmState.LIGHT, AlarmState.HEAVY)
RUNNING = ("off", "charge", "discharge")
OPERATION_MODES = {
    0x00: "Waiting",
    0x01: "Hateronomy CV Charging",
    0x02: "Heteronomy CV",
    0x22: "Heteronomy CV",
    0x04: "Battery Autonomy",
    0x14: "Grid Autonomy",
    0x34: "Grid Autonomy CC Battery",
    0x41: "Heteronomy CV",
}
_NOTHING_MEASURED = {"v1": 0, "i1": 0, "p1": 0, "p2": 0, "kwh1": 0, "kwh2": 0}


def application(service: Service, end: Callable[[], None]) -> web.Application:
    """The HTTP application. `end` ends the driver, where the settings permit it."""
    settings = service.settings
    app = web.Application(middlewares=[middleware(settings.token, settings.allow), _errors])
    app[SERVICE] = service
    app[IDENTITY] = identity(settings.data_dir / "driver.id" if settings.data_dir is not None else None)
    app[GOODBYE] = end
    app.router.add_routes([web.get(path, _compatible(handler)) for path, handler in COMPATIBLE.items()])
    app.router.add_routes(
        [
            web.get("/api/v1/health", _health),
            web.get("/api/v1/state", _state),
            web.get("/api/v1/report", _report),
            web.post("/api/v1/arm", _arm),
            web.post("/api/v1/beat", _beat),
            web.post("/api/v1/write", _write),
            web.get("/metrics", _metrics),
            web.get("/", _page),
        ]
    )
    return app


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApisError as error:
        return _json({"err": str(error)}, _status_of(error))
    except web.HTTPException as error:
        return _json({"err": f"{request.method} {request.path[:200]}: {error.reason}"}, error.status)


def _status_of(error: ApisError) -> int:
    match error:
        case CommandRefusedError() | WithdrawnError():
            return 409
        case NoAnswerOnLineError():
            return 504
        case PortError():
            return 503
        case OutOfRangeError() | MessageError():
            return 400
        case DriverError():
            return 502
    return 400


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json", headers=headers)


type _Answer = Callable[[Service, Mapping[str, str]], Awaitable[Json | None]]


def _compatible(answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        service = request.app[SERVICE]
        service.keeper.heard()
        if request.path == "/essx/goodbye" and service.settings.goodbye:
            request.app[GOODBYE]()
        content = await answer(service, request.query)
        return web.Response() if content is None else _json(content, headers=_ages(service))

    return handle


def _ages(service: Service) -> dict[str, str]:
    """How old what is told is."""
    battery = service.battery()
    ages = {"APIS-Battery-Age": f"{battery.age_s:.3f}"} if math.isfinite(battery.age_s) else {}
    if service.snapshot is not None:
        ages["APIS-Converter-Age"] = f"{service.age_s(service.snapshot):.3f}"
    return ages


# What the original's objects look like.


def _state_words(state: State) -> tuple[str, str]:
    bits = int(state.converter_state)
    running, alarm = bits & 3, bits >> 2 & 3
    if alarm >= len(ALARMS):
        raise DriverError(f"bad value: alarmState: {alarm}")
    if running >= len(RUNNING):
        raise DriverError(f"bad value: runningState: {running}")
    return str(ALARMS[alarm]), RUNNING[running]


def _status(mode: int, state: State, alarms: Alarms | None = None) -> Json:
    alarm_state, running_state = _state_words(state)
    # A mode that is none of the known ones is told as it is: hiding the converter would help nobody.
    words = {
        "status": f"0x{mode:04x}",
        "alarmState": alarm_state,
        "runningState": running_state,
        "operationMode": OPERATION_MODES.get(mode, f"Unknown (0x{mode:04x})"),
    }
    if alarms is not None:
        bits = int(state.converter_state)
        words |= {"statusName": "Ignore", "alarm": f"{int(alarms.alarm_1):04x} {bits >> 2 & 3:04x} {bits & 3:04x}"}
    return words


def _meter(meter: Measurements) -> Json:
    return {
        "wg": meter.bus_power_w,
        "tmp": meter.temperature_c,
        "vb": meter.battery_voltage_v,
        "wb": meter.battery_power_w,
        "vg": meter.bus_voltage_v,
        "ib": meter.battery_current_a,
        "ig": meter.bus_current_a,
    }


def _param(service: Service, snapshot: Snapshot) -> Json:
    limits = service.settings.limits
    return {
        "cib": limits.cib,
        "ubv": limits.ubv,
        "dig": snapshot.protection.bus_current_a,
        "ogv": limits.ogv,
        "obv": limits.obv,
        "ugv": limits.ugv,
    }


def _vdis(snapshot: Snapshot) -> Json:
    return {"dvg": snapshot.target.voltage_v, "drg": snapshot.target.droop_pct}


def _dcdc(service: Service, snapshot: Snapshot) -> Json:
    return {
        "status": _status(int(snapshot.mode.mode), snapshot.state, snapshot.alarms),
        "meter": _meter(snapshot.meter),
        "vdis": _vdis(snapshot),
        "param": _param(service, snapshot),
    }


def _battery(service: Service, state: BatteryState) -> Json:
    """State of charge and permission; a battery that has been silent for too long permits nothing, one silent for long says nothing."""
    reading, limit_s = state.reading, service.settings.battery_max_age_s
    if reading is None or state.age_s > max(limit_s, service.settings.watch.battery_silent_s):
        return {"rsoc": None, "battery_operation_status": 0, "battery_comm_err": 1}
    told = {"rsoc": reading.state_of_charge_pct, "battery_operation_status": 3 if reading.is_permitted else 0}
    if state.age_s > limit_s:
        told |= {"battery_operation_status": 0, "battery_comm_err": 1}
    return told


# The original's endpoints.


async def _version(_service: Service, _query: Mapping[str, str]) -> Json:
    return {"comm_interface_version": INTERFACE_VERSION, "dcdc_batt_comm_version": DRIVER_VERSION}


async def _hello(_service: Service, _query: Mapping[str, str]) -> Json:
    return {"message": "hello world"}


async def _goodbye(_service: Service, _query: Mapping[str, str]) -> None:
    return None


async def _battery_get(service: Service, _query: Mapping[str, str]) -> Json:
    state = service.battery()
    if state.is_silent or state.age_s > service.settings.max_age_s:
        await service.ask_battery()
    return _battery(service, service.battery())


async def _log_data(service: Service, query: Mapping[str, str]) -> Json:
    battery = await _battery_get(service, query)
    settings = service.settings
    voltage_v, current_a = settings.battery_voltage_v, settings.battery_current_a
    return {
        "system_time": {"year": 0, "month": 0, "day": 0, "hour": 0, "minute": 0},
        "rsoc": battery["rsoc"],
        "dischargeable_time": {"hour": 0, "minute": 0},
        "battery_voltage": voltage_v,
        "battery_current": current_a,
        "battery_rsoc": battery["rsoc"],
        "battery_status": 0,
        "battery_warning": 0,
        "battery_operation_status": battery["battery_operation_status"],
        "battery_comm_err": 0,
        "charge_discharge_power": voltage_v * current_a,
        "ups_operation_schedule": 0,
        "ups_operation_mode": {"mode": 0, "parameter": 0, "stop_mode": 0},
    }


async def _dcdc_get(service: Service, _query: Mapping[str, str]) -> Json:
    return _dcdc(service, await service.fresh())


async def _remote_get(service: Service, query: Mapping[str, str]) -> Json:
    return {**await _dcdc_get(service, query), "powermeter": _NOTHING_MEASURED}


async def _all_get(service: Service, _query: Mapping[str, str]) -> Json:
    battery = service.battery()
    if battery.age_s > service.settings.battery_max_age_s and not battery.is_silent:
        with contextlib.suppress(BatteryError):
            await service.ask_battery()
    return {**_battery(service, service.battery()), **_dcdc(service, await service.fresh())}


async def _ioctl_get(service: Service, query: Mapping[str, str]) -> Json:
    return {**await _remote_get(service, query), **await _log_data(service, query)}


async def _get_status(service: Service, _query: Mapping[str, str]) -> Json:
    mode, state, meter = await service.hands.status()
    return {"status": _status(int(mode.mode), state), "meter": _meter(meter)}


async def _set(service: Service, query: Mapping[str, str]) -> Json:
    return await _carry_out(service, await _read(service, query))


async def _dcdc_set(service: Service, query: Mapping[str, str]) -> Json:
    return await _carry_out(service, await _read(service, query, partly=True))


async def _set_voltage(service: Service, query: Mapping[str, str]) -> Json:
    if "dvg" not in query:
        raise MessageError("No dvg")
    return await _carry_out(service, Command(voltage_v=_number(query, "dvg"), droop_pct=_number(query, "drg")))


async def _set_current(service: Service, query: Mapping[str, str]) -> Json:
    if "dig" not in query:
        raise MessageError("No dig")
    return await _carry_out(service, Command(current_a=_number(query, "dig")))


async def _ioctl_set(service: Service, _query: Mapping[str, str]) -> Json:
    if service.settings.path is not None:
        read, _ = device_settings.read(service.settings.path)
        service.use_limits(read.limits)
    limits = service.settings.limits
    await service.hands.write_settings()
    shown = {name: getattr(limits, name) for name in device_settings.Limits.__slots__}
    return {"dcdc_converter_name": service.settings.name, "dcdc_setup_parameter": {**shown, "bcf": f"0x{limits.bcf:04x}"}}


async def _clear_alarms(service: Service, query: Mapping[str, str]) -> Json:
    await service.hands.clear_alarms()
    return await _remote_get(service, query)


COMPATIBLE: dict[str, _Answer] = {
    "/version/get": _version,
    "/essx/hello": _hello,
    "/essx/goodbye": _goodbye,
    "/battery/get": _battery_get,
    "/1/log/data": _log_data,
    "/remote/get": _remote_get,
    "/dcdc/get": _dcdc_get,
    "/remote/get/status": _get_status,
    "/dcdc/get/status": _get_status,
    "/all/get": _all_get,
    "/remote/ioctl/get": _ioctl_get,
    "/remote/set": _set,
    "/dcdc/set": _dcdc_set,
    "/remote/set/voltage": _set_voltage,
    "/remote/set/current": _set_current,
    "/remote/ioctl/set": _ioctl_set,
    "/remote/ioctl/clr_alarm": _clear_alarms,
}
SETTERS = {"/remote/set", "/dcdc/set", "/remote/set/voltage", "/remote/set/current"}


def _number(query: Mapping[str, str], name: str) -> float | None:
    if name not in query:
        return None
    try:
        value = float(query[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise MessageError(f"{name}: found {query[name][:40]!r}, expected a number that is not negative")
    return value


def _mode(query: Mapping[str, str]) -> ConverterMode | None:
    text = query.get("mode")
    if text is None:
        return None
    try:
        code = int(text, 16) if text.startswith("0x") else None
    except ValueError:
        code = None
    if code is None:
        raise MessageError(f"bad value: {text[:40]}")
    mode = MODE_BY_CODE.get(f"0x{code:04x}")
    if mode is None:
        raise MessageError(f"bad value: operation mode: {code}")
    return mode


def _command(query: Mapping[str, str], *, partly: bool = False) -> Command:
    """A full set; `partly`: only what is given, where no mode is."""
    command = Command(_mode(query), _number(query, "dvg"), _number(query, "dig"), _number(query, "drg"))
    if command.mode is None and not partly and command.voltage_v is None and command.current_a is None:
        raise MessageError("No operationMode")
    return command


async def _read(service: Service, query: Mapping[str, str], *, partly: bool = False) -> Command:
    """See `_command`. A stop whose set-points are none is one all the same; then what was wrong is told."""
    try:
        return _command(query, partly=partly)
    except MessageError:
        with contextlib.suppress(MessageError):
            if _mode(query) is ConverterMode.WAIT:
                await service.command(Command(ConverterMode.WAIT))
        raise


async def _carry_out(service: Service, command: Command) -> Json:
    """Do it, and tell what the original tells: everything after a full set, else what was set, and the meters."""
    snapshot = await service.command(command)
    if command.mode is not None or (command.voltage_v is None) == (command.current_a is None):
        return _dcdc(service, snapshot)
    setpoint = {"param": _param(service, snapshot)} if command.voltage_v is None else {"vdis": _vdis(snapshot)}
    return {"meter": _meter(snapshot.meter), **setpoint}


# The present API: times are this machine's seconds, as `now` in every answer says.


async def _body(request: web.Request) -> Json:
    try:
        content = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise MessageError(f"the body: {error}, expected an object") from None
    if not isinstance(content, dict):
        raise MessageError("the body: expected an object")
    return content


def _of(body: Json, key: str, kind: type | tuple[type, ...]) -> Any:
    value = body.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise MessageError(f"{key}: found {str(value)[:40]!r}, expected {getattr(kind, '__name__', 'a number')}")
    return value


def _within(body: Json, key: str, most_s: float) -> float:
    """A dead-man's time: one that is longer than any community's would be none."""
    seconds = float(_of(body, key, (int, float)))
    if not 0 < seconds <= most_s:
        raise MessageError(f"{key}: found {seconds:g}, expected more than 0 and at most {most_s:g} s")
    return seconds


async def _arm(request: web.Request) -> web.StreamResponse:
    service, body = request.app[SERVICE], await _body(request)
    match body.get("windowV"):
        case None:
            window = None
        case [int() | float() as low_v, int() | float() as current_v, int() | float() as high_v]:
            window = float(low_v), float(current_v), float(high_v)
        case other:
            raise MessageError(f"windowV: found {str(other)[:40]!r}, expected three numbers")
    role = _of(body, "role", str)
    if role not in list(GuardRole):
        raise MessageError(f"role: found {role[:40]!r}, expected one of {', '.join(GuardRole)}")
    if window is not None and not 0 <= window[0] < window[1] < window[2] <= WINDOW_MAX_V:
        raise MessageError(f"windowV: found {window}, expected three rising voltages up to {WINDOW_MAX_V:g} V")
    unit_id, epoch = _of(body, "unit", str), _of(body, "epoch", int)
    if not unit_id or epoch < 0:
        raise MessageError(f"unit, epoch: found {unit_id[:40]!r}, {epoch}, expected an id and a number that is not negative")
    service.keeper.arm(
        unit_id,
        GuardRole(role),
        epoch,
        current_s=_within(body, "currentS", CURRENT_MAX_S),
        reference_s=_within(body, "referenceS", REFERENCE_MAX_S),
        window_v=window,
    )
    return _json(service.keeper.report())


async def _beat(request: web.Request) -> web.StreamResponse:
    service, body = request.app[SERVICE], await _body(request)
    service.keeper.beat(_of(body, "unit", str), float(_of(body, "at", (int, float))))
    return _json(service.keeper.report())


async def _write(request: web.Request) -> web.StreamResponse:
    """One of the setters' paths, with the epoch it is ordered in and the last moment for it."""
    service, body = request.app[SERVICE], await _body(request)
    if _of(body, "unit", str) != service.keeper.unit_id:
        raise CommandRefusedError(f"unit {body['unit']} is not armed")
    target = urlsplit(_of(body, "path", str))
    if target.path not in SETTERS:
        raise MessageError(f"path: found {target.path[:40]!r}, expected one of {', '.join(sorted(SETTERS))}")
    query = dict(parse_qsl(target.query))
    command = await _read(service, query, partly=True)
    epoch, deadline_s = _of(body, "epoch", int), float(_of(body, "deadline", (int, float)))
    fenced = Command(command.mode, command.voltage_v, command.current_a, command.droop_pct, epoch, deadline_s)
    return _json(await _carry_out(service, fenced))


async def _report(request: web.Request) -> web.StreamResponse:
    return _json(request.app[SERVICE].keeper.report())


async def _state(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    battery, snapshot = service.battery(), service.snapshot
    return _json(
        {
            "converter": None if snapshot is None else {**_dcdc(service, snapshot), "ageS": service.age_s(snapshot)},
            "battery": {
                **_battery(service, battery),
                "ageS": battery.age_s if math.isfinite(battery.age_s) else None,
                "error": battery.error,
                "others": {} if battery.reading is None else battery.reading.others,
            },
            "frames": list(service.frames),
        }
    )


async def _health(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    health, keeper, settings = service.health, service.keeper, service.settings
    trouble = [text for text in (health.converter_error, health.battery_error, keeper.state.trip) if text]
    return _json(
        {
            "role": "driver",
            "id": request.app[IDENTITY],
            "api": API,
            "version": version("apis-interchange"),
            "status": "trouble" if trouble else "good",
            "trouble": trouble,
            "deadMan": keeper.report(),
            "trips": keeper.trips,
            "restarts": health.restarts,
            "line": asdict(service.converter.counters),
            "capabilities": {
                "deadMan": "device",
                "largestGridCurrentA": settings.largest_current_a,
                "gridVoltageV": [settings.limits.ugv, settings.limits.ogv],
                "droop": True,
            },
        }
    )


async def _page(_request: web.Request) -> web.StreamResponse:
    return page(__package__, "page.html")


async def _metrics(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    registry = CollectorRegistry()
    counters, battery = service.converter.counters, service.battery()
    snapshot = service.snapshot
    for name, text, value in (
        ("line_exchanges", "Exchanges with the converter", counters.exchanges),
        ("line_retries", "Exchanges that were tried again", counters.retries),
        ("line_failures", "Exchanges that failed", counters.failures),
        ("line_openings", "How often the port was opened", counters.openings),
        ("dead_man_trips", "How often the converter was stopped by the driver", service.keeper.trips),
        ("task_restarts", "How often a part of the driver had to begin again", sum(service.health.restarts.values())),
        ("battery_failures", "Questions the battery did not answer", service.health.battery_failures),
        ("battery_age_seconds", "Age of the battery's reading", battery.age_s),
        ("converter_age_seconds", "Age of the converter's reading", math.inf if snapshot is None else service.age_s(snapshot)),
        ("dead_man_tripped", "Whether the converter is stopped until it is armed anew", float(bool(service.keeper.state.trip))),
    ):
        Gauge(f"apis_driver_{name}", text, registry=registry).set(value)
    return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})
