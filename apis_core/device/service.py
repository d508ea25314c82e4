"""The device driver at work: the converter's line, the battery's line, what they last said, and the watch over both."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
import contextlib
from dataclasses import dataclass, field, replace
import logging
from typing import Protocol

from ..drivers.eza2500 import codec
from ..drivers.eza2500.client import Converter, Open, Priority
from ..drivers.eza2500.codec import BusTarget, LineError, Protection
from ..drivers.modbus_battery import BatteryError, BatteryReading
from ..model.converter import ConverterMode
from ..model.errors import CommandRefusedError, DriverError
from ..ports import Clock
from .hands import Hands, Order, Snapshot
from .keeper import Keeper, supervised
from .settings import Limits, Settings

_LOGGER = logging.getLogger(__name__)
FRAMES_KEPT = 40

type _Refusal = Callable[[], str]


class BatteryLine(Protocol):
    """How a battery is asked."""

    async def read(self) -> BatteryReading:
        """What it says now. Raises BatteryError."""

    async def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class BatteryState:
    """The battery as last heard: `age_s` of the reading, and what went wrong since."""

    reading: BatteryReading | None
    age_s: float
    error: str

    @property
    def is_silent(self) -> bool:
        """Whether the last question was not answered."""
        return bool(self.error)


@dataclass(frozen=True, slots=True)
class Command:
    """What a client wants of the converter: a whole order where `mode` is given, else the set-points that are."""

    mode: ConverterMode | None = None
    voltage_v: float | None = None
    current_a: float | None = None
    droop_pct: float | None = None
    epoch: int | None = None
    deadline_s: float | None = None


@dataclass(slots=True)
class Health:
    """What went wrong so far."""

    restarts: dict[str, int] = field(default_factory=dict)
    converter_error: str = "nothing has been read yet"
    battery_error: str = ""
    battery_failures: int = 0


class Service:
    """One converter and its battery."""

    def __init__(self, settings: Settings, clock: Clock, open_port: Open, battery: BatteryLine | None) -> None:
        """`open_port` opens the converter's line; `battery` None: there is none."""
        self.settings = settings
        self.clock = clock
        self.converter = Converter(
            settings.converter.port,
            open_port,
            clock,
            settings.timing,
            converter=settings.converter_address,
            asker=settings.driver_address,
        )
        self.converter.on_frame = self._note
        self.hands = Hands(self.converter, clock, settings)
        self.keeper = Keeper(self.hands, clock, settings)
        self.health = Health()
        self.frames: deque[tuple[float, str, str]] = deque(maxlen=FRAMES_KEPT)
        self.snapshot: Snapshot | None = None
        self._battery = battery
        self._heard: BatteryReading | None = None
        self._heard_s = float("-inf")
        # What the converter acknowledged last, for as long as nothing else has changed it.
        self._last: Snapshot | None = None
        self._last_s = float("-inf")
        self._looking: asyncio.Task[Snapshot] | None = None

    def _note(self, direction: str, data: bytes) -> None:
        self.frames.append((self.clock.wall(), direction, data.hex(" ")))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At work while the context lasts; nothing is commanded at its end, `leave` is for that."""
        works = {"converter line": self.converter.run, "dead-man": self.keeper.run, "converter poll": self._poll}
        if self._battery is not None:
            works["battery poll"] = self._poll_battery
        tasks = [asyncio.create_task(supervised(name, work, self.clock, self.health.restarts), name=name) for name, work in works.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._battery is not None:
                await self._battery.close()

    async def leave(self) -> None:
        """Put the converter to wait in order before the driver ends: within 2 s, or 4 s later for a reference."""
        self.keeper.leave()
        while not self.keeper.may_end:
            await self.clock.sleep_wall(0.05)

    # The converter.

    async def _poll(self) -> None:
        while True:
            try:
                await self.look()
            except DriverError as error:
                if str(error) != self.health.converter_error:
                    _LOGGER.warning("converter: %s", error)
                self.health.converter_error = str(error)
            await self.clock.sleep_wall(self.settings.poll_s)

    async def look(self) -> Snapshot:
        """Read everything now; whoever asks meanwhile gets the same reading.

        Raises:
            LineError: if the converter does not say.

        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> Snapshot:
        while True:
            snapshot = await self.hands.look()
            if not self.hands.is_changing and snapshot.taken_s >= self.hands.changed_s:
                break
        self.snapshot = snapshot
        if self.health.converter_error:
            _LOGGER.info("converter: it answers")
        self.health.converter_error = ""
        self.keeper.saw_converter(snapshot.known_mode, snapshot.meter.bus_voltage_v, snapshot.target.voltage_v)
        return snapshot

    async def fresh(self) -> Snapshot:
        """The snapshot if it is young enough and nothing was commanded since, else a new one. Raises LineError."""
        snapshot = self.snapshot
        if snapshot is not None and snapshot.taken_s >= self.hands.changed_s and self.age_s(snapshot) <= self.settings.max_age_s:
            return snapshot
        return await self.look()

    def age_s(self, snapshot: Snapshot) -> float:
        """How old a snapshot is."""
        return self.clock.wall() - snapshot.taken_s

    async def command(self, command: Command) -> Snapshot:
        """Carry a command out; it is done when the converter has confirmed it, and this is what it says then.

        The set-points in it are those that the device acknowledged; after a command without a mode, mode and alarms are as
        they were read before.

        Raises:
            CommandRefusedError: if it must not be, with the reason.
            LineError: if the converter does not do it.

        """
        mode = command.mode
        refusal = self._refusal_of(command)
        reason = refusal()
        if reason:
            raise CommandRefusedError(reason)
        if mode is not None and mode is not ConverterMode.WAIT:
            order = await self._order(mode, command)
            self.hands.check(order)
            self.keeper.begins(mode)
            target, protection = await self._change(order, refusal)
            return await self._told(mode, target, protection)
        known = self._still_known()
        if mode is not None:
            # The mode first: a stop is taken whatever becomes of its set-points.
            await self.hands.wait()
            self.keeper.done(mode)
        known = known or await self.look()
        target, protection = known.target, known.protection
        if command.voltage_v is not None or command.droop_pct is not None:
            voltage_v = target.voltage_v if command.voltage_v is None else command.voltage_v
            droop_pct = target.droop_pct if command.droop_pct is None else command.droop_pct
            target = await self.hands.set_voltage(voltage_v, droop_pct, refusal)
        if command.current_a is not None:
            protection = await self.hands.set_current(command.current_a, refusal)
        if mode is None and known.known_mode is not None:
            return await self._told(known.known_mode, target, protection, known)
        return await self._told(mode, target, protection) if mode is not None else await self.look()

    async def _told(self, mode: ConverterMode, target: BusTarget, protection: Protection, known: Snapshot | None = None) -> Snapshot:
        """What a converter says right after a command whose answers said the rest."""
        read, taken_s = self.converter.read, self.clock.wall()
        state = known.state if known else await read(codec.STATE, Priority.COMMAND)
        alarms = known.alarms if known else await read(codec.READ_ALARMS, Priority.COMMAND)
        meter = await read(codec.MEASUREMENTS, Priority.COMMAND)
        told = Snapshot(taken_s, codec.Mode(int(mode, 16)), state, target, alarms, meter, protection)
        if known is None:
            self.snapshot = told
        self._last, self._last_s = told, self.hands.changed_s
        return told

    async def _change(self, order: Order, refusal: _Refusal) -> tuple[BusTarget, Protection]:
        try:
            acknowledged = await self.hands.change(order, refusal)
        except LineError:
            # It was told to wait; whether it does is read as soon as it answers, and the dead-man goes on until then.
            with contextlib.suppress(LineError):
                if (await self.hands.status())[0].mode == int(ConverterMode.WAIT, 16):
                    self.keeper.done(ConverterMode.WAIT)
            raise
        self.keeper.done(order.mode)
        return acknowledged

    def _refusal_of(self, command: Command) -> _Refusal:
        return lambda: self.keeper.refusal(command.mode, epoch=command.epoch, deadline_s=command.deadline_s)

    def _still_known(self) -> Snapshot | None:
        """What was acknowledged or read last, if nobody has changed a set-point since."""
        if self._last is not None and self._last_s == self.hands.changed_s:
            return self._last
        snapshot = self.snapshot
        return snapshot if snapshot is not None and snapshot.taken_s >= self.hands.changed_s else None

    async def _order(self, mode: ConverterMode, command: Command) -> Order:
        """A whole order; what the client left out stays as it is."""
        voltage_v, current_a, droop_pct = command.voltage_v, command.current_a, command.droop_pct
        if voltage_v is None or current_a is None or droop_pct is None:
            known = self._still_known() or await self.look()
            voltage_v = known.target.voltage_v if voltage_v is None else voltage_v
            droop_pct = known.target.droop_pct if droop_pct is None else droop_pct
            current_a = known.protection.bus_current_a if current_a is None else current_a
        return Order(mode, voltage_v, current_a, droop_pct)

    def use_limits(self, limits: Limits) -> None:
        """Take over protection and battery settings that were read anew."""
        self.settings = replace(self.settings, limits=limits)
        self.hands.settings = self.settings

    # The battery.

    async def _poll_battery(self) -> None:
        while True:
            with contextlib.suppress(BatteryError):
                await self.ask_battery()
            await self.clock.sleep_wall(self.settings.battery_poll_s)

    async def ask_battery(self) -> BatteryReading:
        """Ask the battery now.

        Raises:
            BatteryError: if there is none, or it does not answer.

        """
        if self._battery is None:
            raise BatteryError("there is no battery behind this driver")
        now_s = self.clock.wall()
        try:
            reading = await self._battery.read()
        except BatteryError as error:
            if not self.health.battery_error:
                _LOGGER.warning("battery: %s", error)
            self.health.battery_error = str(error)
            self.health.battery_failures += 1
            self.keeper.watch = self.keeper.watch.missed_battery(now_s)
            self.keeper.wake()
            raise
        self.health.battery_error = ""
        self._heard, self._heard_s = reading, now_s
        self.keeper.watch = self.keeper.watch.saw_battery(is_permitted=reading.is_permitted, now_s=now_s)
        self.keeper.wake()
        return reading

    def battery(self) -> BatteryState:
        """The battery as last heard."""
        error = "there is no battery behind this driver" if self._battery is None else self.health.battery_error
        return BatteryState(self._heard, self.clock.wall() - self._heard_s, error)
