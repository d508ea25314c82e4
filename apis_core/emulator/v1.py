"""The present API, /api/v1: units as resources, faults, the line, snapshots, a push of what has changed, metrics, health."""

import asyncio
from collections.abc import Iterable
import contextlib
from importlib.metadata import version
import itertools
from pathlib import Path
import re
from typing import Any

from aiohttp import web
import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from ..model.converter import ConverterMode
from ..model.errors import MessageError
from ..web import API
from .api import UNITS_MAX, BadRequestError
from .documents import openapi
from .faults import UnitFault
from .forms import CONVERTER, LINE, between, checked, house_from, house_json, restore, snapshot_json, unit_json, whole
from .world import NO_FAULT, World

PREFIX = "/api/v1"
MAX_ACCELERATION = 36_000
PUSH_S = 1.0
# A push of so many units a second is as much as a browser shows and a process should write.
UNITS_A_SECOND = 500
BODY_MAX = 16 * 1024 * 1024
SNAPSHOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
WORLD = web.AppKey("world", World)
FOLDER = web.AppKey("folder", Path)
IDENTITY = web.AppKey("identity", str)


def routes() -> list[web.AbstractRouteDef]:
    """All paths."""
    return [
        web.get(f"{PREFIX}/openapi.json", _openapi),
        web.get(f"{PREFIX}/health", _health),
        web.get(f"{PREFIX}/state", _state),
        web.patch(f"{PREFIX}/state", _patch_state),
        web.get(f"{PREFIX}/units", _units),
        web.get(f"{PREFIX}/units/{{id}}", _unit),
        web.put(f"{PREFIX}/units/{{id}}", _put_unit),
        web.patch(f"{PREFIX}/units/{{id}}", _patch_unit),
        web.delete(f"{PREFIX}/units/{{id}}", _delete_unit),
        web.put(f"{PREFIX}/units/{{id}}/converter", _converter),
        web.get(f"{PREFIX}/units/{{id}}/day", _day),
        web.get(f"{PREFIX}/units/{{id}}/fault", _fault),
        web.put(f"{PREFIX}/units/{{id}}/fault", _put_fault),
        web.get(f"{PREFIX}/snapshots", _snapshots),
        web.put(f"{PREFIX}/snapshots/{{name}}", _save_snapshot),
        web.post(f"{PREFIX}/snapshots/{{name}}/load", _load_snapshot),
        web.get(f"{PREFIX}/events", _events),
        web.get("/metrics", _metrics),
    ]


