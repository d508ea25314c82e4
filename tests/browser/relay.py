"""Another machine on the way to a node: whatever comes through here is no longer of the node's own machine, and has to be paired."""

import asyncio
from collections.abc import AsyncIterator
import contextlib

import aiohttp
from aiohttp import web

from apis_core.web import port_of


@contextlib.asynccontextmanager
async def relay(target: str) -> AsyncIterator[str]:
    """The address under which `target` is reached from elsewhere."""

    async def sockets(request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        try:
            async with session.ws_connect(target + request.path_qs, headers=headers) as far:
                near = web.WebSocketResponse()
                await near.prepare(request)

                async def listen() -> None:
                    async for _ in near:
                        pass

                listening = asyncio.create_task(listen())
                try:
                    async for message in far:
                        await near.send_bytes(message.data)
                except ConnectionError:
                    pass
                finally:
                    listening.cancel()
                return near
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)

    async def pass_on(request: web.Request) -> web.StreamResponse:
        headers = {"Authorization": request.headers.get("Authorization", "Bearer none")}
        if request.headers.get("Upgrade") == "websocket":
            return await sockets(request, headers)
        async with session.request(request.method, target + request.path_qs, data=await request.read(), headers=headers) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    async with aiohttp.ClientSession() as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{port_of(runner)}"
        finally:
            await runner.cleanup()
