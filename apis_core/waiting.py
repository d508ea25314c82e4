"""Waiting for whichever comes first: a moment of the community's time, or a reason to look earlier."""

import asyncio

from .ports import Clock

# A moment less than this ahead would be waited for in vain: clocks have a resolution.
SHORTEST_WAIT_S = 0.001
# Longer waits are cut in pieces: whoever waits looks again, and a virtual loop takes a day without an event for a standstill.
LONGEST_WAIT_S = 6 * 3600.0


async def wait_for(clock: Clock, until_s: float | None, wake: asyncio.Event) -> bool:
    """Wait until the community's monotonic clock shows `until_s` or `wake` is set; whether it was set (it is cleared)."""
    return await _wait(None if until_s is None else clock.to_wall(until_s - clock.monotonic()), wake)


async def wait_for_wall(clock: Clock, until_wall_s: float | None, wake: asyncio.Event) -> bool:
    """The same until a moment of the wall clock."""
    return await _wait(None if until_wall_s is None else until_wall_s - clock.wall(), wake)


async def _wait(ahead_s: float | None, wake: asyncio.Event) -> bool:
    delay_s = None if ahead_s is None else min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, ahead_s)) if ahead_s > 0 else 0.0
    try:
        async with asyncio.timeout(delay_s):
            await wake.wait()
    except TimeoutError:
        return False
    wake.clear()
    return True
