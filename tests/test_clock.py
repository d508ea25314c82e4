"""Three kinds of time."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
import itertools
import random
import socket
import threading
import time
from typing import Any

import pytest

from apis_core.clock import ScaledClock, VirtualClock, WallClock, run_virtual
from apis_core.cluster.embedded import EmbeddedHub
from apis_core.drivers.emulator import EmulatorDriver
from apis_core.emulator.engine import Engine
from apis_core.emulator.houses import House
from apis_core.emulator.world import World
from apis_core.ledger.database import LedgerDatabase
from apis_core.ledger.unit_ledger import LedgerWriter, UnitLedger
from apis_core.model.errors import StandstillError
from apis_core.node import Node
from apis_core.unit.settings import Settings
from apis_core.waiting import wait_for
from tests.builders import NOON, UTC_ZONE, a_hardware, a_policy, a_scenario, quiet_profiles


def loop_time_s() -> float:
    """In virtual time the only seconds there are."""
    return asyncio.get_running_loop().time()


def test_virtual_time_jumps_to_the_next_timer() -> None:
    async def main() -> tuple[datetime, float]:
        clock = VirtualClock(NOON)
        await clock.sleep(86400)
        await clock.sleep_wall(1)
        return clock.now(), clock.wall()

    now, wall = run_virtual(main)
    assert now == NOON + timedelta(seconds=86401)
    assert wall == pytest.approx(86401)


def test_scaled_time_runs_faster_and_periods_stay_above_a_fifth_of_a_second() -> None:
    async def main() -> None:
        clock = ScaledClock(NOON, 60, loop_time_s)
        await clock.sleep(120)
        assert clock.wall() == pytest.approx(2)
        assert clock.monotonic() == pytest.approx(120)
        assert clock.now() == NOON + timedelta(seconds=120)
        assert clock.period(5) == 12
        assert clock.period(60) == 60
        assert clock.period(1) == 12
        assert clock.to_wall(60) == 1
        await clock.sleep_wall(1)
        assert clock.monotonic() == pytest.approx(180)

    run_virtual(main)


def test_a_scaled_clock_follows_the_emulator_without_a_jump_of_its_monotonic_time() -> None:
    async def main() -> None:
        clock = ScaledClock(NOON, 10, loop_time_s)
        await asyncio.sleep(10)
        before = clock.monotonic()
        assert clock.follow(NOON + timedelta(seconds=109), 10) == timedelta(seconds=9)
        assert clock.now() == NOON + timedelta(seconds=100)
        clock.follow(NOON + timedelta(hours=1), 60)
        assert clock.monotonic() == before
        assert clock.now() == NOON + timedelta(hours=1)
        await asyncio.sleep(1)
        assert clock.monotonic() == before + 60
        assert clock.acceleration == 60

    run_virtual(main)


async def test_wall_time_is_utc() -> None:
    clock = WallClock()
    assert clock.now().tzinfo is UTC
    assert clock.period(0.001) == 0.2
    assert clock.to_wall(3) == 3
    assert clock.monotonic() == pytest.approx(clock.wall(), abs=0.1)
    await clock.sleep(0)
    await clock.sleep_wall(0)


def test_waiting_ends_at_the_moment_or_at_a_reason() -> None:
    async def main() -> None:
        clock, wake = VirtualClock(NOON), asyncio.Event()
        assert not await wait_for(clock, 5.0, wake)
        assert clock.monotonic() == pytest.approx(5)
        assert not await wait_for(clock, 5.0 + 1e-9, wake)
        assert clock.monotonic() > 5.0 + 1e-9
        wake.set()
        assert await wait_for(clock, None, wake)
        assert not wake.is_set()

    run_virtual(main)


def test_a_node_says_that_it_cannot_keep_up_with_an_emulator_that_runs_too_fast() -> None:
    async def main(acceleration: float) -> list[str]:
        clock = ScaledClock(NOON, acceleration, loop_time_s)
        engine = Engine((House("E001", 0),), quiet_profiles(), NOON.replace(tzinfo=None))
        world = World(engine, clock.monotonic)
        database = LedgerDatabase()
        settings = Settings("E001", a_policy(1), a_hardware(), a_scenario(), UTC_ZONE)
        ledger = UnitLedger(LedgerWriter(database, threaded=False), "E001")
        node = Node(settings, EmulatorDriver("E001", world.send), EmbeddedHub().join("E001"), ledger, clock, random.Random(1))
        await node.start()
        await asyncio.sleep(1)
        await node.kill()
        reports = [report.message for _, report in database.errors("E001")]
        database.close()
        return reports

    assert run_virtual(lambda: main(60)) == []
    (message,) = run_virtual(lambda: main(600))
    assert "too fast" in message
    assert "every 120 s instead of 5 s" in message


async def _slept() -> None:
    time.sleep(0.001)  # noqa: ASYNC251 - that is the question


async def _threaded() -> None:
    threading.Thread(target=int).start()


async def _in_a_pool() -> None:
    await asyncio.to_thread(int)


async def _connected() -> None:
    socket.socket().close()


@pytest.mark.parametrize("real", [_slept, _threaded, _in_a_pool, _connected])
def test_a_run_with_real_time_a_thread_or_a_socket_left_in_it_fails(real: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(RuntimeError, match="a run in virtual time"):
        run_virtual(real)
    # Outside, all of that goes on.
    time.sleep(0)
    asyncio.run(asyncio.to_thread(int))


def test_a_run_in_which_no_time_goes_by_ends_and_says_when() -> None:
    async def over_and_over() -> None:
        await asyncio.sleep(3)
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(StandstillError, match=r"at 3\.000 s"):
        run_virtual(over_and_over)