def _json(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def _body(request: web.Request) -> Any:
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise MessageError(f"body: {error}, expected JSON") from error


def _world(request: web.Request) -> World:
    world = request.app[WORLD]
    world.catch_up()
    return world


def _index(request: web.Request, world: World) -> int:
    unit_id = request.match_info["id"]
    if unit_id not in world.engine.index:
        raise BadRequestError(f"unit {unit_id[:40]!r}: there is none", 404)
    return world.engine.index[unit_id]


async def _openapi(_request: web.Request) -> web.Response:
    return _json(openapi())


async def _health(request: web.Request) -> web.Response:
    world = _world(request)
    about = {"role": "emulator", "id": request.app[IDENTITY], "api": API, "version": version("apis-interchange")}
    return _json({"status": "ok", **about, "units": len(world.engine.houses)})


def state_json(world: World) -> dict[str, Any]:
    """What holds for the whole world."""
    engine = world.engine
    return {
        "time": engine.now.isoformat(),
        "elapsed_s": engine.elapsed_s,
        "acceleration": world.acceleration,
        "line_voltage_v": engine.line_voltage_v,
        "leak_a": engine.leak_a,
        "units": len(engine.houses),
    }


async def _state(request: web.Request) -> web.Response:
    return _json(state_json(_world(request)))


async def _patch_state(request: web.Request) -> web.Response:
    world, data = _world(request), await _body(request)
    values = checked(data, "state", {"acceleration": between(0, MAX_ACCELERATION), **LINE})
    if ("dip_ratio" in values) != ("dip_s" in values):
        raise MessageError("state: found one of dip_ratio and dip_s, expected both or none")
    if "acceleration" in values:
        world.set_acceleration(float(values["acceleration"]))
    if "leak_a" in values:
        world.engine.set_leak(float(values["leak_a"]))
    if "dip_ratio" in values:
        world.engine.dip(float(values["dip_ratio"]), float(values["dip_s"]))
    world.forget()
    world.changed.set()
    return _json(state_json(world))


def full_json(world: World, unit: int) -> dict[str, Any]:
    """A unit with what it is made of and what is wrong with it."""
    unit_id = world.engine.unit_ids[unit]
    return {
        **unit_json(world.engine, unit),
        "house": house_json(world.engine.houses[unit]),
        "fault": world.faults.get(unit_id, NO_FAULT).to_json(),
    }


async def _units(request: web.Request) -> web.Response:
    world = _world(request)
    return _json([full_json(world, unit) for unit in range(len(world.engine.houses))])


async def _unit(request: web.Request) -> web.Response:
    world = _world(request)
    return _json(full_json(world, _index(request, world)))


async def _put_unit(request: web.Request) -> web.Response:
    world, unit_id = _world(request), request.match_info["id"]
    house = house_from(unit_id, await _body(request))
    if unit_id in world.engine.index:
        raise BadRequestError(f"unit {unit_id}: there is one already; change it with PATCH", 409)
    if len(world.engine.houses) >= UNITS_MAX:
        raise BadRequestError(f"units: found {UNITS_MAX}, which is the most", 409)
    world.engine.add(house)
    world.forget()
    world.changed.set()
    return _json(full_json(world, world.engine.index[unit_id]), 201)


async def _patch_unit(request: web.Request) -> web.Response:
    world, data = _world(request), await _body(request)
    unit = _index(request, world)
    wanted = {"state_of_charge_pct": between(0, 100), "permission": whole(0, 3), "battery_voltage_v": between(1, 1000)}
    values = checked(data, f"unit {request.match_info['id']}", wanted)
    if "state_of_charge_pct" in values:
        world.engine.set_state_of_charge(unit, float(values["state_of_charge_pct"]))
    if "permission" in values:
        world.engine.set_permission(unit, values["permission"])
    if "battery_voltage_v" in values:
        world.engine.set_battery_voltage(unit, float(values["battery_voltage_v"]))
    world.forget()
    world.changed.set()
    return _json(full_json(world, unit))


async def _delete_unit(request: web.Request) -> web.Response:
    world = _world(request)
    unit_id = world.engine.unit_ids[_index(request, world)]
    if len(world.engine.houses) == 1:
        raise BadRequestError(f"unit {unit_id}: it is the last one", 409)
    world.engine.remove(unit_id)
    world.faults.pop(unit_id, None)
    world.forget()
    world.changed.set()
    return web.Response(status=204)


async def _converter(request: web.Request) -> web.Response:
    world, data = _world(request), await _body(request)
    unit = _index(request, world)
    values = checked(data, "converter", CONVERTER)
    missing = sorted({"mode", "line_voltage_v", "current_a"} - set(values))
    if missing:
        raise MessageError(f"converter.{missing[0]}: expected a value")
    limit_a = float(world.engine.current_max_a[unit])
    if values["current_a"] > limit_a:
        raise MessageError(f"converter.current_a: found {values['current_a']:g}, expected 0 to {limit_a:g}")
    droop = values.get("droop_ratio")
    world.engine.set_mode(unit, ConverterMode[values["mode"]], float(values["line_voltage_v"]), float(values["current_a"]), droop)
    world.forget()
    world.changed.set()
    return _json(full_json(world, unit))


async def _day(request: web.Request) -> web.Response:
    """A unit's last 24 emulated hours, as far as they have been seen."""
    world = _world(request)
    _index(request, world)
    return _json(world.history.of(request.match_info["id"]))


async def _fault(request: web.Request) -> web.Response:
    world = _world(request)
    return _json(world.faults.get(world.engine.unit_ids[_index(request, world)], NO_FAULT).to_json())


async def _put_fault(request: web.Request) -> web.Response:
    world, data = _world(request), await _body(request)
    unit = _index(request, world)
    world.set_fault(world.engine.unit_ids[unit], UnitFault.from_json(data))
    world.forget()
    world.changed.set()
    return _json(full_json(world, unit))


def _snapshot_path(request: web.Request) -> Path:
    name = request.match_info["name"]
    if FOLDER not in request.app:
        raise BadRequestError("snapshots: this emulator has no data folder", 409)
    if not SNAPSHOT_NAME.fullmatch(name):
        raise BadRequestError(f"snapshot: found {name[:40]!r}, expected letters, digits, _ and -, at most 64")
    return request.app[FOLDER] / f"{name}.snapshot.json"


async def _snapshots(request: web.Request) -> web.Response:
    folder = request.app.get(FOLDER)
    found = sorted(path.name.removesuffix(".snapshot.json") for path in folder.glob("*.snapshot.json")) if folder is not None else []
    return _json(found)


async def _save_snapshot(request: web.Request) -> web.Response:
    world, path = _world(request), _snapshot_path(request)
    data = orjson.dumps(snapshot_json(world.engine))
    await asyncio.to_thread(_write, path, data)
    return _json({"name": request.match_info["name"], "units": len(world.engine.houses)})


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


async def _load_snapshot(request: web.Request) -> web.Response:
    world, path = _world(request), _snapshot_path(request)
    if not path.is_file():
        raise BadRequestError(f"snapshot {request.match_info['name']}: there is none", 404)
    try:
        data = orjson.loads(await asyncio.to_thread(path.read_bytes))
    except orjson.JSONDecodeError as error:
        raise MessageError(f"snapshot {request.match_info['name']}: {error}") from error
    restore(world.engine, data)
    world.restart_clock()
    world.faults.clear()
    world.forget()
    world.changed.set()
    return _json(state_json(world))


async def _events(request: web.Request) -> web.StreamResponse:
    """A WebSocket: first everything, then each second (and at each change) the units that have changed."""
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    world, last = request.app[WORLD], dict[str, bytes]()
    closing = asyncio.create_task(_until_closed(socket))
    try:
        while not socket.closed and not closing.done():
            world.catch_up()
            units = {unit_id: full_json(world, unit) for unit_id, unit in world.engine.index.items()}
            texts = {unit_id: orjson.dumps(data) for unit_id, data in units.items()}
            message = {
                "state": state_json(world),
                "units": [units[unit_id] for unit_id, text in texts.items() if last.get(unit_id) != text],
                "removed": sorted(set(last) - set(texts)),
            }
            last = texts
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(orjson.dumps(message))
            crowd_s = len(units) / UNITS_A_SECOND
            if crowd_s > PUSH_S:
                await asyncio.sleep(crowd_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PUSH_S):
                    await world.changed.wait()
                world.changed.clear()
    finally:
        closing.cancel()
    return socket


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        """Nothing is expected from the other side."""


class _Collector:
    """The world as Prometheus reads it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterable[Metric]:
        engine = self._world.engine
        yield GaugeMetricFamily("apis_emulator_line_voltage_volts", "Voltage of the line", value=engine.line_voltage_v)
        yield GaugeMetricFamily("apis_emulator_elapsed_seconds", "Emulated time since the start", value=engine.elapsed_s)
        yield GaugeMetricFamily("apis_emulator_acceleration_ratio", "Emulated seconds per second", value=self._world.acceleration)
        for name, text, values in (
            ("state_of_charge_ratio", "Charge of the battery", engine.state_of_charge_pct / 100),
            ("solar_watts", "PV power", engine.solar_w),
            ("load_watts", "Load of the house", engine.load_w),
            ("battery_flow_watts", "Power into the battery", engine.flow_w),
            ("grid_current_amperes", "Current from the line into the house", engine.grid_current_a),
        ):
            family = GaugeMetricFamily(f"apis_emulator_unit_{name}", text, labels=["unit"])
            for unit_id, value in itertools.zip_longest(engine.unit_ids, values.tolist()):
                family.add_metric([unit_id], value)
            yield family


async def _metrics(request: web.Request) -> web.Response:
    registry = CollectorRegistry()
    registry.register(_Collector(_world(request)))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
