"""The emulator behind HTTP: the original's device API as it was, and beside it the present one under /api/v1."""

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
import orjson

from ..model.errors import ApisError
from ..web import identity, middleware
from . import api, page, v1
from .settings import Settings
from .v1 import MAX_ACCELERATION, WORLD
from .world import SILENCE_S, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


IDENTITY_FILE = "emulator.id"


def application(world: World, settings: Settings | None = None) -> web.Application:
    """The HTTP application: errors are JSON with a 4xx status, whatever comes."""
    settings = settings or Settings()
    app = web.Application(middlewares=[middleware(settings.token, settings.allow), _errors], client_max_size=v1.BODY_MAX)
    app[WORLD] = world
    app[v1.IDENTITY] = identity(settings.data_dir / IDENTITY_FILE if settings.data_dir is not None else None)
    if settings.data_dir is not None:
        app[v1.FOLDER] = settings.data_dir
    app.router.add_routes(v1.routes())
    app.router.add_routes(page.routes())
    app.router.add_get("/get/acc", _get_acceleration)
    app.router.add_get("/set/acc/{value}", _set_acceleration)
    app.router.add_get("/{tail:.*}", _device)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    try:
        return await handler(request)
    except api.BadRequestError as error:
        return _error(str(error), error.status)
    except ApisError as error:
        return _error(str(error), 400)
    except OSError as error:
        return _error(f"the data folder: {error}", web.HTTPInsufficientStorage.status_code)
    except web.HTTPException as error:
        return _error(f"{request.method} {request.path[:200]}: {error.reason}", error.status)


def _error(message: str, status: int) -> web.Response:
    return _json(orjson.dumps({"error": message}), status)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


async def _device(request: web.Request) -> web.StreamResponse:
    world, target = request.app[WORLD], request.path_qs
    fault = world.fault_of(request.path)
    if fault.silent or fault.lost:
        await asyncio.sleep(SILENCE_S)
        raise web.HTTPGatewayTimeout
    if fault.delay_s:
        await asyncio.sleep(fault.delay_s)
    if request.path == "/get/log" and not world.faults:
        return _json(world.log())
    answer = world.ask(target)
    if isinstance(answer, api.Text):
        return web.Response(text=str(answer), content_type="text/html")
    return _json(orjson.dumps(answer))


async def _get_acceleration(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.app[WORLD].acceleration:g}", content_type="text/html")


async def _set_acceleration(request: web.Request) -> web.StreamResponse:
    text = request.match_info["value"]
    if not (text.isascii() and text.isdecimal()) or len(text) > 6 or int(text) > MAX_ACCELERATION:
        raise api.BadRequestError(f"acceleration: found {text[:40]!r}, expected a whole number from 0 to {MAX_ACCELERATION}")
    request.app[WORLD].set_acceleration(float(text))
    return await _get_acceleration(request)


async def serve(world: World, settings: Settings) -> web.AppRunner:
    """Serve until the runner is cleaned up; port 0 picks a free one. Raises OSError if the address is taken."""
    runner = web.AppRunner(application(world, settings), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    return runner
