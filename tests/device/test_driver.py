"""The driver at work: mode changes in the hardware's order, a dead-man that cannot die, and nothing served that is old."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
import contextlib
from dataclasses import replace
import os
import random
from typing import Any

import pytest

from apis_core.clock import VirtualClock, run_virtual
from apis_core.device.service import Command, Service
from apis_core.device.settings import Settings
from apis_core.drivers.eza2500.codec import Frame, LineError, OutOfRangeError
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import CommandRefusedError
from apis_core.ports import GuardRole

from .line import SETTINGS, START, Battery, Device, service

WAIT, REFERENCE = ConverterMode.WAIT, ConverterMode.VOLTAGE_REFERENCE
CHARGE, DISCHARGE = ConverterMode.CHARGE, ConverterMode.DISCHARGE
WINDOW = (320.0, 375.0, 380.0)


class Bench:
    """A driver on a converter in memory, in virtual time."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.device, self.clock, self.battery = Device(), VirtualClock(START), Battery()
        self.device.voltage_v = 350.0
        self.service: Service = service(self.device, self.clock, self.battery, settings)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.service.running():
            await self.service.look()
            yield

    def arm(self, role: GuardRole = GuardRole.OFF, epoch: int = 1, unit: str = "E001") -> None:
        self.service.keeper.arm(unit, role, epoch, current_s=5, reference_s=35, window_v=WINDOW)

    def beat(self) -> None:
        self.service.keeper.beat("E001", self.clock.wall())

    async def set(self, mode: ConverterMode, voltage_v: float = 0, current_a: float = 2, **more: Any) -> None:
        # A discharging converter is given the highest voltage: the reference decides where the line is.
        voltage_v = voltage_v or (380 if mode is DISCHARGE else 350)
        await self.service.command(Command(mode, voltage_v, current_a, 0.0, **more))

    async def waits(self, limit_s: float) -> float:
        """How long until the converter is in wait [s]."""
        begun_s = self.clock.wall()
        while self.device.mode != 0:
            assert self.clock.wall() - begun_s < limit_s, "the converter is still on"
            await self.clock.sleep_wall(0.05)
        return self.clock.wall() - begun_s


def play(story: Callable[[Bench], Coroutine[Any, Any, None]], settings: Settings = SETTINGS) -> None:
    async def run() -> None:
        bench = Bench(settings)
        async with bench.running():
            await story(bench)

    run_virtual(run)


# Hardware reference 3.4; from the reference to a current mode the current goes first, between the current modes a wait.
ORDER = {
    (WAIT, DISCHARGE): "vim",
    (WAIT, CHARGE): "vim",
    (WAIT, REFERENCE): "vim",
    (DISCHARGE, WAIT): "mvi",
    (CHARGE, WAIT): "mvi",
    (REFERENCE, WAIT): "mvi",
    (DISCHARGE, REFERENCE): "vmi",
    (CHARGE, REFERENCE): "vmi",
    (REFERENCE, CHARGE): "imv",
    (REFERENCE, DISCHARGE): "imv",
    (CHARGE, DISCHARGE): "mvim",
    (DISCHARGE, CHARGE): "mvim",
    (CHARGE, CHARGE): "vi",
    (REFERENCE, REFERENCE): "vi",
}


@pytest.mark.parametrize(("change", "order"), ORDER.items(), ids=str)
def test_the_order_on_the_wire_is_the_hardwares(change: tuple[ConverterMode, ConverterMode], order: str) -> None:
    async def story(bench: Bench) -> None:
        before, after = change
        # Whatever the driver set last: what counts is what the converter does.
        bench.device.mode = int(before, 16)
        bench.device.frames.clear()
        await bench.set(after)
        assert "".join(bench.device.writes) == order
        assert bench.device.mode == int(after, 16)

    play(story)


