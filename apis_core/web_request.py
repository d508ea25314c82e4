"""Requests over HTTP that end in time, and at once where whoever waits for them is cancelled."""

import asyncio
from collections.abc import AsyncIterator
import contextlib

import aiohttp

_UNTIMED = aiohttp.ClientTimeout()


@contextlib.asynccontextmanager
async def answer_to(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    timeout_s: float,
    *,
    data: bytes | None = None,
    params: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer, to be read within the context; all of it has `timeout_s` [wall s].

    Raises:
        TimeoutError: if the time is over.
        aiohttp.ClientError: if there is no answer.

    """
    # A timeout of aiohttp loses a cancellation that comes at the same moment (its issue 5979): the task would never end.
    async with (
        asyncio.timeout(timeout_s),
        session.request(method, url, data=data, params=params, headers=headers, timeout=_UNTIMED) as response,
    ):
        yield response
