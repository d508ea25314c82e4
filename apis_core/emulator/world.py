"""An engine tied to a clock, the device API on it, and the faults in between."""

import asyncio
from collections.abc import Callable
import math
from pathlib import Path
import random
from typing import Any

import orjson

from ..model.errors import DriverError
from ..ports import DeviceRequest
from .api import BadRequestError, DeviceApi
from .engine import Engine
from .faults import UnitFault
from .history import History
from .protection import Alarm

TICK_S = 0.1
SILENCE_S = 60.0
LOG_KEPT_S = 0.05
NO_FAULT = UnitFault()


class World:
    """Every look and every command first lets the world catch up."""

    def __init__(
        self,
        engine: Engine,
        seconds: Callable[[], float],
        acceleration: float = 1.0,
        *,
        folder: Path | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`seconds`: the wall or virtual clock [s]; `folder`: where saved units go; `rng`: the noise of faulty meters."""
        self.engine = engine
        self.device = DeviceApi(engine, folder)
        self.faults: dict[str, UnitFault] = {}
        self.changed = asyncio.Event()
        # Grows with everything that is set.
        self.version = 0
        self.history = History()
        self._log: tuple[float, bytes] = (-math.inf, b"")
        self._frozen: dict[str, Any] = {}
        self._rng = rng or random.Random(0)
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

    def restart_clock(self) -> None:
        """The engine's time was set: go on from there."""
        self._anchor_s, self._anchor_elapsed_s = self._seconds(), self.engine.elapsed_s

    def set_fault(self, unit_id: str, fault: UnitFault) -> None:
        """What is wrong with a unit from now on. Raises KeyError for an unknown unit."""
        self.catch_up()
        unit, before = self.engine.index[unit_id], self.faults.get(unit_id, NO_FAULT)
        if fault == NO_FAULT:
            self.faults.pop(unit_id, None)
        else:
            self.faults[unit_id] = fault
        if not fault.frozen:
            self._frozen = {key: value for key, value in self._frozen.items() if not _names(key, unit_id)}
        self.engine.stuck[unit], self.engine.no_ramp[unit] = fault.stuck, fault.no_ramp
        if fault.heavy_alarm or fault.lost:
            self.engine.trip(unit, Alarm.INJECTED)
        elif before.heavy_alarm or before.lost:
            self.engine.alarm[unit] &= ~int(Alarm.INJECTED)

    def fault_of(self, target: str) -> UnitFault:
        """What is wrong with the unit a request is for."""
        if not self.faults:
            return NO_FAULT
        return self.faults.get(target.partition("?")[0].rpartition("/")[2], NO_FAULT)

    def ask(self, target: str) -> Any:
        """The device API's answer at the present moment, as a device with this fault gives it.

        Raises:
            BadRequestError: for what the API refuses, or where the fault is an HTTP error.

        """
        self.catch_up()
        fault = self.fault_of(target)
        if fault.http_error is not None:
            raise BadRequestError("a failure on purpose", fault.http_error)
        if fault.frozen and target.startswith("/get/"):
            if target not in self._frozen:
                self._frozen[target] = self.device.answer(target)
            return self._frozen[target]
        answer = self.device.answer(target)
        if not target.startswith("/get/") or target == "/get/last":
            self.changed.set()
            self.forget()
        return fault.shown(answer, self._rng)

    def log(self) -> bytes:
        """`/get/log` as JSON text; for a twentieth of a second the same, unless something was set."""
        now_s = self._seconds()
        if now_s - self._log[0] > LOG_KEPT_S or not self._log[1]:
            self._log = (now_s, orjson.dumps(self.ask("/get/log")))
        return self._log[1]

    def forget(self) -> None:
        """Something was set: whoever asks next sees it."""
        self._log = (-math.inf, b"")
        self.version += 1

    async def send(self, request: DeviceRequest) -> Any:
        """The device API as a driver's sender, without a network. Raises DriverError where the device fails."""
        fault = self.fault_of(request.path)
        if fault.silent or fault.lost:
            await asyncio.sleep(SILENCE_S)
            raise DriverError(f"{request.path}: no answer")
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        try:
            return self.ask(request.path)
        except BadRequestError as error:
            if fault.http_error is None:
                raise
            raise DriverError(f"{request.path}: {error}") from error

    async def run(self) -> None:
        """Keep the world moving while nobody asks."""
        while True:
            await asyncio.sleep(TICK_S)
            self.catch_up()
            self.history.look(self.engine)


def _names(target: str, unit_id: str) -> bool:
    return target.partition("?")[0].rpartition("/")[2] == unit_id
