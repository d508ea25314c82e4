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
from .model.converter import AlarmState, Converter, ConverterMode
from .model.errors import (
    ApisError,
    Category,
    ClusterError,
    CommandRefusedError,
    ErrorReport,
    Extent,
    LedgerError,
    Level,
)
from .model.modes import LOCAL_MODES, Command, OperationMode
from .model.policy import Policy
from .model.scenario import Scenario
from .ports import Capabilities, Clock, Cluster, Driver, Entry, Guard, Json, Ledger
from .rules import slots
from .rules.modes import effective_mode
from .rules.outages import Cause
from .rules.reactions import Reaction
from .unit.answers import Answers
from .unit.board import CHARTER, DEAL, MODE, UNIT, Board
from .unit.charter import Charter
from .unit.controller import Controller
from .unit.errors import ErrorDesk
from .unit.health import Health
from .unit.mediator import Mediator, wait_until
from .unit.sentry import Sentry
from .unit.settings import Settings
from .unit.subjects import ERROR, LEAVING
from .unit.user import User

_LOGGER = logging.getLogger(__name__)
RESTART_DELAY_S = 1.0
# Readings further apart than so many of the policy's periods are said aloud: the ends of deals are then seen late.
SLOWEST = 4
HAND_DEADLINE_S = 30.0
# From the word that a reference leaves to its leaving: a message, and the current modes' way to wait.
LEAVING_S = 1.0


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
        self.role.unheard_s = lambda: self.sentry.unheard_s
        self.charter.before_leaving = self.role.step_down
        cluster.trust(lambda: (*settings.policy.member_unit_ids, settings.unit_id))
        self.answers = Answers(
            settings,
            cluster,
            self.board,
            ledger,
            clock,
            self.controller,
            self.sentry,
            self.mediator,
            self.errors.report,
            stops_itself=lambda: driver.capabilities.dead_man == "device",
            deal_log_format=deal_log_format,
        )
        cluster.handle(ERROR, self._on_error)

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
            ClusterError: if the store does not answer.
            LedgerError: if it cannot be read or written.
            DriverError: if the device does not answer.

        """
        await self._remember_mode()
        await self.ledger.record_scenario(self.settings.scenario.to_json(), "start", self.clock.now())
        await self._introduce()
        await self.mediator.end_unknown()
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
                if not self._closing:
                    # Whoever has waited for them already does not do so twice.
                    await self.end_own_deals(reason, None if within_s is None else 0.25 * within_s)
                await self._to_wait(reason)
                await self.role.leave()
        await self._cancel_tasks()
        await self.health.close()
        # Once more at the very end: whatever happened in between, the converter is left in wait.
        if self.controller.converter.mode is ConverterMode.VOLTAGE_REFERENCE:
            await self.tell_leaving()
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
        """The converter to wait; a voltage reference tells its line before it leaves.

        Also where no deal is active: a converter that nobody could tell of its deal's end may still be on.
        """
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
                await self._to_wait(f"after {duration_s:g} s by hand")

        self._forget("hand")
        if duration_s is not None:
            self._later("hand", duration_s, back_to_wait)
        return done

    async def _on_error(self, _sender: str, message: Json) -> Any:
        report = ErrorReport.from_json(message)
        if self.role.master is not None and report.extent is not Extent.LOCAL:
            await self.role.master.react(report)
        return None
