"""A guard within the process: for virtual time, where a killed unit leaves it standing, and for a demo, which ends as a whole."""

import asyncio
from collections.abc import Coroutine
import contextlib
import logging
from typing import Any

from ..model.converter import Converter, ConverterMode
from ..model.errors import CommandRefusedError, DriverError, MessageError
from ..ports import Clock, DeviceRequest, Driver, GuardOrders, GuardReport, GuardRole, Json
from .dead_man import STANDSTILL_S, DeadMan, Watched

_LOGGER = logging.getLogger(__name__)
LONGEST_PAUSE_S = 3600.0


class MemoryGuard:
    """The dead-man of all converters of one machine."""

    def __init__(self, clock: Clock) -> None:
        """Watches nobody yet; `run` has to be running."""
        self.clock = clock
        self.mind = DeadMan()
        self.drivers: dict[str, Driver] = {}
        self.waits: dict[str, DeviceRequest] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[str] = set()
        self._told: set[str] = set()

    def unit(self, unit_id: str, driver: Driver) -> MemoryUnitGuard:
        """A unit's way to it."""
        self.drivers[unit_id] = driver
        return MemoryUnitGuard(self, unit_id)

    @property
    def scope(self) -> str:
        """What it outlives, in words for people."""
        return "a guard within this process: it ends with it"

    async def run(self) -> None:
        """Put to wait whoever is not spoken for, until cancelled."""
        try:
            while True:
                self._do_what_is_due()
                next_s = self.mind.next_s(self.clock.wall())
                pause_s = LONGEST_PAUSE_S if next_s is None else min(LONGEST_PAUSE_S, max(0.02, next_s - self.clock.wall()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                self._wake.clear()
                if next_s is not None and self.clock.wall() > next_s + STANDSTILL_S:
                    self.mind.stood_still(self.clock.wall())
        finally:
            # The ways to the devices are about to be closed.
            for task in self._tasks:
                task.cancel()

    def _do_what_is_due(self) -> None:
        now_s = self.clock.wall()
        for unit_id in self.mind.due(now_s):
            # A device that hangs is not asked again before it has answered or failed.
            if unit_id not in self._asking:
                self._begin(self._send_wait(unit_id))
        for unit_id in self.mind.to_read(now_s):
            self._begin(self._look_at(unit_id))

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_wait(self, unit_id: str) -> None:
        self._asking.add(unit_id)
        try:
            await self.drivers[unit_id].write(self.waits[unit_id])
            self._told.discard(unit_id)
        except DriverError as error:
            if unit_id not in self._told:
                _LOGGER.warning("guard: %s; it is tried again", error)
            self._told.add(unit_id)
        finally:
            self._asking.discard(unit_id)
        await self._look_at(unit_id)

    async def _look_at(self, unit_id: str) -> None:
        try:
            is_off = Converter().merged(await self.drivers[unit_id].status()).mode is ConverterMode.WAIT
        except (DriverError, MessageError) as error:
            _LOGGER.debug("guard: %s", error)
            return
        self.mind.saw(unit_id, is_off, self.clock.wall())
        if not is_off and self.mind.units[unit_id].role == GuardRole.OFF:
            self.mind.stop(unit_id, "found on though nobody had switched it on", self.clock.wall())
        self.wake()


class MemoryUnitGuard:
    """See Guard."""

    def __init__(self, guard: MemoryGuard, unit_id: str) -> None:
        """Made by the guard."""
        self._guard = guard
        self._unit_id = unit_id

    async def arm(self, role: GuardRole, epoch: int, orders: GuardOrders) -> None:
        """See Guard."""
        self._guard.waits[self._unit_id] = orders.wait
        watched = Watched(orders.line, orders.current_mode_s, orders.reference_s)
        self._guard.mind.arm(self._unit_id, watched, role, epoch, self._guard.clock.wall())
        self._guard.wake()

    async def beat(self) -> bool:
        """See Guard."""
        self._guard.mind.beat(self._unit_id, self._guard.clock.wall())
        return self._unit_id in self._guard.mind.units

    async def write(self, request: DeviceRequest, *, epoch: int, deadline_s: float, role: GuardRole | None) -> Json:
        """See Guard."""
        guard, mind, unit_id = self._guard, self._guard.mind, self._unit_id
        is_wait, now_s = role is GuardRole.OFF, guard.clock.wall()
        refusal = mind.refusal(unit_id, active=not is_wait, wait=is_wait, epoch=epoch, deadline_s=deadline_s, now_s=now_s)
        if refusal:
            raise CommandRefusedError(refusal)
        watched = mind.units[unit_id]
        if role is GuardRole.REFERENCE or (role is GuardRole.CURRENT and watched.role == GuardRole.OFF):
            mind.learn(unit_id, role, now_s)
            guard.wake()
        try:
            answer = await guard.drivers[unit_id].write(request)
        except BaseException:
            if role not in (None, GuardRole.OFF):
                mind.unanswered(unit_id, guard.clock.wall())
                guard.wake()
            raise
        finally:
            if watched.trip and not is_wait:
                # It was stopped while this write was on its way, whatever came of that: the wait goes out once more.
                watched.is_off = False
        if is_wait and Converter().merged(answer).mode is ConverterMode.WAIT:
            mind.learn(unit_id, GuardRole.OFF, guard.clock.wall())
            mind.saw(unit_id, is_off=True, now_s=guard.clock.wall())
        elif role is GuardRole.CURRENT and not watched.trip:
            mind.learn(unit_id, role, guard.clock.wall())
        guard.wake()
        return answer

    async def report(self, unit_id: str) -> GuardReport | None:
        """See Guard."""
        watched, now_s = self._guard.mind.units.get(unit_id), self._guard.clock.wall()
        if watched is None:
            return None
        return GuardReport(
            GuardRole(watched.role),
            watched.epoch,
            watched.trip,
            now_s - watched.tripped_s,
            watched.is_off,
            now_s - watched.off_since_s,
            now_s - watched.beat_s,
        )

    async def close(self) -> None:
        """See Guard."""
