"""A unit's hands: reads its device, carries out commands as sequences, counts its energy, watches its own limits."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
import contextlib
import random

from ..model.converter import Battery, Converter, ConverterMode, Reading
from ..model.deal import NO_ENERGY, SideEnergy
from ..model.errors import (
    ApisError,
    Category,
    CommandRefusedError,
    DriverError,
    ErrorReport,
    Extent,
    LedgerError,
    Level,
    MessageError,
)
from ..model.modes import Command, CommandKind, OperationMode
from ..ports import Clock, Driver, Guard, GuardOrders, GuardRole, Json, Ledger
from ..rules import energy, local_safety, sequences
from ..rules.findings import judged
from ..rules.schedule import next_reading_s, usable_s
from ..waiting import wait_for
from .board import Board
from .book_mark import BookMark
from .settings import Settings
from .writer import Writer

_SUSPENDING = (
    CommandKind.VOLTAGE_REFERENCE,
    CommandKind.AUTHORISE,
    CommandKind.WILL_HAND_OVER,
    CommandKind.WILL_TAKE_OVER,
)
_RESUMING = (
    CommandKind.WAIT,
    CommandKind.SCRAM,
    CommandKind.CHARGE,
    CommandKind.DISCHARGE,
    CommandKind.AUTHORISE,
    CommandKind.DID_HAND_OVER,
    CommandKind.DID_TAKE_OVER,
)
_STARTING = (
    CommandKind.CHARGE,
    CommandKind.DISCHARGE,
    CommandKind.CURRENT,
    CommandKind.VOLTAGE_REFERENCE,
    CommandKind.WILL_TAKE_OVER,
)
ACCOUNT = "account"
KEEP_PERIOD_S = 10.0
# A wait goes on whatever its earlier steps did: the converter that does not follow them is the one to switch off.
_LENIENT = (CommandKind.WAIT, CommandKind.SCRAM, CommandKind.DID_HAND_OVER)


class Controller:
    """The only one that talks to the unit's device."""

    def __init__(
        self,
        settings: Settings,
        driver: Driver,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        rng: random.Random,
        report: Callable[[ErrorReport], None],
        guard: Guard | None = None,
    ) -> None:
        """`report` takes errors; it must not block. `guard`: the dead-man of a device that has none of its own."""
        self._settings = settings
        self._driver = driver
        self._writer = Writer(driver, guard)
        self._guard = guard
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._report = report
        self._io = asyncio.Lock()
        self._sequence = asyncio.Lock()
        # Orders to switch a current mode on that have come and are not carried out yet.
        self._starting = 0
        self._generation = 0
        self._suspended = False
        self._silent = False
        self._strikes: frozenset[str] = frozenset()
        self._checked_s = float("-inf")
        self._commanded_s = float("-inf")
        self._read_s: float | None = None
        self._wake = asyncio.Event()
        self._kept_s = float("-inf")
        self._kept: tuple[Mapping[str, SideEnergy], Mapping[str, float]] = ({}, {})
        self.changed = asyncio.Event()
        self.released: dict[str, str] = {}
        self._ledger_failed = False
        self.reading: Reading | None = None
        self.account = energy.Account()
        self.highest_epoch = self._durable_epoch = 0
        self.tell_leaving: Callable[[], Awaitable[None]] = _nobody_to_tell
        self.local_mode: Callable[[], OperationMode] = lambda: OperationMode.STOP

    async def start(self) -> None:
        """Remember what was counted, then read the device.

        Raises:
            DriverError: if the device does not answer.

        """
        stored = await self._ledger.state("epoch")
        self.highest_epoch = self._durable_epoch = int(stored["epoch"]) if stored else 0
        kept = BookMark.from_json(await self._ledger.state(ACCOUNT) or {})
        written = await self._ledger.energy()
        # Of a deal whose records did not reach this unit, its own mark alone knows.
        known = sorted({*written, *kept.counters} - await self._ended(kept.counters.keys() - written.keys()))
        counters = {key: kept.counters.get(key, NO_ENERGY).merged(written.get(key, NO_ENERGY)) for key in known}
        self.account = energy.Account(counters, dict(kept.unattributed_wh), kept.sample)
        if kept.time is not None:
            since_s = (self._clock.now() - kept.time).total_seconds()
            went_on_s = await self._went_on_s(since_s)
            if await self._is_found_off():
                went_on_s = min(went_on_s, kept.unread_s + await self._went_on_alone_s())
            self.account = energy.estimated(self.account, went_on_s, kept.currents_a)
        await self.refresh()
        await self.reconcile("start")

    async def _ended(self, deal_ids: Collection[str]) -> set[str]:
        """Which of these the ledger has as ended."""
        return {deal.deal_id for deal in await self._ledger.deals() if deal.is_ended and deal.deal_id in deal_ids} if deal_ids else set()

    async def _went_on_s(self, since_s: float) -> float:
        """How long of the last `since_s` the converter went on, unread [community s]: until its dead-man read it in wait."""
        report = None if self._guard is None else await self._guard.report(self._settings.unit_id)
        if report is None or not report.is_off:
            return since_s
        went_on_s = since_s - report.off_ago_s / self._clock.to_wall(1.0)
        # Read in wait before the last sample, which showed it on: that reading says nothing of the time since.
        return since_s if went_on_s <= 0 else min(since_s, went_on_s)

    async def _is_found_off(self) -> bool:
        """Whether the converter says that it is in wait; one that says nothing may be on."""
        try:
            return Converter().merged(await self._driver.status()).mode is ConverterMode.WAIT
        except DriverError, MessageError:
            return False

    async def _went_on_alone_s(self) -> float:
        """How long a converter that is found off can have gone on after its process last wrote down that it was there [community s].

        Until its recorded wait, or its dead-man's at the latest: not for as long as the process, or the machine, was away, and
        whatever clock the days are told by.
        """
        policy, per_wall_s = self._settings.policy, 1 / self._clock.to_wall(1.0)
        look_s = self._clock.period(policy.data_acquisition_period_s) + policy.request_timeout_s * policy.request_limit * per_wall_s
        to_last_beat_s = self._clock.period(KEEP_PERIOD_S) + look_s
        report = None if self._guard is None else await self._guard.report(self._settings.unit_id)
        dead_man_s = policy.times.reference_dead_man_s
        if report is not None and report.is_off:
            # It may have taken its time where the device did not answer.
            dead_man_s = max(dead_man_s, report.beat_ago_s - report.off_ago_s)
        return to_last_beat_s + dead_man_s * per_wall_s

    async def reconcile(self, why: str) -> None:
        """Look at what the converter does, and take it over from its dead-man; what that has done is told.

        Raises:
            DriverError: if the device or the guard does not answer.

        """
        await self.refresh()
        if self._guard is None:
            return
        # No write between what is known of the converter and what its dead-man is told of it.
        async with self._io:
            await self._rearm(self._guard, why)

    async def _rearm(self, guard: Guard, why: str) -> None:
        report = await guard.report(self._settings.unit_id)
        if report is not None:
            try:
                await self.admit(max(report.epoch, self.highest_epoch))
            except LedgerError:
                # A guard is told that it may rest whether a disk is full or not.
                if self.converter.mode is not ConverterMode.WAIT:
                    raise
            if report.trip:
                self._fault(f"{why}: the dead-man stopped the converter {report.tripped_ago_s:.0f} s ago: {report.trip}", Level.WARN)
        policy, times = self._settings.policy, self._settings.policy.times
        wait = self._driver.set_mode(ConverterMode.WAIT, policy.operation_grid_voltage_v, 0.0, 0.0)
        highest_v = policy.operation_grid_voltage_max_v
        window_v = (policy.operation_grid_voltage_min_v, highest_v - policy.grid_voltage_allowance_v, highest_v)
        orders = GuardOrders(policy.member_unit_ids, times.current_mode_dead_man_s, times.reference_dead_man_s, wait, window_v)
        await guard.arm(GuardRole.of(self.converter.mode), self.highest_epoch, orders)

    async def run(self) -> None:
        """Read the device at its period until cancelled."""
        while True:
            period_s = self._clock.period(self._settings.policy.data_acquisition_period_s)
            await wait_for(self._clock, next_reading_s(self._read_s, period_s), self._wake)
            try:
                await self.refresh()
                self._silent = False
            except ApisError as error:
                self._read_s = self._clock.monotonic()
                if not self._silent:
                    # Said once: what has to follow has followed, until the device answers again.
                    self._fault(f"the device was not read: {error}")
                self._silent = True
                with contextlib.suppress(LedgerError):
                    # For as long as this is written down, the converter counts as on.
                    await self._keep_account()

    @property
    def converter(self) -> Converter:
        """The converter as last seen; all unknown before the first reading."""
        return self.reading.converter if self.reading is not None else Converter()

    @property
    def is_busy(self) -> bool:
        """Whether a command is under way."""
        return self._sequence.locked()

    @property
    def is_starting_current(self) -> bool:
        """Whether the converter is about to be in a current mode, whatever was last read of it."""
        return self._starting > 0

    @property
    def is_changing(self) -> bool:
        """Whether a command is under way, or was so a moment ago that the meters may not show it yet."""
        return self.is_busy or self._just_commanded()

    def reading_age_s(self) -> float:
        """How old the reading is [community s]."""
        return float("inf") if self.reading is None else self._clock.monotonic() - self.reading.monotonic_s

    def usable_reading(self) -> Reading | None:
        """The reading, if it is young enough to decide by."""
        limit_s = usable_s(self._clock.period(self._settings.policy.data_acquisition_period_s), self._clock.to_wall(1.0))
        return self.reading if self.reading_age_s() <= limit_s else None

    async def bring_up_to_date(self) -> bool:
        """Where a reading costs nothing, whoever is asked looks first; whether it had to. Raises DriverError."""
        if not self._driver.capabilities.reads_at_once or self.reading_age_s() <= 0:
            return False
        await self.refresh()
        return True

    async def refresh(self) -> Reading:
        """Read everything now, count energy, check safety.

        Raises:
            DriverError: if the device did not answer, or not in its form.

        """
        async with self._io:
            data = await self._driver.read()
            try:
                converter, battery = Converter.from_json(data.dcdc), Battery.from_json(data.battery)
                if self._driver.capabilities.charge_only:
                    battery = battery.without_discharging()
            except MessageError as error:
                raise DriverError(f"{self._settings.unit_id}: {error}") from error
            if self.reading is not None and self._is_known(converter) and battery == self.reading.battery:
                self._read_s = self.reading.monotonic_s
                return self.reading
            await self._book_unread()
            reading = self._take(converter, battery, data.house)
        self._read_s = reading.monotonic_s
        hard = self._check(reading)
        try:
            await self._ledger.record_reading(reading)
            await self._keep_account()
            self._ledger_failed = False
        except LedgerError as error:
            # The reading counts all the same; that it cannot be kept ends the unit's sharing. Said once until it can.
            if not self._ledger_failed:
                self._report(ErrorReport(self._settings.unit_id, Category.FRAMEWORK, Extent.LOCAL, Level.ERROR, str(error)))
            self._ledger_failed = True
        if hard is not None and reading.converter.mode is not ConverterMode.WAIT:
            if reading.converter.mode is ConverterMode.VOLTAGE_REFERENCE:
                await self.tell_leaving()
            await self.stop_local(hard)
        return reading

    async def refresh_status(self) -> Reading:
        """Read mode and meters now.

        Raises:
            DriverError: if the device did not answer.

        """
        async with self._io:
            answer = await self._driver.status()
            if self.reading is not None and self._is_known(answer):
                return self.reading
            await self._book_unread()
            return self._merge(answer, stepped=False)

    def _is_known(self, converter: Json | Converter) -> bool:
        """Whether this very answer was taken over at this moment: asked twice in a run where nothing moves in between."""
        return self.reading is not None and converter is self.reading.converter and self.reading_age_s() == 0

    async def _book_unread(self) -> None:
        """What flowed in a time without readings is estimated, not measured: a straight line over it would be a guess in silence."""
        last = self.account.last
        limit_s = 3 * self._clock.period(self._settings.policy.data_acquisition_period_s)
        if last is None or self.converter.mode is ConverterMode.WAIT or self._clock.monotonic() - last.monotonic_s <= limit_s:
            return
        running, stopping = self._deal_currents_a()
        went_on_s = await self._went_on_s(self._clock.monotonic() - last.monotonic_s)
        self.account = energy.estimated(self.account, went_on_s, {**stopping, **running})

    async def execute(self, command: Command, arrived_s: float | None = None) -> Converter:
        """Carry out a command of the Grid Master or, in manual mode, of a person.

        `arrived_s`: when it arrived [wall s], from which its deadline counts; now, if it did not travel.

        Raises:
            CommandRefusedError: for an old epoch, a deadline that has passed, or parameters out of range.
            DriverError: if the device did not follow.

        """
        # Whatever stops the unit from here on stops this too.
        generation = self._generation
        starts = command.kind in (CommandKind.CHARGE, CommandKind.DISCHARGE)
        self._starting += starts
        try:
            return await self._execute(command, arrived_s, generation)
        finally:
            self._starting -= starts

    async def _execute(self, command: Command, arrived_s: float | None, generation: int) -> Converter:
        deadline_s = (self._clock.wall() if arrived_s is None else arrived_s) + command.deadline_s
        try:
            await self.admit(command.epoch)
        except LedgerError:
            # The safe direction does not depend on a disk.
            if command.kind not in (CommandKind.WAIT, CommandKind.SCRAM):
                raise
        if command.kind is CommandKind.SCRAM:
            self._generation += 1
            generation = self._generation
        elif command.kind in _STARTING:
            self.released.clear()
        try:
            return await self._run_sequence(command, deadline_s, generation)
        except CommandRefusedError:
            report = None if self._guard is None else await self._guard.report(self._settings.unit_id)
            if report is None or not report.trip:
                raise
            await self.reconcile("refused")
            if command.kind not in _STARTING or self.converter.mode is not ConverterMode.WAIT:
                raise
        # The trip was an old story, and is settled: the unit has read its converter in wait and armed the dead-man anew.
        return await self._run_sequence(command, deadline_s, generation)

    async def tell_guard_it_is_off(self) -> None:
        """A converter that went to wait, by whatever way, needs no dead-man any more; one that was switched on meanwhile does.

        Raises:
            DriverError: if the device or the guard does not answer.

        """
        if self._guard is None:
            return
        # One reading may be wrong: whoever is taken for off is stopped by nobody.
        await self.refresh_status()
        async with self._io:
            if self.converter.mode is ConverterMode.WAIT:
                await self._rearm(self._guard, "in wait")

    async def let_go(self, deal_ids: Collection[str], reason: str) -> Converter:
        """Carry some deals no longer: on with the current of the others, to wait if there are none."""
        self.released.update(dict.fromkeys(deal_ids, reason))
        running, _ = self._deal_currents_a()
        if not running:
            return await self.stop_local(reason, in_steps=True)
        current_a = round(abs(sum(running.values())), 6)
        command = Command(CommandKind.CURRENT, self.highest_epoch, float("inf"), grid_current_a=current_a, reason=reason)
        return await self._run_sequence(command, float("inf"), self._generation)

    async def stop_local(self, reason: str, *, in_steps: bool = False) -> Converter:
        """To wait now, whatever is going on: self-protection needs nobody's permission. In steps where there is time for them."""
        self._generation += 1
        command = Command(CommandKind.WAIT if in_steps else CommandKind.SCRAM, self.highest_epoch, float("inf"), reason=reason)
        return await self._run_sequence(command, float("inf"), self._generation)

    def settle(self, deal_ids: frozenset[str]) -> None:
        """Forget the counters of deals that have left the store."""
        self.account = self.account.without(deal_ids)
        for deal_id in deal_ids:
            self.released.pop(deal_id, None)

    def account_json(self) -> Json:
        """What was counted until now, for the ledger."""
        running, _ = self._deal_currents_a()
        time = None if self.reading is None or self.converter.mode is ConverterMode.WAIT else self.reading.time
        mark = BookMark(self.account.deals, self.account.unattributed_wh, running, self.account.last, time, self._clock.now())
        return mark.to_json()

    async def _keep_account(self) -> None:
        """While a converter is on, what was counted is on disk every few seconds: the rest of a lost process is estimated."""
        now_s, counted = self._clock.monotonic(), (self.account.deals, self.account.unattributed_wh)
        if now_s - self._kept_s < self._clock.period(KEEP_PERIOD_S):
            return
        if self.converter.mode is ConverterMode.WAIT and counted == self._kept:
            return
        self._kept_s, self._kept = now_s, counted
        await self._ledger.set_state(ACCOUNT, self.account_json())

    async def admit(self, epoch: int) -> None:
        """Take note of an epoch, durably.

        Raises:
            CommandRefusedError: if a higher one has been seen.
            LedgerError: if it cannot be written down.

        """
        if epoch < self.highest_epoch:
            raise CommandRefusedError(
                f"{self._settings.unit_id}: found epoch {epoch}, expected at least {self.highest_epoch}: another Grid Master is in charge"
            )
        self.highest_epoch = max(epoch, self.highest_epoch)
        if self._durable_epoch < epoch:
            # Not obeyed before it is on disk: after a restart the one that it fences off would be obeyed again.
            await self._ledger.set_state("epoch", {"epoch": epoch})
            self._durable_epoch = epoch

    async def _run_sequence(self, command: Command, deadline_s: float, generation: int) -> Converter:
        async with self._sequence:
            lenient = command.kind in _LENIENT
            actions = sequences.plan(command, self.converter, self._settings.policy, self._settings.hardware, self._rng)
            if command.kind in _SUSPENDING:
                self._suspended = True
            silent = False
            for i, action in enumerate(actions):
                if silent and i < len(actions) - 1:
                    continue
                try:
                    await self._perform(action, command.epoch, deadline_s, lambda: self._still_right(command, deadline_s, generation))
                except DriverError as error:
                    if not lenient or i == len(actions) - 1:
                        self._fault(f"{command.kind}: {error}", Level.WARN if isinstance(action, sequences.Checkpoint) else Level.ERROR)
                        raise
                    self._fault(f"{command.kind}: {error}; wait is sent all the same", Level.WARN)
                    silent = True
                except CommandRefusedError:
                    if not lenient or i == len(actions) - 1:
                        raise
                    # A refusal of the unit's own holds. The dead-man's, after a trip, is of steps alone: a wait it always takes.
                    self._still_right(command, deadline_s, generation)
                    silent = True
            if command.kind in _RESUMING:
                self._suspended = False
            self._commanded_s = self._clock.monotonic()
            return self.converter

    def _still_right(self, command: Command, deadline_s: float, generation: int) -> None:
        """Looked at right before every single write, each try of it included."""
        unit_id = self._settings.unit_id
        if command.epoch < self.highest_epoch and command.kind not in (CommandKind.WAIT, CommandKind.SCRAM):
            raise CommandRefusedError(f"{unit_id}: epoch {command.epoch} was overtaken by {self.highest_epoch}")
        if self._generation != generation:
            raise CommandRefusedError(f"{unit_id}: {command.kind} was interrupted by the unit's own stop")
        if self._clock.wall() > deadline_s:
            raise CommandRefusedError(f"{unit_id}: {command.kind} came too late")

    async def _perform(self, action: sequences.Action, epoch: int, deadline_s: float, admit: Callable[[], None]) -> None:
        if isinstance(action, sequences.Checkpoint):
            await self._checkpoint(action, admit)
            return
        attempts = self._settings.policy.request_limit
        for attempt in range(1, attempts + 1):
            async with self._io:
                admit()
                try:
                    answer = await self._writer.write(action, epoch=epoch, deadline_s=deadline_s)
                    await self._book_unread()
                    self._merge(answer, stepped=True)
                except DriverError:
                    if attempt == attempts:
                        raise
                else:
                    return

    async def _checkpoint(self, wanted: sequences.Checkpoint, admit: Callable[[], None]) -> None:
        policy, hardware = self._settings.policy, self._settings.hardware
        found = ""
        for _ in range(policy.checkpoint_limit):
            await self._clock.sleep(policy.checkpoint_wait_s)
            admit()
            meter = (await self.refresh_status()).converter.meter
            if wanted.voltage_v is not None:
                value = meter.grid_voltage_v
                good = value is not None and abs(value - wanted.voltage_v) <= policy.grid_voltage_allowance_v
                found = f"line voltage {value} V, expected {wanted.voltage_v:g} +- {policy.grid_voltage_allowance_v:g} V"
            else:
                value, target_a = meter.grid_current_a, wanted.current_a or 0.0
                good = value is not None and abs(abs(value) - target_a) <= hardware.grid_current_allowance_a
                found = f"grid current {value} A, expected {target_a:g} +- {hardware.grid_current_allowance_a:g} A"
            if good:
                return
        message = f"not confirmed after {policy.checkpoint_limit} readings: {found}"
        if wanted.binding:
            raise DriverError(message)
        self._fault(message, Level.WARN)

    def _merge(self, answer: Json | Converter, *, stepped: bool) -> Reading:
        try:
            converter = self.converter.merged(answer)
        except MessageError as error:
            raise DriverError(f"{self._settings.unit_id}: {error}") from error
        battery = self.reading.battery if self.reading is not None else Battery()
        house = self.reading.house if self.reading is not None else {}
        return self._take(converter, battery, house, stepped=stepped)

    def _take(self, converter: Converter, battery: Battery, house: Json, *, stepped: bool = False) -> Reading:
        now_s = self._clock.monotonic()
        if self.reading is None or converter.mode is not self.converter.mode:
            self.changed.set()
        self.reading = Reading(self._settings.unit_id, self._clock.now(), now_s, converter, battery, house)
        sample = energy.Sample.of(converter, now_s)
        if sample is not None:
            counts = self.account.last is not None and self.account.last.is_on
            running, stopping = self._deal_currents_a() if counts else ({}, {})
            self.account = energy.counted(self.account, sample, running, stopping, stepped=stepped)
        return self.reading

    def _deal_currents_a(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        unit_id = self._settings.unit_id
        active = [deal for deal in self._board.own_deals(unit_id) if deal.is_active]
        currents = {deal.deal_id: (deal.compensated_current_a(unit_id), deal.stop_time) for deal in active}
        ending = {deal_id for deal_id, (_, stop) in currents.items() if stop is not None or deal_id in self.released}
        running = {deal_id: current_a for deal_id, (current_a, _) in currents.items() if deal_id not in ending}
        return running, {deal_id: current_a for deal_id, (current_a, _) in currents.items() if deal_id in ending}

    def _check(self, reading: Reading) -> str | None:
        """Report what is out of order; the reason if the unit must stop at once."""
        settings = self._settings
        around = local_safety.Surroundings(
            settings.unit_id,
            tuple(deal for deal in self._board.own_deals(settings.unit_id) if deal.deal_id not in self.released),
            self.local_mode(),
            settings.policy,
            settings.hardware,
            suspended=self._suspended or self.is_changing,
        )
        findings = local_safety.check(reading.converter, around)
        period_s = self._clock.period(settings.policy.data_acquisition_period_s)
        if reading.monotonic_s - self._checked_s < 0.9 * period_s:
            # A second strike is a second look a period later, not two readings in a row.
            findings = tuple(finding for finding in findings if not finding.twice)
            strikes = self._strikes
        else:
            self._checked_s = reading.monotonic_s
            strikes = None
        reports, remembered = judged(findings, self._strikes, settings.unit_id, Extent.LOCAL)
        self._strikes = remembered if strikes is None else strikes
        for item in reports:
            self._report(item)
        return next((finding.message for finding in findings if finding.hard), None)

    def _just_commanded(self) -> bool:
        """Whether a command was carried out less than a period ago: the deal's record follows the converter, not the reverse."""
        period_s = self._clock.period(self._settings.policy.data_acquisition_period_s)
        return self._clock.monotonic() - self._commanded_s < period_s

    def _fault(self, message: str, level: Level = Level.ERROR) -> None:
        self._report(ErrorReport(self._settings.unit_id, Category.HARDWARE, Extent.LOCAL, level, message))


async def _nobody_to_tell() -> None:
    """A controller on its own has no line to tell."""


def energy_json(account: energy.Account) -> Json:
    """A unit's counters as told to the Grid Master."""
    return {deal_id: counters.to_json() for deal_id, counters in account.deals.items()}


def energy_from_json(data: Json) -> dict[str, SideEnergy]:
    """The counters a unit told; as they are where nothing is in between."""
    return {deal_id: c if isinstance(c, SideEnergy) else SideEnergy.from_json(c) for deal_id, c in data.items()}
