"""Three kinds of time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from apis_core.clock import ScaledClock, VirtualClock, WallClock, loop_time_s, run_virtual
from apis_core.waiting import wait_for
from tests.builders import NOON


def test_virtual_time_jumps_to_the_next_timer() -> None:
    async def main() -> tuple[datetime, float]:
        clock = VirtualClock(NOON)
        await clock.sleep(86400)
        await clock.sleep_wall(1)
        return clock.now(), clock.wall()

    now, wall = run_virtual(main)
    assert now == NOON + timedelta(seconds=86401)
    assert wall == pytest.approx(86401)


def test_scaled_time_runs_faster_and_periods_stay_above_50_ms() -> None:
    async def main() -> None:
        clock = ScaledClock(NOON, 60, loop_time_s)
        await clock.sleep(120)
        assert clock.wall() == pytest.approx(2)
        assert clock.monotonic() == pytest.approx(120)
        assert clock.now() == NOON + timedelta(seconds=120)
        assert clock.period(5) == 5
        assert clock.period(1) == 3
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
    assert clock.period(0.001) == 0.05
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