@pytest.mark.parametrize("fails_at", range(4))
@pytest.mark.parametrize("change", [(WAIT, REFERENCE), (WAIT, CHARGE), (DISCHARGE, REFERENCE), (REFERENCE, CHARGE), (CHARGE, DISCHARGE)])
def test_a_change_that_cannot_be_confirmed_ends_in_wait(change: tuple[ConverterMode, ConverterMode], fails_at: int) -> None:
    async def story(bench: Bench) -> None:
        before, after = change
        bench.arm(GuardRole.of(before))
        bench.device.mode = int(before, 16)
        written = 0

        def spoil(frame: Frame, answer: bytes) -> bytes | None:
            nonlocal written
            is_wait = frame.code == 0 and frame.data == bytes(2)
            written += bool(frame.data) and not is_wait
            return None if frame.data and not is_wait and written > fails_at else answer

        bench.device.spoil = spoil
        steps = len(ORDER[change])
        if fails_at >= steps - (change == (CHARGE, DISCHARGE)):
            await bench.set(after, epoch=1, deadline_s=bench.clock.wall() + 100)
            return
        with pytest.raises(LineError):
            await bench.set(after, epoch=1, deadline_s=bench.clock.wall() + 100)
        assert bench.device.mode == 0
        assert bench.service.keeper.state.role == GuardRole.OFF

    play(story)


def test_a_converter_that_does_not_follow_is_told_to_wait() -> None:
    async def story(bench: Bench) -> None:
        def stuck(frame: Frame, answer: bytes) -> bytes | None:
            # It says yes, and stays where it was.
            bench.device.mode = 0
            return answer

        bench.device.spoil = stuck
        with pytest.raises(LineError, match="mode 0x0000, expected 0x0014"):
            await bench.set(REFERENCE)

    play(story)


def test_values_out_of_range_are_refused_before_anything_is_sent() -> None:
    async def story(bench: Bench) -> None:
        bench.device.frames.clear()
        for order in ((500.0, 2.0), (295.0, 2.0), (350.0, 9.0), (350.0, 7.5)):
            with pytest.raises(OutOfRangeError):
                await bench.set(CHARGE, *order)
        assert bench.device.writes == []
        assert bench.service.keeper.state.role == GuardRole.OFF

    play(story, replace(SETTINGS, largest_current_a=7.1))


@pytest.mark.parametrize(("mode", "limit_s"), [(CHARGE, 5.0), (DISCHARGE, 5.0), (REFERENCE, 35.0)])
def test_without_beats_the_converter_waits_in_time_and_stays_so_until_it_is_armed_anew(mode: ConverterMode, limit_s: float) -> None:
    async def story(bench: Bench) -> None:
        bench.arm()
        await bench.set(mode, epoch=1, deadline_s=bench.clock.wall() + 9)
        for _ in range(60):
            await bench.clock.sleep_wall(1)
            bench.beat()
        assert bench.device.mode == int(mode, 16)
        assert limit_s - 0.1 <= await bench.waits(limit_s + 1) <= limit_s + 0.5
        with pytest.raises(CommandRefusedError, match=f"no sign of its unit for {limit_s:g} s"):
            await bench.set(mode, epoch=1, deadline_s=bench.clock.wall() + 9)
        await bench.set(WAIT, epoch=1, deadline_s=bench.clock.wall() + 9)
        bench.arm()
        await bench.set(mode, epoch=1, deadline_s=bench.clock.wall() + 9)
        assert bench.device.mode == int(mode, 16)

    play(story)


def test_a_beat_that_was_held_up_on_its_way_is_as_old_as_it_is() -> None:
    async def story(bench: Bench) -> None:
        bench.arm()
        await bench.set(CHARGE, epoch=1, deadline_s=bench.clock.wall() + 9)
        sent_s = bench.clock.wall()
        await bench.clock.sleep_wall(4)
        bench.service.keeper.beat("E001", sent_s)
        assert await bench.waits(2) <= 1.2

    play(story)


