"""Requests over HTTP: an end in time, and at once for whoever is cancelled."""

import asyncio
from collections.abc import AsyncIterator
import contextlib
import time

import aiohttp
from aiohttp import web
import pytest

from apis_core.web_request import answer_to

TIMEOUT_S = 0.2


@contextlib.asynccontextmanager
async def a_silent_device() -> AsyncIterator[str]:
    """A server that takes requests and never answers."""
    never = asyncio.Event()

    async def silence(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", silence)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        never.set()
        await runner.cleanup()


async def test_an_answer_that_does_not_come_is_waited_for_no_longer() -> None:
    async with a_silent_device() as url, aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            async with answer_to(session, "GET", url, TIMEOUT_S):
                pass


async def test_who_is_cancelled_as_the_time_is_over_ends() -> None:
    """Both are due in one turn of the loop: a task that took its end for a timeout would ask again, for ever."""
    async with a_silent_device() as url, aiohttp.ClientSession() as session:
        asked = asyncio.Event()

        async def ask_and_ask() -> None:
            while True:
                with contextlib.suppress(TimeoutError):
                    asked.set()
                    async with answer_to(session, "GET", url, TIMEOUT_S):
                        pass

        task = asyncio.create_task(ask_and_ask())
        await asked.wait()
        loop = asyncio.get_running_loop()
        loop.call_later(TIMEOUT_S / 2, time.sleep, 2 * TIMEOUT_S)
        loop.call_later(TIMEOUT_S + 0.01, task.cancel)
        done, _ = await asyncio.wait({task}, timeout=5)
        assert done
        assert task.cancelled()
