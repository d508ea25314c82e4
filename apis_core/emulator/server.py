"""The emulator's process: an engine that follows the wall clock `acceleration` times as fast, behind HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
import orjson

from ..model.errors import ApisError
from ..ports import DeviceRequest
from . import api
from .engine import Engine

TICK_S = 0.1
MAX_ACCELERATION = 36_000
SILENCE_S = 60.0


class World:
    """An engine tied to a clock. Every look and every command first lets the world catch up."""

    def __init__(self, engine: Engine, seconds: Callable[[], float], acceleration: float = 1.0) -> None:
        """`seconds`: the wall or virtual clock [s]."""
        self.engine = engine
        self.silent: set[str] = set()
        self._seconds = seconds
        self._acceleration = acceleration
        self._anchor_s = seconds()
        self._anchor_elapsed_s = engine.elapsed_s

    @property
    def acceleration(self) -> float:
        """Emulated seconds per second of the clock."""
        return self._acceleration

    def catch_up(self) -> None:
        """Advance the engine to the present."""
        self.engine.advance_to(self._anchor_elapsed_s + (self._seconds() - self._anchor_s) * self._acceleration)

    def set_acceleration(self, acceleration: float) -> None:
        """Go on from here at another speed; 0 stops time."""
        self.catch_up()
        self._anchor_s, self._anchor_elapsed_s = self._seconds(), self.engine.elapsed_s
        self._acceleration = acceleration

    def ask(self, target: str) -> Any:
        """The device API's answer at the present moment."""
        self.catch_up()
        return api.answer(self.engine, target)

    async def send(self, request: DeviceRequest) -> Any:
        """The device API as a driver's sender, without a network."""
        return self.ask(request.path)

    async def run(self) -> None:
        """Keep the world moving while nobody asks."""
        while True:
            await asyncio.sleep(TICK_S)
            self.catch_up()


def application(world: World) -> web.Application:
    """The HTTP application: GET only, JSON answers, errors as JSON with a 4xx status."""

    async def handle(request: web.Request) -> web.StreamResponse:
        target = request.path_qs
        if world.silent & set(request.path.split("/")):
            await asyncio.sleep(SILENCE_S)
        try:
            body = orjson.dumps(world.ask(target))
        except api.BadRequestError as error:
            return _json(orjson.dumps({"error": str(error)}), error.status)
        except ApisError as error:
            return _json(orjson.dumps({"error": str(error)}), 400)
        return _json(body, 200)

    async def get_acceleration(_request: web.Request) -> web.Response:
        return web.Response(text=f"{world.acceleration:g}", content_type="text/html")

    async def set_acceleration(request: web.Request) -> web.StreamResponse:
        text = request.match_info["value"]
        if not text.isdecimal() or len(text) > 6 or int(text) > MAX_ACCELERATION:
            wanted = f"a whole number from 0 to {MAX_ACCELERATION}"
            return _json(orjson.dumps({"error": f"acceleration: found {text!r}, expected {wanted}"}), 400)
        world.set_acceleration(float(text))
        return await get_acceleration(request)

    app = web.Application()
    app.router.add_get("/get/acc", get_acceleration)
    app.router.add_get("/set/acc/{value}", set_acceleration)
    app.router.add_get("/{tail:.*}", handle)
    return app


def _json(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


async def serve(world: World, host: str, port: int) -> web.AppRunner:
    """Serve until the runner is cleaned up; port 0 picks a free one. Raises OSError if the address is taken."""
    runner = web.AppRunner(application(world), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def port_of(runner: web.AppRunner) -> int:
    """The port a runner listens on."""
    return int(runner.addresses[0][1])
