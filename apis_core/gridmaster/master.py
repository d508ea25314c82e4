"""The Grid Master at work: one loop that watches all units, and one that walks deals through their life.

The watching loop collects readings and counters of all units at once and checks the line. The conducting loop gives the
line to one deal's transition at a time and wakes when a deal is predicted to be complete, when the store changes, or at
its period. Both only fetch, call and act; what to do is decided in `rules/`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
import logging
import math
from typing import Any

from ..model.converter import ConverterMode
from ..model.deal import Deal, Side
from ..model.errors import ApisError, Category, ClusterError, ErrorReport, Extent, Level, NotReadError
from ..model.modes import CommandKind, OperationMode
from ..ports import Json
from ..rules import lifecycle, optimisation, overload
from ..rules.lifecycle import Step
from ..rules.modes import deals_must_end
from ..rules.reactions import Reaction, reactions
from ..rules.reference import Never, NotNow
from ..rules.schedule import next_pass_s, next_reading_s
from ..unit.board import ALERT, LEASE, MODE
from ..waiting import wait_for
from . import beginnings, endings, hand_over, mending
from .access import Access, DealGoneError, store_owed
from .agenda import SOON, Agenda
from .leak_check import LeakCheck
from .timing import Timing
from .waits import Waits

_LOGGER = logging.getLogger(__name__)
# Steps that can be taken up again where a reading did not come: whose it was, and why, is known a little later.
READING = (Step.ACTIVATE, Step.CHECK_RAMP_UP, Step.AUTHORISE, Step.WARM_UP, Step.EXCHANGE)
# Steps by which a deal leaves the line: they go on while another deal cannot finish its transition.
ENDINGS = (Step.EXCHANGE, Step.STOP, Step.DEACTIVATE, Step.DISPOSE)


class GridMaster:
    """One holding of the role."""

    def __init__(self, unit_id: str, access: Access, report: Callable[[ErrorReport], None], owed: dict[str, Json]) -> None:
        """`unit_id`: whose process this is; `report` takes errors for the record; `owed`: what has to be stored as soon as that can be."""
        self._unit_id = unit_id
        self._access = access
        self._report = report
        self._wake = access.board.listen(lambda key: key != LEASE)
        self._failed: dict[str, str] = {}
        self._unread_s: dict[str, float] = {}
        self._cleared_s = -math.inf
        self._told: dict[str, str] = {}
        self._looking: asyncio.Task[bool] | None = None
        self._ramps: dict[str, tuple[float, float]] = {}
        self._waits = Waits(access)
        self._moves: dict[str, int] = {}
        self._agenda = Agenda(access, self._wake)
        self._timing = Timing()
        self.leak_check = LeakCheck(unit_id, access, lambda message: self._warn_once("leak check", message))
        self._running: frozenset[str] = frozenset()
        self._owed = owed
        # Held during a look at the deals; whoever moves the role takes it first, so that no sequence is cut in two.
        self.turn = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self._access.collect()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._conduct())
                if not self._access.clock.is_quiet:
                    group.create_task(self._keep_contact())
        finally:
            self._access.board.unlisten(self._wake)

    async def _keep_contact(self) -> None:
        """The word to every member, each second while anything is on."""
        access, wake = self._access, self._access.board.listen()
        try:
            while True:
                if access.may_anything_be_on():
                    await access.contacts.tell(access.line())
                    await self._look_for_silent()
                    wake.clear()
                    await access.contacts.pause(asyncio.Event())
                else:
                    access.contacts.rest()
                    await wake.wait()
                    wake.clear()
        finally:
            access.board.unlisten(wake)

    async def _look_for_silent(self) -> None:
        """Who does not answer is said once; what that means for deals and line is the next look's business."""
        access = self._access
        try:
            for unit_id in sorted(await access.look_for_silent()):
                self._warn(f"{unit_id} does not answer; its converter counts as on until it is known to be off")
                self._wake.set()
            await access.resolve_doubts()
        except ApisError as error:
            _LOGGER.warning("silent units: %s", error)

    async def _watch(self) -> None:
        """Readings, counters and the safety of the line, at the collection period."""
        access, clock = self._access, self._access.clock
        last_s, never = clock.monotonic(), asyncio.Event()
        while True:
            await wait_for(clock, next_reading_s(last_s, clock.period(access.policy.data_collection_period_s)), never)
            last_s = clock.monotonic()
            try:
                await store_owed(access.cluster.store, self._owed)
                await self.watch_once()
            except ApisError as error:
                self._warn(f"a look at the line failed: {error}")

    async def watch_once(self) -> None:
        """One cycle: collect, count, check."""
        access = self._access
        await access.collect()
        running = [deal for deal in access.board.deals() if deal.is_running]
        for deal in running:
            try:
                self._agenda.predict(await access.count_in_passing(deal))
            except DealGoneError:
                continue
        reports = self.leak_check.look()
        self._wake.set()
        for item in reports:
            await self.react(item)
        await self._lift_alert()

    async def _conduct(self) -> None:
        """Transitions, one at a time."""
        access = self._access
        while True:
            begun_s = access.clock.monotonic()
            async with self.turn:
                # What has happened until now is seen by this look.
                self._wake.clear()
                try:
                    again = await self._interruptible_pass()
                except ApisError as error:
                    self._warn_once("pass", f"a look at the deals failed: {error}")
                    again = False
                if access.clock.is_quiet:
                    self._agenda.predict_from_readings()
            if again:
                await asyncio.sleep(0)
                continue
            period_s = access.clock.period(access.policy.main_loop_period_s)
            await wait_for(access.clock, next_pass_s(begun_s, period_s, self._agenda.ahead_s(begun_s)), self._wake)

    async def _interruptible_pass(self) -> bool:
        """One look; cut short where an emergency takes over the line, which takes something that breaks."""
        if self._access.clock.is_quiet:
            return await self._pass()
        self._looking = asyncio.create_task(self._pass())
        try:
            return await self._looking
        except asyncio.CancelledError:
            # Only the look was ended, or all of this task's work?
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return True
        finally:
            self._looking = None

    async def _pass(self) -> bool:
        """One look at all deals; whether something was done, so that another look is due at once."""
        if self._access.board.value(hand_over.KEY) is not None:
            try:
                await hand_over.finish(self._access)
            except ApisError as error:
                # No new hand-over or deal begins with it open; what has to end still does.
                self._warn_once("hand-over", f"the hand-over is not finished: {error}")
        if await self._mend() or await self._cleared(mending.clear_second_references):
            return True
        deals = self._access.board.deals()
        self._agenda.keep_only({deal.deal_id for deal in deals})
        must_end = self._must_end(deals)
        ordered = lifecycle.order(deals, must_end, self._access.policy.large_capacity_unit_ids)
        taker: Deal | None = None
        for deal in ordered:
            others = (d for d in deals if d is not deal)
            step = lifecycle.next_step(deal, others, must_end=deal.deal_id in must_end)
            if taker is not None and step not in ENDINGS:
                if await self._given_up(deal, taker):
                    return True
                continue
            if step is Step.EXCHANGE and not self._is_due(deal):
                continue
            if await self._attempt(deal, step, must_end.get(deal.deal_id)):
                return True
            # A deal in transition holds the line until its next look; others may end meanwhile, none may begin.
            if taker is None and deal.is_in_transition:
                taker = deal
        if taker is None:
            self._waits.let_go()
            await self._optimise_voltage(deals)
            return await self._cleared(mending.clear_strays) or await self._cleared(mending.clear_surplus)
        return False

    async def _given_up(self, deal: Deal, taker: Deal) -> bool:
        """Discard a deal that waits behind one that does not let go of the line; whether it was."""
        too_long = self._waits.behind_too_long(deal, taker)
        if too_long is None:
            return False
        try:
            await endings.discard(self._access, deal, too_long)
        except ApisError as error:
            self._warn_once(deal.deal_id, f"deal {deal.deal_id} waits, and could not be ended: {error}")
            return False
        self._agenda.done(deal)
        return True

    async def _attempt(self, deal: Deal, step: Step, reason: str | None) -> bool:
        """One step, and what follows if it cannot be done; whether something changed, so that another look is due at once."""
        try:
            changed = await self._do(deal, step, reason)
        except endings.NotYetError as error:
            self._hold_line(deal, str(error))
            return False
        except endings.ReferenceLostError as error:
            if await self._mend():
                return True
            # Whether it is lost cannot be told while a unit is unread: whoever is on looks at the line by itself.
            self._hold_line(deal, str(error))
            return False
        except beginnings.DangerError as error:
            await self._follow(ErrorReport(self._unit_id, Category.HARDWARE, Extent.GLOBAL, Level.ERROR, str(error)))
            return True
        except DealGoneError:
            return True
        except ApisError as error:
            return not self._is_asked_again(deal, step, error) and self._failed_step(deal, step, str(error))
        self._unread_s.pop(deal.deal_id, None)
        return changed

    async def _mend(self) -> bool:
        """Reset the line if its reference is lost; whether it was."""
        lost = await mending.reference_is_lost(self._access)
        if lost is None:
            return False
        self._warn(f"{lost}: current modes go to wait, deals start again")
        await mending.reset_line(self._access, lost)
        self._agenda.clear()
        self._ramps.clear()
        return True

    async def _cleared(self, clear: Callable[[Access, Callable[[str], None]], Awaitable[bool]]) -> bool:
        """Whether something that is on without a deal was switched off; what a person does by hand is nobody's business."""
        access = self._access
        again_s = self._cleared_s + SOON * access.policy.main_loop_period_s
        # A converter that does not follow, or whose readings lie, is ordered off over and over, but not without a pause.
        if access.board.mode is OperationMode.MANUAL or access.clock.monotonic() < again_s:
            return False
        try:
            cleared = await clear(access, self._warn)
        except ApisError as error:
            self._warn_once("strays", f"converters on without a deal: {error}")
            return False
        if cleared:
            self._cleared_s = access.clock.monotonic()
        return cleared

    def _hold_line(self, deal: Deal, reason: str) -> None:
        """The reference stays on because something may still be: people are told, once."""
        self._agenda.again(deal, periods=1)
        self._warn_once(deal.deal_id, f"deal {deal.deal_id}: {reason}")

    def _must_end(self, deals: tuple[Deal, ...]) -> dict[str, str]:
        """Deals that end now, with the reason."""
        access = self._access
        reasons = dict(access.board.stop_reasons())
        reasons = {**self._too_much(), **reasons}
        mode, policy, now = access.board.mode, access.policy, access.clock.now()
        for deal in deals:
            gone = [unit for unit in deal.unit_ids if access.silent_s(unit) is not None]
            if gone and not deal.is_ended:
                reasons.setdefault(deal.deal_id, f"{gone[0]} does not answer")
            if deals_must_end(mode):
                reasons.setdefault(deal.deal_id, str(mode))
            elif deal.is_started and deal.cumulate_amount_wh < deal.amount_wh:
                charges = {unit: access.readings[unit].battery.state_of_charge_pct for unit in deal.unit_ids if unit in access.readings}
                reason = lifecycle.end_reason(deal, charges, policy, now)
                if reason is not None:
                    reasons.setdefault(deal.deal_id, reason)
        return {**self._failed, **reasons}

    def _too_much(self) -> dict[str, str]:
        """Deals of the voltage reference that end because it has to carry what a converter pushes that follows nobody."""
        access = self._access
        reference, strays_a = access.reference_unit_id, access.strays_a()
        if reference is None or not strays_a:
            return {}
        own, capacity_a = access.line().carried_deals(reference), access.capacity_a(reference)
        reason = overload.refusal(reference, own, strays_a, capacity_a)
        return dict.fromkeys(overload.ends_first(reference, own, strays_a, capacity_a), str(reason))

    async def _do(self, deal: Deal, step: Step, reason: str | None) -> bool:
        """One step; whether something changed. A step that works goes straight on to the next."""
        access = self._access
        match step:
            case Step.DISPOSE:
                return await self._dispose(deal)
            case Step.DEACTIVATE:
                await endings.depart(access, deal)
                self._has_ended(deal)
            case Step.STOP:
                await endings.stop(access, deal, reason or "asked")
                self._agenda.done(deal)
            case Step.ACTIVATE:
                return await self._activate(deal)
            case Step.CHECK_RAMP_UP:
                found = await beginnings.check_ramp_up(access, deal, self._ramps)
                if not isinstance(found, Deal):
                    self._agenda.at(deal, found)
                    return False
                self._agenda.done(deal)
            case Step.AUTHORISE:
                proved = await beginnings.authorise(access, deal)
                if proved is not None:
                    self._started(await beginnings.warm_up(access, proved))
            case Step.WARM_UP:
                self._started(await beginnings.warm_up(access, deal))
            case Step.EXCHANGE:
                return await self._exchange(deal)
        return True

    async def _activate(self, deal: Deal) -> bool:
        access = self._access
        now_s, completions_s = access.clock.monotonic(), self._agenda.completions_s()
        if access.board.alert is not None or deals_must_end(access.board.mode):
            return False
        if self._timing.is_line_needed_soon(now_s, completions_s, access.policy):
            return False
        spaced_s = self._timing.may_begin_s(deal, now_s, completions_s, access.policy)
        if now_s < spaced_s:
            self._agenda.at(deal, spaced_s)
            return False
        if self.leak_check.is_due():
            self._agenda.again(deal)
            return False
        begun_s = access.clock.monotonic()
        try:
            is_moving = access.board.value(hand_over.KEY) is not None
            moving = NotNow("the hand-over of the line's voltage is not finished", is_held=True)
            outcome = moving if is_moving else await beginnings.activate(access, deal)
        except beginnings.HandOverFailedError as error:
            # The deal has not begun, and whose fault it was need not be its own: once the voltage has its place it is tried again.
            self._moves[deal.deal_id] = self._moves.get(deal.deal_id, 0) + 1
            if self._moves[deal.deal_id] >= access.policy.reset_limit:
                raise
            self._warn_once(deal.deal_id, f"deal {deal.deal_id}: the voltage was not moved for it: {error}")
            return True
        if isinstance(outcome, NotNow):
            _LOGGER.debug("deal %s waits: %s", deal.deal_id, outcome.reason)
            if outcome.is_held:
                self._warn_once(deal.deal_id, f"deal {deal.deal_id} waits: {outcome.reason}")
            too_long = self._waits.held_too_long(deal, is_held=outcome.is_held)
            if too_long is not None:
                await endings.discard(access, deal, too_long)
                return True
            self._agenda.again(deal)
            return False
        if isinstance(outcome, Deal):
            self._timing.begins(deal, begun_s)
        if isinstance(outcome, Never):
            _LOGGER.info("deal %s is discarded: %s", deal.deal_id, outcome.reason)
            await endings.discard(access, deal, outcome.reason)
        self._agenda.done(deal)
        return True

    def _has_ended(self, deal: Deal) -> None:
        self._agenda.done(deal)
        self._timing.ended(deal, self._access.clock.monotonic())

    def _started(self, deal: Deal) -> None:
        """A deal exchanges from now on."""
        self._timing.started(deal, self._access.clock.monotonic())
        self._agenda.predict(deal)

    async def _exchange(self, deal: Deal) -> bool:
        """Look at a started deal whose end is due: stop it if its amount has been exchanged."""
        access = self._access
        if self._ended_by_itself(deal) is not None:
            await access.read(*deal.unit_ids)
            # Seen before anything is commanded: a unit that comes back for the first of its deals would seem to carry them all.
            left = [(each, why) for each in access.board.deals() if each.is_started and (why := self._ended_by_itself(each)) is not None]
            # The one that the voltage is held for goes on first.
            for each, why in sorted(left, key=lambda found: not found[0].is_master):
                await self._left(await access.count(each), why)
            # What was known may have been one wrong reading, or an answer that came late: what is read now decides.
            if all(each.deal_id != deal.deal_id for each, _ in left):
                self._agenda.predict(await access.count(deal))
            return bool(left)
        begun_s = access.clock.monotonic()
        await access.read(deal.unit_on(Side(access.policy.reference_side)))
        deal = await access.count(deal)
        if deal.cumulate_amount_wh < deal.amount_wh:
            self._agenda.predict(deal)
            return False
        exchanged_s = (access.clock.now() - (deal.start_time or access.clock.now())).total_seconds()
        self._timing.stops(deal, begun_s, exchanged_s, access.policy)
        await endings.stop(access, deal, None)
        self._agenda.done(deal)
        return True

    async def _left(self, deal: Deal, by_itself: str) -> None:
        """A unit carries a started deal no longer: it is complete, begins again, or has done so too often."""
        access = self._access
        if deal.cumulate_amount_wh >= deal.amount_wh:
            await endings.stop(access, deal, None)
        elif len(deal.interruptions) >= access.policy.times.reference_losses_max:
            self._failed_step(deal, Step.EXCHANGE, by_itself)
            return
        else:
            self._warn(f"deal {deal.deal_id} is interrupted: {by_itself}")
            await mending.interrupt(access, deal, by_itself)
        self._agenda.done(deal)

    def _is_due(self, deal: Deal) -> bool:
        """Whether a started deal is to be looked at: its end is predicted for now, or one of its units carries it no longer."""
        return self._agenda.due_s(deal) <= self._access.clock.monotonic() or self._ended_by_itself(deal) is not None

    def _ended_by_itself(self, deal: Deal) -> str | None:
        """Which unit carries a started deal no longer, and why; None if both do."""
        access = self._access
        for unit_id in deal.unit_ids:
            released = access.released.get(unit_id, {}).get(deal.deal_id)
            if released is not None:
                return f"{unit_id} stopped it: {released}"
            reading = access.readings.get(unit_id)
            if reading is not None and reading.converter.mode is ConverterMode.WAIT and reading.monotonic_s >= access.changed_s:
                return f"{unit_id} went to wait by itself"
        return None

    async def _dispose(self, deal: Deal) -> bool:
        if self._agenda.has_to_wait(deal):
            return False
        if await self._access.dispose(deal):
            _LOGGER.info("deal %s ended with %.2f of %d Wh", deal.deal_id, deal.cumulate_amount_wh, deal.amount_wh)
            for memory in self._memories():
                memory.pop(deal.deal_id, None)
            return True
        self._agenda.again(deal, periods=1)
        return False

    def _memories(self) -> tuple[dict[str, Any], ...]:
        """Everything that is remembered by deal."""
        return (
            self._failed,
            self._unread_s,
            self._told,
            self._ramps,
            self._waits.since_s,
            self._moves,
            self._timing.begun_s,
            self._timing.stopping_s,
            *self._agenda.memories(),
        )

    def _is_asked_again(self, deal: Deal, step: Step, error: ApisError) -> bool:
        """Whether a reading that did not come is asked for again before the step counts as failed."""
        access = self._access
        if not isinstance(error, NotReadError) or step not in READING:
            return False
        now_s = access.clock.wall()
        if now_s - self._unread_s.setdefault(deal.deal_id, now_s) >= access.policy.times.current_mode_dead_man_s:
            return False
        _LOGGER.info("deal %s: %s waits: %s", deal.deal_id, step, error)
        self._agenda.again(deal)
        return True

    def _failed_step(self, deal: Deal, step: Step, reason: str) -> bool:
        """Remember why a deal cannot go on, so that it is ended in order at the next look; whether that is due at once."""
        self._warn_once(deal.deal_id, f"deal {deal.deal_id}: {step} failed: {reason}")
        self._failed.setdefault(deal.deal_id, reason)
        self._agenda.again(deal)
        return step not in ENDINGS

    def _warn_once(self, about: str, message: str) -> None:
        """Said again only when it is something else."""
        if self._told.get(about) != message:
            self._told[about] = message
            self._warn(message)

    def _warn(self, message: str) -> None:
        _LOGGER.warning(message)
        self._report(ErrorReport(self._unit_id, Category.HARDWARE, Extent.GLOBAL, Level.WARN, message))

    async def react(self, report: ErrorReport) -> None:
        """What follows a global error (rules/reactions); an emergency takes the line from whatever is being done."""
        if Reaction.SCRAM in reactions(report) and self._looking is not None:
            self._looking.cancel()
        async with self.turn:
            await self._follow(report)

    async def _follow(self, report: ErrorReport) -> None:
        """The reactions themselves; the caller has the turn."""
        access, store = self._access, self._access.cluster.store
        self._report(report)
        wanted = reactions(report)
        if Reaction.LATCH_STOP in wanted:
            # First of all: nothing new begins, whatever comes of the rest.
            self._owed[MODE] = {"mode": "stop", "who": report.unit_id, "reason": report.message}
            try:
                await store_owed(access.cluster.store, self._owed)
            except ClusterError as error:
                # Converters do not wait for a store that does not answer.
                self._warn(f"the mode could not be set to stop: {error}")
        if Reaction.SCRAM in wanted:
            await endings.scram(access, str(report))
            # What was foreseen of deals that went on is nothing that ended ones wait for.
            self._agenda.clear()
        if Reaction.NO_NEW_DEALS in wanted:
            # In the record, so that the next holder of the role keeps to it.
            until = access.clock.now() + timedelta(seconds=access.policy.grid_master_error_sustaining_s / access.clock.to_wall(1.0))
            await store.put(ALERT, {"reason": report.message, "unitId": report.unit_id, "until": until.isoformat()})
        if Reaction.END_NAMED_UNITS_DEALS in wanted:
            for deal in access.board.own_deals(report.unit_id):
                await access.board.ask_to_stop(deal.deal_id, report.message)

    async def _lift_alert(self) -> None:
        alert = self._access.board.alert
        if alert is None:
            return
        try:
            until = datetime.fromisoformat(str(alert.get("until")))
        except ValueError:
            until = self._access.clock.now()
        if self._access.clock.now() >= until:
            await self._access.cluster.store.delete(ALERT)

    async def _optimise_voltage(self, deals: tuple[Deal, ...]) -> None:
        """Where the policy wants it: the line voltage at which the running deals' converters work best."""
        access = self._access
        running = frozenset(deal.deal_id for deal in deals if deal.is_running)
        if not access.policy.voltage_optimisation_enabled or running == self._running:
            return
        voltage_v = optimisation.efficient_grid_voltage_v(deals, access.policy)
        reference = access.line().reference_unit_id
        if voltage_v is not None and reference is not None:
            try:
                await access.command(reference, CommandKind.VOLTAGE, "line voltage", grid_voltage_v=voltage_v)
            except ApisError as error:
                self._warn(f"{reference} did not move the line voltage to {voltage_v:g} V: {error}")
        self._running = running