def test_a_converter_found_on_waits_after_the_dead_mans_time_from_the_drivers_start() -> None:
    async def story(bench: Bench) -> None:
        # Nobody has spoken yet.
        assert 4 <= await bench.waits(6) <= 5.5

    async def run() -> None:
        bench = Bench()
        bench.device.mode = int(CHARGE, 16)
        async with bench.running():
            await story(bench)

    run_virtual(run)


def test_an_old_epoch_a_late_write_and_another_unit_are_refused_but_a_wait_is_taken() -> None:
    async def story(bench: Bench) -> None:
        bench.arm(epoch=7)
        soon_s = bench.clock.wall() + 9
        with pytest.raises(CommandRefusedError, match="found epoch 6, expected at least 7"):
            await bench.set(CHARGE, epoch=6, deadline_s=soon_s)
        with pytest.raises(CommandRefusedError, match="too late"):
            await bench.set(CHARGE, epoch=7, deadline_s=bench.clock.wall() - 1)
        with pytest.raises(CommandRefusedError, match="found unit E002, expected E001"):
            bench.arm(unit="E002")
        # A client without beats may not command what a unit with beats answers for.
        with pytest.raises(CommandRefusedError, match="unit E001 commands this converter"):
            await bench.set(CHARGE)
        await bench.set(CHARGE, epoch=7, deadline_s=soon_s)
        await bench.set(WAIT, epoch=6, deadline_s=soon_s)
        assert bench.device.mode == 0

    play(story)


def test_a_client_that_knows_no_beats_is_heard_by_its_questions_and_rearms_with_a_wait() -> None:
    async def story(bench: Bench) -> None:
        await bench.set(CHARGE)
        for _ in range(120):
            await bench.clock.sleep_wall(1)
            bench.service.keeper.heard()
        assert bench.device.mode == int(CHARGE, 16)
        await bench.waits(5.5)
        with pytest.raises(CommandRefusedError, match="no sign"):
            await bench.set(CHARGE)
        await bench.set(WAIT)
        await bench.set(CHARGE)
        # From the first beat on a question is none.
        bench.arm(GuardRole.CURRENT)
        for _ in range(4):
            await bench.clock.sleep_wall(1)
            bench.service.keeper.heard()
        await bench.waits(1.5)

    play(story)


@pytest.mark.parametrize(
    ("mode", "voltage_v", "stops"),
    [(CHARGE, 376.0, True), (CHARGE, 310.0, True), (CHARGE, 370.0, False), (DISCHARGE, 379.5, True), (REFERENCE, 379.0, False),
     (REFERENCE, 381.0, True), (REFERENCE, 310.0, True)],
)  # fmt: skip
def test_a_line_outside_its_window_for_a_second_stops_the_converter(mode: ConverterMode, voltage_v: float, stops: bool) -> None:
    async def story(bench: Bench) -> None:
        async def beating() -> None:
            while True:
                bench.beat()
                await bench.clock.sleep_wall(1)

        bench.device.voltage_v = 340.0
        bench.arm()
        await bench.set(mode, epoch=1, deadline_s=bench.clock.wall() + 9)
        beats = asyncio.create_task(beating())
        await bench.clock.sleep_wall(5)
        assert bench.device.mode == int(mode, 16)
        bench.device.voltage_v = voltage_v
        if stops:
            assert await bench.waits(3) >= 1
            assert "the line was at" in bench.service.keeper.state.trip
        else:
            await bench.clock.sleep_wall(60)
            assert bench.device.mode == int(mode, 16)
        beats.cancel()

    play(story)


def test_a_reference_may_take_its_time_to_ramp_up() -> None:
    async def story(bench: Bench) -> None:
        bench.device.voltage_v = 0.0
        bench.arm()
        await bench.set(REFERENCE, epoch=1, deadline_s=bench.clock.wall() + 9)
        for step in range(120):
            bench.beat()
            bench.device.voltage_v = min(350.0, step * 3.0)
            await bench.clock.sleep_wall(1)
        assert bench.device.mode == int(REFERENCE, 16)

    play(story)


