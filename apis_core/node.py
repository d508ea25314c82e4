"""One unit, whole: its user, mediator and controller, its part in the Grid Master's role, and how it starts and stops."""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
from dataclasses import replace
import logging
from pathlib import Path
import random
from typing import Any

from .gridmaster.role import Role
from .model.contact import Contact
from .model.converter import AlarmState, Converter, ConverterMode, Reading
from .model.deal import Deal
from .model.errors import (
    ApisError,
    Category,
    ClusterError,
    CommandRefusedError,
    ErrorReport,
    Extent,
    LedgerError,
    Level,
    MessageError,
)
from .model.modes import LOCAL_MODES, Command, CommandKind, OperationMode
from .model.policy import Policy
from .model.scenario import Scenario
from .ports import Capabilities, Clock, Cluster, Driver, Entry, Guard, Json, Ledger
from .rules import slots
from .rules.modes import effective_mode
from .rules.outages import Cause
from .rules.reactions import Reaction
from .unit import deal_log
from .unit.board import CHARTER, DEAL, LEASE, MODE, UNIT, Board
from .unit.charter import Charter
from .unit.controller import Controller, energy_json
from .unit.errors import ErrorDesk
from .unit.health import Health
from .unit.mediator import Mediator, wait_until
from .unit.sentry import Sentry
from .unit.settings import Settings
from .unit.subjects import COMMAND, CONTACT, EPOCH, ERROR, LEAVING, READ, RECORD, SNAPSHOT
from .unit.user import User

_LOGGER = logging.getLogger(__name__)
RESTART_DELAY_S = 1.0
# Readings further apart than so many of the policy's periods are said aloud: the ends of deals are then seen late.
SLOWEST = 4
HAND_DEADLINE_S = 30.0
# From the word that a reference leaves to its leaving: a message, and the current modes' way to wait.
LEAVING_S = 1.0
# No community changes its Grid Master so often while a unit is away.
EPOCH_STEP_MAX = 100_000
_ACTIVE = {
    CommandKind.VOLTAGE_REFERENCE: ConverterMode.VOLTAGE_REFERENCE,
    CommandKind.WILL_TAKE_OVER: ConverterMode.VOLTAGE_REFERENCE,
    CommandKind.CHARGE: ConverterMode.CHARGE,
    CommandKind.DISCHARGE: ConverterMode.DISCHARGE,
}


