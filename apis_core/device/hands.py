"""What a converter is made to do: mode changes in the order that the hardware wants, confirmed; and what it says of itself."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..drivers.eza2500 import codec
from ..drivers.eza2500.client import Converter, Priority
from ..drivers.eza2500.codec import Alarms, BusTarget, LineError, Measurements, Mode, Protection, State
from ..model.converter import ConverterMode
from ..model.errors import CommandRefusedError
from ..ports import Clock
from ..rules.device_sequence import Step, steps
from .settings import Settings

CONFIRM_PAUSE_S = 0.1
CODES = {int(mode, 16): mode for mode in ConverterMode}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a converter says, and when the reading began [wall s]."""

    taken_s: float
    mode: Mode
    state: State
    target: BusTarget
    alarms: Alarms
    meter: Measurements
    protection: Protection

    @property
    def known_mode(self) -> ConverterMode | None:
        """The mode, or None for a code that is none of the four."""
        return CODES.get(int(self.mode.mode))


@dataclass(frozen=True, slots=True)
class Order:
    """What a converter shall do: mode, line voltage [V], current limit [A] and droop [%]."""

    mode: ConverterMode
    voltage_v: float
    current_a: float
    droop_pct: float


class Hands:
    """The one who changes what the converter does. A wait overtakes everything else."""

    def __init__(self, converter: Converter, clock: Clock, settings: Settings) -> None:
        """`settings.limits` are written with every current."""
        self._converter = converter
        self._clock = clock
        self.settings = settings
        self._changing = asyncio.Lock()
        # Grows with every wait: a change that began before it is not carried on.
        self._waits = 0
        self.changed_s = float("-inf")

    @property
    def is_changing(self) -> bool:
        """Whether a change is under way: what is read meanwhile is neither before nor after it."""
        return self._changing.locked()

    async def look(self) -> Snapshot:
        """Read everything.

        Raises:
            LineError: if the converter does not say.

        """
        read, taken_s = self._converter.read, self._clock.wall()
        return Snapshot(
            taken_s,
            await read(codec.MODE),
            await read(codec.STATE),
            await read(codec.BUS_TARGET),
            await read(codec.READ_ALARMS),
            await read(codec.MEASUREMENTS),
            await read(codec.PROTECTION),
        )

    async def status(self, priority: Priority = Priority.COMMAND) -> tuple[Mode, State, Measurements]:
        """Mode, state and meters, asked now. Raises LineError."""
        read = self._converter.read
        return await read(codec.MODE, priority), await read(codec.STATE, priority), await read(codec.MEASUREMENTS, priority)

    async def change(self, order: Order, unless: Callable[[], str]) -> tuple[BusTarget, Protection]:
        """Bring the converter into an active mode and confirm it; the set-points as it acknowledged them.

        What cannot be confirmed ends in wait. `unless` may refuse it before its first step; between the steps only a wait
        ends it, so that no state is half made.

        Raises:
            CommandRefusedError: with the reason of `unless`.
            LineError: if a step fails; the converter has been told to wait then.

        """
        self.check(order)
        stopped = self._withdrawal()
        async with self._changing:
            self._refuse(unless)
            present = None
            try:
                present = CODES.get(int((await self._converter.read(codec.MODE, Priority.COMMAND)).mode))
                acknowledged = await self._carry_out(steps(present, order.mode), order, stopped)
                await self._confirm(order.mode)
            except LineError, asyncio.CancelledError:
                # A reference that could not be set anew still holds the line.
                if not stopped() and not (present is order.mode is ConverterMode.VOLTAGE_REFERENCE):
                    await asyncio.shield(asyncio.create_task(self._let_go()))
                raise
            finally:
                self.changed_s = self._clock.wall()
        return acknowledged

    async def _carry_out(self, steps: Iterable[Step], order: Order, stopped: Callable[[], str]) -> tuple[BusTarget, Protection]:
        """Each step in turn; every change sets both set-points."""
        target, protection = BusTarget(order.voltage_v, order.droop_pct), self._protection(order.current_a)
        for step in steps:
            match step:
                case Step.VOLTAGE:
                    target = await self._converter.write(codec.BUS_TARGET, target, unless=stopped)
                case Step.CURRENT:
                    protection = await self._converter.write(codec.PROTECTION, protection, unless=stopped)
                case Step.MODE:
                    await self._converter.write(codec.MODE, Mode(int(order.mode, 16)), unless=stopped)
                case Step.WAIT:
                    await self._converter.write(codec.MODE, Mode(int(ConverterMode.WAIT, 16)), unless=stopped)
        return target, protection

    async def wait(self) -> None:
        """Put the converter to wait and confirm it: before everything else that is to be sent.

        Raises:
            LineError: if it could not be told, or does not do it.

        """
        self._waits += 1
        try:
            await self._converter.write(codec.MODE, Mode(int(ConverterMode.WAIT, 16)), Priority.URGENT)
            await self._confirm(ConverterMode.WAIT)
        finally:
            self.changed_s = self._clock.wall()

    async def set_voltage(self, voltage_v: float, droop_pct: float, unless: Callable[[], str] | None = None) -> BusTarget:
        """Set the line's voltage and droop; what holds now. Raises LineError."""
        self._check_voltage(voltage_v, droop_pct)
        async with self._changing:
            self._refuse(unless)
            try:
                return await self._converter.write(codec.BUS_TARGET, BusTarget(voltage_v, droop_pct), unless=self._withdrawal())
            finally:
                self.changed_s = self._clock.wall()

    async def set_current(self, current_a: float, unless: Callable[[], str] | None = None) -> Protection:
        """Set the current limit; what holds now. Raises LineError."""
        async with self._changing:
            self._refuse(unless)
            try:
                return await self._write_current(current_a, self._withdrawal())
            finally:
                self.changed_s = self._clock.wall()

    async def write_settings(self) -> None:
        """Send the configured protection and battery settings; the present current limit stays. Raises LineError."""
        limits = self.settings.limits
        async with self._changing:
            present = await self._converter.read(codec.PROTECTION, Priority.COMMAND)
            await self._write_current(present.bus_current_a, self._withdrawal())
            charge = codec.BatteryCharge(limits.bcf, limits.cvb, limits.dlb, limits.cdb, limits.ddb)
            await self._converter.write(codec.BATTERY_CHARGE, charge)
            await self._converter.write(codec.BATTERY_TARGET, codec.BatteryTarget(limits.cvb, limits.drb))
            self.changed_s = self._clock.wall()

    async def clear_alarms(self) -> None:
        """Take all alarms back. Raises LineError."""
        await self._converter.write(codec.CLEAR_ALARMS, codec.AlarmsToClear())
        self.changed_s = self._clock.wall()

    def check(self, order: Order) -> None:
        """See that everything about an order is permitted, before any of it is sent.

        Raises:
            OutOfRangeError: if it is not.

        """
        self._check_voltage(order.voltage_v, order.droop_pct)
        self._check_current(order.current_a)

    def _check_voltage(self, voltage_v: float, droop_pct: float) -> None:
        limits = self.settings.limits
        voltage, droop = BusTarget.QUANTITIES
        voltage.to_raw("dvg", voltage_v)
        droop.to_raw("drg", droop_pct)
        if not limits.ugv <= voltage_v <= limits.ogv:
            raise codec.OutOfRangeError(f"dvg: found {voltage_v:g} V, expected {limits.ugv:g} to {limits.ogv:g} V, as configured")

    def _check_current(self, current_a: float) -> None:
        Protection.QUANTITIES[1].to_raw("dig", current_a)
        if current_a > self.settings.largest_current_a:
            raise codec.OutOfRangeError(
                f"dig: found {current_a:g} A, expected at most {self.settings.largest_current_a:g} A, as configured"
            )

    def _protection(self, current_a: float) -> Protection:
        limits = self.settings.limits
        return Protection(limits.cib, current_a, limits.ubv, limits.ugv, limits.obv, limits.ogv)

    async def _write_current(self, current_a: float, stopped: Callable[[], str]) -> Protection:
        self._check_current(current_a)
        return await self._converter.write(codec.PROTECTION, self._protection(current_a), unless=stopped)

    def _withdrawal(self) -> Callable[[], str]:
        waits = self._waits
        return lambda: "" if self._waits == waits else "it has been told to wait meanwhile"

    def _refuse(self, unless: Callable[[], str] | None) -> None:
        reason = unless() if unless is not None else ""
        if reason:
            raise CommandRefusedError(reason)

    async def _confirm(self, mode: ConverterMode) -> None:
        until_s = self._clock.wall() + self.settings.confirm_s
        while True:
            found = await self._converter.read(codec.MODE, Priority.URGENT if mode is ConverterMode.WAIT else Priority.COMMAND)
            if int(found.mode) == int(mode, 16):
                return
            if self._clock.wall() >= until_s:
                raise LineError(f"the converter is in mode 0x{int(found.mode):04x}, expected {mode}")
            await self._clock.sleep_wall(CONFIRM_PAUSE_S)

    async def _let_go(self) -> None:
        try:
            await self.wait()
        except LineError:
            # The keeper's own wait is repeated until it was read back.
            return