@pytest.mark.parametrize("trouble", ["denied", "silent"])
def test_a_battery_that_denies_or_says_nothing_for_too_long_stops_the_converter(trouble: str) -> None:
    async def story(bench: Bench) -> None:
        async def beating() -> None:
            while True:
                bench.beat()
                await bench.clock.sleep_wall(1)

        bench.arm()
        await bench.set(CHARGE, epoch=1, deadline_s=bench.clock.wall() + 9)
        beats = asyncio.create_task(beating())
        await bench.clock.sleep_wall(5)
        bench.battery.is_permitted, bench.battery.is_silent = trouble != "denied", trouble == "silent"
        assert 58 <= await bench.waits(70) <= 63
        beats.cancel()

    play(story)


def test_the_drivers_end_stops_a_current_mode_at_once_and_a_reference_after_its_line_was_told() -> None:
    async def story(bench: Bench) -> None:
        bench.arm()
        await bench.set(CHARGE, epoch=1, deadline_s=bench.clock.wall() + 9)
        begun_s = bench.clock.wall()
        await bench.service.leave()
        assert bench.clock.wall() - begun_s < 2
        assert bench.device.mode == 0

    async def reference(bench: Bench) -> None:
        bench.arm()
        await bench.set(REFERENCE, epoch=1, deadline_s=bench.clock.wall() + 9)
        begun_s = bench.clock.wall()
        leaving = asyncio.create_task(bench.service.leave())
        await bench.clock.sleep_wall(0.1)
        assert bench.service.keeper.report()["leaving"] is True
        with pytest.raises(CommandRefusedError, match="about to end"):
            await bench.set(CHARGE, epoch=1, deadline_s=bench.clock.wall() + 9)
        await leaving
        assert 4 <= bench.clock.wall() - begun_s < 5
        assert bench.device.mode == 0

    play(story)
    play(reference)


def test_a_snapshot_older_than_the_last_command_or_than_its_age_is_never_served() -> None:
    async def story(bench: Bench) -> None:
        await bench.set(REFERENCE, 350)
        assert (await bench.service.fresh()).known_mode is REFERENCE
        await bench.set(WAIT, 340)
        fresh = await bench.service.fresh()
        assert fresh.known_mode is WAIT
        assert abs(fresh.target.voltage_v - 340) < 0.1
        bench.device.spoil = lambda _frame, _answer: None
        await bench.clock.sleep_wall(5)
        with pytest.raises(LineError):
            await bench.service.fresh()

    play(story)


def test_the_dead_man_outlives_a_million_faults() -> None:
    """Its line, its battery and its own parts fail at random for a simulated month: it still stops the converter in time."""
    rng = random.Random(11)
    faults = 0

    async def story(bench: Bench) -> None:
        nonlocal faults

        def spoil(_frame: Frame, answer: bytes) -> bytes | None:
            nonlocal faults
            if rng.random() < 0.9:
                faults += 1
                return rng.choice((None, b"", rng.randbytes(9), answer[:-1], answer[:-1] + bytes((answer[-1] ^ 1,))))
            return answer

        async def broken() -> Any:
            nonlocal faults
            faults += 1
            raise ZeroDivisionError("a part that breaks")

        look = bench.service._look
        while faults < FAULTS:
            bench.device.spoil = spoil
            bench.device.is_there = rng.random() < 0.95
            bench.battery.is_silent = rng.random() < 0.3
            bench.service._look = look if rng.random() < 0.9 else broken  # type: ignore[method-assign]
            await bench.clock.sleep_wall(600)
            bench.device.is_there, bench.device.spoil = True, lambda _frame, answer: answer
            bench.service._look = look  # type: ignore[method-assign]
            bench.battery.is_silent = False
            await bench.clock.sleep_wall(20)
            bench.device.mode = 0
            bench.arm()
            await bench.set(CHARGE, epoch=1, deadline_s=bench.clock.wall() + 9)
            await bench.waits(5.5)

    play(story)


FAULTS = int(os.environ.get("APIS_DRIVER_FAULTS", "20000"))