class Node:
    """A unit's process, or its part of one."""

    def __init__(
        self,
        settings: Settings,
        driver: Driver,
        cluster: Cluster,
        ledger: Ledger,
        clock: Clock,
        rng: random.Random,
        *,
        guard: Guard | None = None,
        deal_log_format: str | None = None,
        state_file: Path | None = None,
        board: Board | None = None,
    ) -> None:
        """`guard`: the dead-man, where the device has none of its own.

        `board`: a mirror of the store that somebody else keeps, for several nodes that see the same; by default an own one.

        `state_file`: where the original kept this unit's own mode; read once, at the first start.
        """
        self.settings = settings
        self.cluster = cluster
        self.ledger = ledger
        self.clock = clock
        self._driver = driver
        self._deal_log_format = deal_log_format
        self._state_file = state_file
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = ""
        self.local_mode: OperationMode | None = None
        self.on_fatal: Callable[[str], None] = lambda _reason: None
        self._keeps_board = board is None
        self.board = board or Board(cluster.store, lambda: settings.policy.operation_mode)
        self.errors = ErrorDesk(settings.unit_id, cluster, ledger, clock)
        self.controller = Controller(settings, driver, self.board, ledger, clock, rng, self.errors.report, guard)
        self.controller.local_mode = lambda: self.mode
        self.controller.tell_leaving = self.tell_leaving
        self.sentry = Sentry(settings, self.controller, self.board, guard, clock, self.errors.report)
        self.user = User(settings, self.board, self.controller, clock, rng, self.unwilling)
        self.mediator = Mediator(
            settings,
            cluster,
            self.board,
            ledger,
            clock,
            rng,
            self.user.standing,
            self.unwilling,
            self.controller.bring_up_to_date,
            simulated=driver.capabilities.simulated,
        )
        self.user.use(self.mediator)
        self.health = Health(ledger, clock, self._why_away, driver.health)
        self.charter = Charter(settings, cluster, self.board, ledger, clock)
        self.charter.mode_of_converter = lambda: self.controller.converter.mode
        self.charter.on_change = self._obey_policy
        self.role = Role(settings, cluster, self.board, clock, lambda: self.controller.highest_epoch, self.errors.report, guard)
        self.charter.before_leaving = self.role.step_down
        cluster.trust(lambda: (*settings.policy.member_unit_ids, settings.unit_id))
        for subject, handler in (
            (SNAPSHOT, self._on_snapshot),
            (READ, self._on_read),
            (COMMAND, self._on_command),
            (CONTACT, self._on_contact),
            (EPOCH, self._on_epoch),
            (LEAVING, self._on_leaving),
            (RECORD, self._on_record),
            (ERROR, self._on_error),
        ):
            cluster.handle(subject, handler)

    @property
    def unit_id(self) -> str:
        """Whose node this is."""
        return self.settings.unit_id

    @property
    def capabilities(self) -> Capabilities:
        """What the unit's hardware can do."""
        return self._driver.capabilities

    def free_slots(self) -> int:
        """How many more deals fit into the unit's converter."""
        policy, capacity_a = self.settings.policy, self.settings.hardware.grid_current_capacity_a
        in_use_a = slots.current_in_use_a(self.unit_id, self.board.own_deals(self.unit_id))
        return max(0, slots.free_slots(slots.exact(capacity_a), in_use_a, slots.exact(policy.deal_grid_current_a)))

    @property
    def mode(self) -> OperationMode:
        """The mode that holds for this unit."""
        return effective_mode(self.board.mode, self.local_mode)

    def unwilling(self, least: OperationMode) -> str | None:
        """Why the unit makes no deals now, or None. `least`: AUTONOMOUS for its own wishes, HETERONOMOUS for a person's."""
        modes = (OperationMode.AUTONOMOUS,) if least is OperationMode.AUTONOMOUS else (OperationMode.AUTONOMOUS, OperationMode.HETERONOMOUS)
        if self._closing:
            return self._closing
        if self.unit_id not in self.settings.policy.member_unit_ids:
            return f"{self.unit_id} is not a member of the community"
        if self.charter.is_changing:
            return "the community is about to change its policy or members"
        if self.mode not in modes:
            return f"the unit's mode is {self.mode}"
        trouble = self.cluster.store.trouble or self.ledger.trouble
        if trouble:
            return f"what is agreed could not be kept: {trouble}"
        if self.errors.has_errors(self.settings.policy.error_sustaining_s):
            return "the unit had an error a moment ago"
        if self.board.alert is not None:
            return f"no new deals now: {self.board.alert.get('reason')}"
        return None

    async def start(self) -> None:
        """Begin: remember, read the device, join in.

        Raises:
            DriverError: if the device does not answer.

        """
        await self._remember_mode()
        await self.ledger.record_scenario(self.settings.scenario.to_json(), "start", self.clock.now())
        await self._introduce()
        if self._keeps_board:
            self._spawn("board", self.board.run)
        self.sentry.begin()
        await self.controller.start()
        self._spawn("sentry", self.sentry.run)
        self._spawn("targets", self.sentry.run_targets)
        self._spawn("controller", self.controller.run)
        self._spawn("errors", lambda: self.errors.run(self._react))
        self._spawn("modes", self._follow_board)
        self._spawn("role", self.role.run)
        self._spawn("user", self.user.run)
        if self.health.is_kept:
            self._spawn("health", self.health.run)
        self._say_if_too_slow()
        _LOGGER.info("%s is up", self.unit_id)

    async def stop(self, reason: str, within_s: float | None = None) -> None:
        """End in order: own deals first, then the converter, then the role; nothing is left behind.

        `within_s`: how long this may take [wall s], where somebody waits; what is not in order by then is put to wait all the same.
        """
        with contextlib.suppress(TimeoutError):
            # The last step has the last quarter for itself.
            async with asyncio.timeout(None if within_s is None else 0.75 * within_s):
                await self.end_own_deals(reason, None if within_s is None else 0.25 * within_s)
                with contextlib.suppress(ApisError):
                    await self.controller.stop_local(reason, in_steps=True)
                await self.role.leave()
        await self._cancel_tasks()
        await self.health.close()
        # Once more at the very end: whatever happened in between, the converter is left in wait.
        with contextlib.suppress(ApisError):
            await self.controller.stop_local(reason)
        await self._let_go()

    async def end_deals(self, reason: str, within_s: float) -> None:
        """Ask the Grid Master to end this unit's deals; others may follow later."""
        await self._stop_own_deals(reason, within_s)

    async def ensure_wait(self, reason: str) -> None:
        """The converter to wait, unless it is. Raises ApisError if it does not follow."""
        if self.controller.converter.mode is not ConverterMode.WAIT:
            await self.controller.stop_local(reason, in_steps=True)

    async def end_own_deals(self, reason: str, within_s: float | None = None) -> None:
        """Ask the Grid Master to end this unit's deals, and wait until it has; no longer than the policy allows, or so long."""
        self._closing = self._closing or f"{self.unit_id}: {reason}"
        await self._stop_own_deals(f"{self.unit_id}: {reason}", within_s)

    def reopen(self) -> None:
        """It was about to end, and goes on: it makes deals again."""
        self._closing = ""

    async def kill(self) -> None:
        """End at once as a killed process does: no deal is ended, no converter commanded. For trying what then follows."""
        await self._cancel_tasks()
        await self._let_go()

    async def set_local_mode(self, mode: OperationMode | None, who: str) -> None:
        """Hold this unit back (`heteronomous` or `stop`), or let it follow the community again (None).

        Raises:
            CommandRefusedError: for any other mode.

        """
        if mode is not None and mode not in LOCAL_MODES:
            raise CommandRefusedError(f"{self.unit_id}: found mode {mode}, expected one of {', '.join(LOCAL_MODES)} or none")
        await self.ledger.set_state("mode", {"mode": mode})
        await self.ledger.record_mode("local", mode, who, self.clock.now())
        self.local_mode = mode
        self.board.wake()

    async def set_global_mode(self, mode: OperationMode, who: str) -> None:
        """Set the community's mode; every unit writes it down when it sees it."""
        value: Json = {"mode": str(mode), "who": who}
        self.board.note(Entry(MODE, value, await self.cluster.store.put(MODE, value)))

    async def set_scenario(self, scenario: Scenario, who: str) -> None:
        """Live by another scenario from now on; deals that exist go on.

        Raises:
            ConfigError: if a limit lies outside this unit's battery.

        """
        Scenario.from_json(scenario.to_json(), f"scenario of {self.unit_id}", self.settings.hardware.battery_nominal_capacity_wh)
        await self.ledger.record_scenario(scenario.to_json(), who, self.clock.now())
        self.settings.scenario = scenario

    def _why_away(self) -> Cause | None:
        """Why the unit cannot share now: because somebody wants it so, or because something is wrong."""
        reading = self.controller.usable_reading()
        if self.mode in (OperationMode.STOP, OperationMode.MANUAL) and self.board.alert is None:
            return Cause.PLANNED
        alarm = reading is not None and reading.converter.alarm_state == AlarmState.HEAVY
        return Cause.FAULT if reading is None or alarm or self.board.alert is not None else None

    @property
    def _wants_none(self) -> str:
        """Why the unit's deals have to end, if they have to."""
        return self._closing or (f"{self.unit_id}: {OperationMode.STOP}" if self.local_mode is OperationMode.STOP else "")

    async def _follow_board(self) -> None:
        """Write mode changes down; end own deals that appear while this unit wants none."""
        changed = self.board.listen(lambda key: key in (MODE, CHARTER) or (key.startswith(DEAL) and bool(self._wants_none)))
        seen: Json | None = None
        try:
            while True:
                await self.charter.follow(self.board.value(CHARTER))
                value = self.board.value(MODE)
                if value is not None and value != seen:
                    seen = value
                    who = f"{value.get('who')}: {value['reason']}" if value.get("reason") else str(value.get("who"))
                    try:
                        await self.ledger.record_mode("global", str(value.get("mode")), who, self.clock.now())
                    except LedgerError as error:
                        # The mode holds all the same; that nothing can be written is told by the next reading.
                        _LOGGER.error("%s: the mode was not written down: %s", self.unit_id, error)
                reason = self._wants_none
                for deal in self.board.own_deals(self.unit_id) if reason else ():
                    await self.board.ask_to_stop(deal.deal_id, reason)
                await changed.wait()
                changed.clear()
        finally:
            self.board.unlisten(changed)

    async def _introduce(self) -> None:
        """What the others have to know of this unit even when it cannot be asked: who stops its converter in an emergency."""
        capabilities = self._driver.capabilities
        dead_man, key = capabilities.dead_man, UNIT + self.unit_id
        told = {"deadMan": dead_man, "capacityA": self.settings.hardware.grid_current_capacity_a} | (
            {} if capabilities.can_hold_voltage else {"cannotHold": True}
        )
        if (await self.cluster.store.get(key) or Entry(key, None, 0)).value != told:
            await self.cluster.store.put(key, told)
        if dead_man == "none":
            text = "nothing stops this converter when nobody commands it any more: it never holds the line's voltage"
            self.errors.report(ErrorReport(self.unit_id, Category.HARDWARE, Extent.LOCAL, Level.WARN, text))

    async def _obey_policy(self, _policy: Policy) -> None:
        """The dead-man's times and the line it looks at are the policy's; asked for until it has them."""
        self.board.wake()
        self._spawn("policy", self._rearm)

    async def _rearm(self) -> None:
        while True:
            try:
                await self.controller.reconcile("after a change of the policy")
            except ApisError as error:
                _LOGGER.warning("%s: the dead-man has the old policy still: %s", self.unit_id, error)
                await self.clock.sleep_wall(RESTART_DELAY_S)
            else:
                return

    def _say_if_too_slow(self) -> None:
        wanted_s = self.settings.policy.data_acquisition_period_s
        possible_s = self.clock.period(wanted_s)
        if possible_s > SLOWEST * wanted_s and not self.clock.is_quiet:
            text = f"the emulator's time runs too fast to keep up: the device is read every {possible_s:g} s instead of {wanted_s:g} s"
            self.errors.report(ErrorReport(self.unit_id, Category.USER, Extent.LOCAL, Level.WARN, text))

    def _spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervised(name, work), name=f"{self.unit_id} {name}"))

    async def _supervised(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """A loop that fails is reported and begins anew; it never dies quietly."""
        while True:
            try:
                await work()
                return
            except ClusterError as error:
                # Cut off: what the unit owes its line then is its own watch's business.
                report = ErrorReport(self.unit_id, Category.FRAMEWORK, Extent.LOCAL, Level.WARN, f"{name}: {error}")
                self.errors.report(report)
                await self.clock.sleep_wall(RESTART_DELAY_S)
            except Exception as error:
                _LOGGER.exception("%s: %s failed", self.unit_id, name)
                level = Level.FATAL if isinstance(error, LedgerError) else Level.ERROR
                self.errors.report(ErrorReport(self.unit_id, Category.LOGIC, Extent.LOCAL, level, f"{name} failed: {error!r}"))
                await self.clock.sleep_wall(RESTART_DELAY_S)

    async def _cancel_tasks(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _let_go(self) -> None:
        await self.cluster.close()
        await self._driver.close()
        try:
            await self.ledger.flush()
        except LedgerError as error:
            _LOGGER.error("%s: the last readings were not written down: %s", self.unit_id, error)

    async def _remember_mode(self) -> None:
        stored = await self.ledger.state("mode")
        text = stored.get("mode") if stored is not None else None
        if stored is None and self._state_file is not None and self._state_file.is_file():
            text = self._state_file.read_text(encoding="utf-8").strip()
            await self.ledger.set_state("mode", {"mode": text if text in LOCAL_MODES else None})
        self.local_mode = OperationMode(text) if text in LOCAL_MODES else None

    async def _react(self, reaction: Reaction, report: ErrorReport) -> None:
        match reaction:
            case Reaction.END_OWN_DEALS:
                await self._stop_own_deals(f"{self.unit_id}: {report.message}")
            case Reaction.WAIT:
                await self._to_wait(report.message)
            case Reaction.GIVE_UP_ROLE:
                await self.role.step_down()
            case Reaction.RECONCILE:
                with contextlib.suppress(ApisError):
                    await self.controller.reconcile("after an error")
            case Reaction.CLOSE_NODE:
                self.on_fatal(report.message)
            case _:
                _LOGGER.debug("%s: %s", self.unit_id, reaction)

    async def _to_wait(self, reason: str) -> None:
        """The converter to wait; a voltage reference whose deals have not ended in time tells its line before it leaves."""
        if self.controller.converter.mode is ConverterMode.VOLTAGE_REFERENCE:
            await self._tell_leaving()
        with contextlib.suppress(ApisError):
            await self.controller.stop_local(reason, in_steps=True)

    async def _tell_leaving(self) -> None:
        """Current modes obey this at once: whoever holds their line is about to leave it."""
        await self.tell_leaving()
        await self.clock.sleep_wall(LEAVING_S)

    async def tell_leaving(self) -> None:
        """Every current mode of the line leaves it at this word."""
        with contextlib.suppress(ApisError):
            await self.cluster.publish(LEAVING, {"unitId": self.unit_id})

    async def _on_leaving(self, sender: str, _message: Json) -> None:
        """A reference leaves: no epoch is needed for the safe direction, but it has to be a member."""
        mode = self.controller.converter.mode
        if sender in self.settings.policy.member_unit_ids and mode is not None and mode.is_current_mode:
            running = [deal.deal_id for deal in self.board.own_deals(self.unit_id) if deal.is_running]
            reason = f"the voltage reference {sender} leaves"
            self.controller.released.update(dict.fromkeys(running, reason))
            await self.controller.stop_local(reason)

    async def _stop_own_deals(self, reason: str, within_s: float | None = None) -> None:
        """Ask for each own deal to be stopped, one that appears meanwhile too, until there is none or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s or self.settings.policy.stop_me_timeout_s):
                while own := self.board.own_deals(self.unit_id):
                    try:
                        for deal in own:
                            await self.board.ask_to_stop(deal.deal_id, reason)
                    except ClusterError:
                        await self.clock.sleep_wall(RESTART_DELAY_S)
                        continue
                    known = {deal.deal_id for deal in own}
                    await wait_until(self.board, lambda known=known: {d.deal_id for d in self.board.own_deals(self.unit_id)} != known)  # type: ignore[misc]

    def _answer(self, reading: Reading | None) -> Json:
        # In a quiet run messages are calls: what is told is handed over as it is.
        account, direct = self.controller.account, self.clock.is_quiet
        answer: Json = {"energy": account.deals if direct else energy_json(account), "released": dict(self.controller.released)}
        if reading is not None:
            answer |= {"reading": reading if direct else reading.to_json(None), "ageS": self.controller.reading_age_s()}
        return answer

    async def _on_snapshot(self, _sender: str, _message: Json) -> Json:
        await self.controller.bring_up_to_date()
        return self._answer(self.controller.reading)

    async def _on_read(self, _sender: str, message: Json) -> Json:
        refresh = self.controller.refresh_status if message.get("status") else self.controller.refresh
        return self._answer(await refresh())

    async def _on_command(self, _sender: str, message: Json) -> Json:
        command = Command.from_json(message)
        contact, arrived_s = Contact.from_json(message.get("contact")), self.clock.wall()
        try:
            await self._hear(contact, arrived_s)
        except LedgerError:
            if command.kind not in (CommandKind.WAIT, CommandKind.SCRAM):
                raise
        mode = _ACTIVE.get(command.kind)
        if mode is not None and (overdue_s := self.sentry.overdue_s(mode)) >= 0:
            raise CommandRefusedError(
                f"{self.unit_id}: {command.kind}: no voltage reference has confirmed the Grid Master in time, {overdue_s:.0f} s late"
            )
        await self.controller.execute(command)
        return self._answer(self.controller.reading)

    async def _on_contact(self, _sender: str, message: Json) -> Json:
        contact = Contact.from_json(message)
        if contact.epoch >= self.controller.highest_epoch:
            await self._hear(contact, self.clock.wall())
        # A higher epoch than the one in the contact is no acknowledgement: the sender has been left behind.
        # A unit whose device is out of its reach answers, but not for its converter, which counts on its dead-man.
        stops_itself = self._driver.capabilities.dead_man == "device"
        return {"epoch": self.controller.highest_epoch, "unspokenS": self.sentry.unspoken_s, "stopsItself": stops_itself}

    async def _on_epoch(self, _sender: str, message: Json) -> Json:
        """Whoever wants the role asks for the highest epoch, or for a new one to be acknowledged: its own is fenced off then."""
        if "epoch" in message:
            await self.controller.admit(self._plausible(message["epoch"]))
        return {"epoch": self.controller.highest_epoch}

    async def _hear(self, contact: Contact, arrived_s: float) -> None:
        """The Grid Master's word counts only with the newest epoch; it is durable here before it is acknowledged.

        `arrived_s`: the moment [wall s] from which the ages in it count, however long writing it down takes.

        Raises:
            CommandRefusedError: for an old epoch.

        """
        await self.controller.admit(self._plausible(contact.epoch))
        self.sentry.heard(contact, arrived_s)

    def _plausible(self, epoch: object) -> int:
        """An epoch as it came, if it can be one: each holder of the role adds one to the highest there is.

        Raises:
            MessageError: for anything that would fence off every Grid Master for good.

        """
        lease = (self.board.value(LEASE) or {}).get("epoch", 0)
        highest = max(self.controller.highest_epoch, int(lease)) + EPOCH_STEP_MAX
        if not isinstance(epoch, int) or epoch > highest:
            raise MessageError(f"epoch: found {epoch!r:.40}, expected at most {highest}")
        return epoch

    async def inject_fault(self, fault: Json, duration_s: float | None) -> None:
        """Let something go wrong with an emulated unit, for so long. Raises CommandRefusedError for a real one."""
        if not self.capabilities.simulated:
            raise CommandRefusedError(f"{self.unit_id}: its device is real: nothing is broken on purpose")
        await self._driver.spoil(fault)
        if duration_s is not None and fault:
            self._later("end of fault", duration_s, lambda: self._driver.spoil({}))

    def _later(self, name: str, delay_s: float, work: Callable[[], Awaitable[Any]]) -> None:
        """Do something once, later, instead of what was to be done under that name before."""
        self._forget(name)

        async def wait_and_do() -> None:
            await self.clock.sleep(delay_s)
            await work()

        self._spawn(name, wait_and_do)

    def _forget(self, name: str) -> None:
        full_name = f"{self.unit_id} {name}"
        for task in [task for task in self._tasks if task.get_name() == full_name]:
            task.cancel()
            self._tasks.remove(task)

    async def command_by_hand(self, command: Command, duration_s: float | None = None) -> Converter:
        """A person's command to this unit's converter; with a duration, it waits again after so long.

        Raises:
            CommandRefusedError: unless the community's mode is manual.

        """
        if self.mode is not OperationMode.MANUAL:
            raise CommandRefusedError(f"{self.unit_id}: the mode is {self.mode}; converters are driven by hand in manual only")
        # A person stands outside the line of Grid Masters: the epoch is the unit's own, and so is the deadline.
        own = replace(command, epoch=self.controller.highest_epoch, deadline_s=HAND_DEADLINE_S)
        done = await self.controller.execute(own)

        async def back_to_wait() -> None:
            if self.mode is OperationMode.MANUAL:
                await self.controller.stop_local(f"after {duration_s:g} s by hand", in_steps=True)

        self._forget("hand")
        if duration_s is not None:
            self._later("hand", duration_s, back_to_wait)
        return done

    async def _on_record(self, _sender: str, message: Json) -> Json:
        record = message.get("deal")
        deal = (self.board.said_by(record) if isinstance(record, dict) else None) or Deal.from_json(record)
        self.mediator.release(deal.negotiation_id)
        told = deal.side_energy(self.unit_id)
        deal = await self.ledger.record_deal(self._with_own_counters(deal), self.controller.account_json())
        if self._deal_log_format is not None and deal_log.worth_logging(deal):
            self._log_deal(deal, self._deal_log_format)
        if deal.is_ended and deal.side_energy(self.unit_id) == told:
            self.controller.settle(frozenset({deal.deal_id}))
        # What the record did not know yet, from a time when the unit was not reached.
        return {"durable": True, "counters": deal.side_energy(self.unit_id).to_json()}

    def _with_own_counters(self, deal: Deal) -> Deal:
        own = self.controller.account.deals.get(deal.deal_id)
        if own is None:
            return deal
        return deal.changed(energy={**deal.energy, self.unit_id: deal.side_energy(self.unit_id).merged(own)})

    def _log_deal(self, deal: Deal, pattern: str) -> None:
        try:
            deal_log.write(deal, pattern, self.settings.zone)
        except OSError as error:
            self.errors.report(ErrorReport(self.unit_id, Category.FRAMEWORK, Extent.LOCAL, Level.WARN, f"deal log: {error}"))

    async def _on_error(self, _sender: str, message: Json) -> Any:
        report = ErrorReport.from_json(message)
        if self.role.master is not None and report.extent is not Extent.LOCAL:
            await self.role.master.react(report)
        return None
