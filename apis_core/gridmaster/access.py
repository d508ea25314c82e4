"""A Grid Master's reach: readings of all units, commands to them, and the deals' records in the store."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
import functools
import logging
import math

from ..model.converter import Converter, ConverterMode, Reading
from ..model.deal import NO_ENERGY, Deal, Side, SideEnergy
from ..model.errors import ApisError, CommandRefusedError, MessageError, NotReadError, StoreConflictError
from ..model.modes import Command, CommandKind
from ..model.policy import Policy
from ..model.safety_times import MESSAGE_S, OLDEST_MESSAGE_S, WAIT_SEQUENCE_S
from ..ports import Clock, Cluster, Entry, Guard, GuardRole, Json, Lease, Store
from ..rules import overload
from ..rules.reference import Line
from ..rules.schedule import usable_s
from ..unit.board import DEAL, ISOLATED, STOP, Board
from ..unit.controller import energy_from_json
from ..unit.settings import Settings
from ..unit.subjects import COMMAND, READ, RECORD, SNAPSHOT
from .contacts import Contacts, RightLostError
from .marks import Marks
from .trials import Trials

_LOGGER = logging.getLogger(__name__)
RECORD_TIMEOUT_S = 2.0
# How long a command waits for the reading of the reference that goes before and after it: the counting is better for it, no more.
BRACKET_S = 0.5
# What units count is durable at each of them: the record in the store, for others to see, need not follow faster.
COUNT_PERIOD_WALL_S = 1.0
LONGEST_OPEN = timedelta(days=7)


class DealGoneError(ApisError):
    """The deal is no longer in the store."""


async def store_owed(store: Store, owed: dict[str, Json]) -> None:
    """Store what could not be stored when it had to be. Raises ClusterError while it still cannot."""
    for key in tuple(owed):
        await store.put(key, owed[key])
        owed.pop(key, None)


class Access:
    """What one holding of the role sees and does; a new holder begins with a new one."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        board: Board,
        clock: Clock,
        lease: Lease,
        guard: Guard | None = None,
        tell: Callable[[str], None] = _LOGGER.warning,
        on_overtaken: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing has been read yet.

        `guard`: what knows of converters whose unit is gone; `tell`: says aloud what people should know; `on_overtaken`: see Contacts.
        """
        self._guard = guard
        self._known_off_s: dict[str, float] = {}
        # Until when a unit may still carry out what it was ordered to switch on, however its answer stays away [wall s].
        self._may_act_s: dict[str, float] = {}
        # Converters that have not followed, and when: until they are read again nobody knows what they do.
        self._unmoved_s: dict[str, float] = {}
        # Until when an order to switch on may come about whose outcome nobody has told.
        self._doubted_s: dict[str, float] = {}
        self._silent_since_s: dict[str, float] = {}
        self._settings = settings
        self.cluster = cluster
        self.board = board
        self.clock = clock
        self._lease = lease
        self._begun_s = clock.wall()
        self.contacts = Contacts(settings, cluster, board, clock, lease, on_overtaken)
        self.readings: dict[str, Reading] = {}
        self.energy: dict[str, Mapping[str, SideEnergy]] = {}
        self.released: dict[str, dict[str, str]] = {}
        self.changed_s = -math.inf
        # When a unit was last looked at, and how many orders had been sent by then.
        self._looked: dict[str, tuple[float, int]] = {}
        self._orders = 0
        self._maybe_on: set[str] = set()
        self._durable: set[str] = set()
        self._version = 0
        self._line: tuple[tuple[int, int, float], Line] | None = None
        self._counted_s: dict[str, float] = {}
        self._marked: tuple[int, tuple[str, ...], Marks] | None = None
        self.trials = Trials(tell)
        self._unanswered: set[asyncio.Task[Converter]] = set()
        self.two_references_since_s: float | None = None
        # Who was last read holding the line's voltage: when it is lost, nobody's mode tells any more.
        self.last_reference_unit_id: str | None = None
        self._stranger_s: tuple[float, float] | None = None

    @property
    def policy(self) -> Policy:
        """What holds now."""
        return self._settings.policy

    def members(self) -> frozenset[str]:
        """The units that belong to the community and can be reached."""
        return self.cluster.live() & set(self.policy.member_unit_ids)

    def command_deadline_s(self) -> float:
        """How long a unit has to begin a command's last write: all tries of one device request, and one more second [wall s]."""
        return self.policy.request_timeout_s * self.policy.request_limit + 1.0

    async def forget_isolation(self) -> None:
        """Who answers is not isolated: what its converter does is read again."""
        for unit_id, reading in self.readings.items():
            if self.board.value(ISOLATED + unit_id) is not None and not self.is_stale(unit_id) and reading.converter.mode is not None:
                await self.cluster.store.delete(ISOLATED + unit_id)

    async def collect(self) -> None:
        """Every live unit's own latest reading and counters; a unit that does not answer keeps its older ones, aging."""
        timeout_s = self.policy.data_collection_timeout_s
        answers = await self.cluster.scatter(self.members(), SNAPSHOT, {}, timeout_s, self._taker())
        for unit_id in answers:
            if self.contacts.unspoken_s.get(unit_id, 0.0) < self.policy.times.current_mode_dead_man_s:
                self._silent_since_s.pop(unit_id, None)
        await self.forget_isolation()

    async def read(self, *unit_ids: str) -> None:
        """Fresh full readings, each unit within its own deadline.

        Raises:
            NotReadError: if a unit did not answer in time or could not read its device.

        """
        await self._ask(unit_ids, {"status": False})

    async def read_what_answers(self, *unit_ids: str, within_s: float | None = None) -> frozenset[str]:
        """Fresh full readings of whoever gives one in time [wall s]; those who did not."""
        answers = await self.cluster.scatter(unit_ids, READ, {"status": False}, within_s or self.command_deadline_s(), self._taker())
        return frozenset(unit_ids) - frozenset(answers)

    async def read_status(self, *unit_ids: str) -> None:
        """The same for mode and meters only.

        Raises:
            NotReadError: if a unit did not answer in time or could not read its device.

        """
        await self._ask(unit_ids, {"status": True})

    async def _ask(self, unit_ids: tuple[str, ...], question: Json) -> None:
        wanted = tuple(dict.fromkeys(unit_ids))
        answers = await self.cluster.scatter(wanted, READ, question, self.command_deadline_s(), self._taker())
        missing = [unit_id for unit_id in wanted if unit_id not in answers]
        if missing:
            raise NotReadError(f"no fresh reading of {', '.join(missing)}")

    async def command(self, unit_id: str, kind: CommandKind, reason: str, *, within_s: float | None = None, **params: object) -> Converter:
        """Command a converter, with this holding's epoch; the converter as it is then.

        `within_s`: how long it may take [wall s]; by default all tries of one device request.

        Raises:
            ApisError: if the unit refused, failed or did not answer.

        """
        await self.contacts.confirm()
        deadline_s = within_s or self.command_deadline_s()
        sent_s, renewed_s = self.clock.wall(), self._lease.renewed_wall_s
        command = Command(kind, self._lease.epoch, deadline_s, reason=reason, **params)  # type: ignore[arg-type]
        self.changed_s = self.clock.monotonic()
        if kind not in (CommandKind.WAIT, CommandKind.SCRAM):
            self._maybe_on.add(unit_id)
            self._known_off_s.pop(unit_id, None)
            self._may_act_s[unit_id] = sent_s + OLDEST_MESSAGE_S + deadline_s
            self._version += 1
        brackets = kind is not CommandKind.SCRAM and within_s is None
        if brackets:
            await self._have_reference_read(unit_id)
        try:
            self._orders += 1
            message = {**command.to_json(), "order": self._orders, "contact": self.contacts.message(self.line()).to_json()}
            answer = await self.cluster.request(unit_id, COMMAND, message, within_s or 2 * deadline_s)
            self.contacts.acknowledged(unit_id, renewed_s, sent_s)
        except CommandRefusedError:
            await self.contacts.tell(self.line())
            raise
        except ApisError:
            self._unmoved_s[unit_id] = self.clock.monotonic()
            if kind not in (CommandKind.WAIT, CommandKind.SCRAM):
                self._doubted_s[unit_id] = self._unmoved_s[unit_id] + self._may_act_for_s(unit_id)
            raise
        finally:
            self.changed_s = self.clock.monotonic()
        # Orders are obeyed in turn: what was sent before this one is void.
        self._doubted_s.pop(unit_id, None)
        self._take(unit_id, answer)
        if brackets:
            await self._have_reference_read(unit_id)
        return self.readings[unit_id].converter

    async def _have_reference_read(self, commanded: str) -> None:
        """Whoever holds the voltage carries what a command to another changes: read before and after, a step is not drawn as a slope."""
        reference = self.reference_unit_id
        if reference in (None, commanded) or self.silent_s(reference) is not None:
            return
        # In a quiet run one command follows the other at once: where no time has passed and nothing was done, nothing has changed.
        if self.clock.is_quiet and self._looked.get(reference) == (self.clock.monotonic(), self._orders):
            return
        if await self.cluster.scatter((reference,), READ, {"status": True}, BRACKET_S, self._taker()):
            self._looked[reference] = self.clock.monotonic(), self._orders

    def keep(self, task: asyncio.Task[Converter]) -> None:
        """A command whose answer nobody waits for any more."""

        def over(task: asyncio.Task[Converter]) -> None:
            self._unanswered.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                _LOGGER.warning("a late command: %s", error)

        self._unanswered.add(task)
        task.add_done_callback(over)

    def _taker(self) -> Callable[[str, Json], None]:
        """What takes the answers to a question that is asked now."""
        return functools.partial(self._take, asked_s=self.clock.monotonic())

    def _take(self, unit_id: str, answer: Json, asked_s: float = math.inf) -> None:
        self._version += 1
        try:
            if answer.get("reading"):
                # Where an order has gone out since it was asked for, it may show what was before: its way here may have been long.
                since_s = asked_s if asked_s < self.changed_s else self.clock.monotonic()
                received_s = since_s - float(answer.get("ageS", 0.0))
                known = self.readings.get(unit_id)
                if known is None or received_s >= known.monotonic_s:
                    told = answer["reading"]
                    # Handed over as it is, it is of this process and of its clock.
                    self.readings[unit_id] = told if isinstance(told, Reading) else Reading.from_json(told, received_s)
                    if received_s > self._unmoved_s.get(unit_id, math.inf):
                        del self._unmoved_s[unit_id]
                    if received_s >= self.changed_s and self.readings[unit_id].converter.mode is ConverterMode.WAIT:
                        self._maybe_on.discard(unit_id)
            self.released[unit_id] = {str(key): str(reason) for key, reason in answer.get("released", {}).items()}
            self.energy[unit_id] = energy_from_json(answer.get("energy", {}))
        except (MessageError, TypeError, ValueError, AttributeError) as error:
            _LOGGER.warning("reading of %s was ignored: %s", unit_id, error)

    def may_anything_be_on(self) -> bool:
        """Whether any deal or converter needs the Grid Master's word."""
        return bool(self.board.open_deals()) or any(self.may_be_on(unit) for unit in self.policy.member_unit_ids)

    def barred(self) -> frozenset[str]:
        """Units that do not take the voltage reference now: they lost it, or what they are cannot hold it."""
        return self._marks().barred(self.clock.now())

    def dead_man(self, unit_id: str) -> str:
        """Who stops the unit's converter when nobody commands it, as the unit has said; empty if it never has."""
        return self._marks().dead_men.get(unit_id, "")

    def capacity_a(self, unit_id: str) -> float:
        """What the unit's converter can carry, as the unit has said [A]; no end of it if it never has."""
        return self._marks().capacities_a.get(unit_id, math.inf)

    def strays_a(self) -> dict[str, float]:
        """What converters carry beyond their deals that may be on and follow nobody now [A, as their meters count]."""
        if self.clock.is_quiet:
            return {}
        found, line = {}, self.line()
        for unit_id, reading in self.readings.items():
            measured_a, mode = reading.converter.meter.grid_current_a, reading.converter.mode
            if measured_a is None or mode is None or not mode.is_current_mode or not self.may_be_on(unit_id):
                continue
            if unit_id in self._unmoved_s or self.silent_s(unit_id) is not None or self.is_stale(unit_id):
                found[unit_id] = overload.stray_a(unit_id, measured_a, line.carried_deals(unit_id))
        return {unit_id: stray_a for unit_id, stray_a in found.items() if stray_a}

    def _marks(self) -> Marks:
        members = self.policy.member_unit_ids
        if self._marked is None or self._marked[:2] != (self.board.marks_version, members):
            self._marked = (self.board.marks_version, members, Marks.of(self.board, members))
        return self._marked[2]

    def line(self) -> Line:
        """The line as known now."""
        version = (self.board.version, self._version, self.clock.monotonic())
        if self._line is None or version != self._line[0]:
            self._line = (version, self._line_now())
        return self._line[1]

    def _line_now(self) -> Line:
        converters = {unit_id: reading.converter for unit_id, reading in self.readings.items()}
        # Nobody is known off that is heard and that nobody has said anything of.
        for unit_id in {*self._marks().isolated, *self._known_off_s, *self._silent_since_s}:
            if self._is_known_off(unit_id):
                converters[unit_id] = replace(converters.get(unit_id, Converter()), mode_code=ConverterMode.WAIT)
        barred = self.barred() | self._silent_since_s.keys()
        line = Line(self.board.open_deals(), converters, self.policy, self.released, barred)
        self.last_reference_unit_id = line.reference_unit_id or self.last_reference_unit_id
        return line

    @property
    def reference_unit_id(self) -> str | None:
        """Who holds the line's voltage, as last read."""
        return self.line().reference_unit_id

    def silent_s(self, unit_id: str) -> float | None:
        """Since when a unit is known not to answer [wall s], as of the last look; None if it does."""
        return self._silent_since_s.get(unit_id)

    async def look_for_silent(self) -> frozenset[str]:
        """Find who has not answered for a dead-man's time; those who fell silent just now.

        Nobody is called dead by a Grid Master that may itself be cut off: the lease is confirmed after the silence began.
        """
        now_s, limit_s = self.clock.wall(), self.policy.times.current_mode_dead_man_s
        live, fallen = self.members(), set()
        for unit_id in self.policy.member_unit_ids:
            heard_s = self.contacts.heard_s.get(unit_id, self._begun_s)
            if now_s - heard_s < limit_s or (unit_id in live and not self.contacts.is_telling(limit_s)):
                self._silent_since_s.pop(unit_id, None)
                self._version += 1
            elif unit_id not in self._silent_since_s:
                fallen.add(unit_id)
        if fallen and await self._lease.renew():
            self._version += 1
            self._silent_since_s.update(dict.fromkeys(fallen, now_s))
            return frozenset(fallen)
        return frozenset()

    def note_stranger(self) -> bool:
        """Told of each look that finds a voltage nobody known holds: whether the first of them was a period ago, or longer."""
        now_s, period_s = self.clock.monotonic(), self.policy.data_collection_period_s
        first_s, last_s = self._stranger_s or (now_s, now_s)
        # What was seen long ago, and not since, is another story.
        first_s = now_s if now_s - last_s > 2 * period_s else first_s
        self._stranger_s = first_s, now_s
        return now_s - first_s >= period_s

    def may_still_hold(self) -> list[str]:
        """Units that cannot be asked, may be on, and whose dead-man may not have come to its end: any of them may hold the line."""
        live, now_s, limit_s = self.members(), self.clock.wall(), self.policy.times.reference_dead_man_s + WAIT_SEQUENCE_S + MESSAGE_S
        found = []
        for unit_id in self.policy.member_unit_ids:
            unread = unit_id not in self.readings and not self._is_known_off(unit_id)
            unreachable = unit_id not in live or self.silent_s(unit_id) is not None or unread
            heard_s = self.contacts.heard_s.get(unit_id, self._begun_s)
            if unreachable and (unread or self.may_be_on(unit_id)) and now_s - heard_s < limit_s:
                found.append(unit_id)
        return found

    def whose_start_is_in_doubt(self) -> list[str]:
        """Units that were told to switch on, did not say what came of it, and were not read since it could last come about."""
        for unit_id, until_s in tuple(self._doubted_s.items()):
            reading = self.readings.get(unit_id)
            if self._is_known_off(unit_id) or (reading is not None and reading.monotonic_s > until_s):
                del self._doubted_s[unit_id]
        return sorted(self._doubted_s)

    async def resolve_doubts(self) -> None:
        """Ask the guard about units that cannot be reached and may be on: what it has read in wait is off.

        Not while an order to switch on may still be on its way to them.
        """
        for unit_id in self.policy.member_unit_ids:
            if self._guard is None or self.silent_s(unit_id) is None or not self.may_be_on(unit_id):
                continue
            if self.may_still_act(unit_id):
                continue
            report = await self._guard.report(unit_id)
            if report is not None and report.is_off and report.role is GuardRole.OFF:
                self._version += 1
                self._known_off_s[unit_id] = self.clock.monotonic()
                self._maybe_on.discard(unit_id)
                self.board.wake()

    def may_still_act(self, unit_id: str) -> bool:
        """Whether an order to switch on may still be on its way to a unit, or about to be carried out there."""
        return self.clock.wall() <= self._may_act_s.get(unit_id, -math.inf)

    def _may_act_for_s(self, unit_id: str) -> float:
        """For how long yet [community s]."""
        return max(0.0, self._may_act_s.get(unit_id, -math.inf) - self.clock.wall()) / self.clock.to_wall(1.0)

    def _is_known_off(self, unit_id: str) -> bool:
        """Whether a converter that was last seen on has been found or declared off since."""
        if unit_id in self._marks().isolated or self._has_stopped_itself(unit_id):
            return True
        reading = self.readings.get(unit_id)
        return unit_id in self._known_off_s and (reading is None or reading.monotonic_s <= self._known_off_s[unit_id])

    def _has_stopped_itself(self, unit_id: str) -> bool:
        """Whether a unit has been out of reach for so long that its device's own dead-man has done its work."""
        if self.silent_s(unit_id) is None or self.dead_man(unit_id) != "device":
            return False
        return self.clock.wall() - self.contacts.heard_s.get(unit_id, self._begun_s) >= self.policy.times.known_off_s

    def may_be_on(self, unit_id: str) -> bool:
        """Whether a converter was last seen on, or was told to switch on and not seen off since."""
        if self._is_known_off(unit_id):
            return False
        reading = self.readings.get(unit_id)
        if reading is None and unit_id not in self.members():
            # Nobody can say what the converter of a unit that never answered does.
            return True
        seen_on = reading is not None and reading.converter.mode is not ConverterMode.WAIT
        return seen_on or unit_id in self._maybe_on

    def is_stale(self, unit_id: str) -> bool:
        """Whether a unit's last reading is too old to decide by."""
        reading = self.readings.get(unit_id)
        limit_s = usable_s(self.clock.period(self.policy.data_acquisition_period_s), self.clock.to_wall(1.0))
        return reading is None or self.clock.monotonic() - reading.monotonic_s > limit_s

    def fresh_converters(self, unit_ids: Collection[str]) -> dict[str, Converter] | None:
        """The units' converters from readings young enough and taken after the last change of current; None if one lacks."""
        found = {}
        for unit_id in unit_ids:
            reading = self.readings.get(unit_id)
            if reading is None or reading.converter.meter.grid_current_a is None:
                return None
            if self.is_stale(unit_id) or reading.monotonic_s <= self.changed_s:
                return None
            found[unit_id] = reading.converter
        return found

    async def update(self, deal_id: str, change: Callable[[Deal], Deal], *, transition: bool = True) -> Deal:
        """Change a deal's record by compare-and-set; both units write a transition down before this returns.

        Raises:
            DealGoneError: if the deal is no longer there.
            RightLostError: if a later Grid Master has changed it.

        """
        key = DEAL + deal_id
        while True:
            entry = await self.cluster.store.get(key)
            if entry is None or entry.value is None:
                raise DealGoneError(f"deal {deal_id} is no longer in the store")
            deal = self.board.said_by(entry.value) or Deal.from_json(entry.value)
            changed = change(deal)
            if changed == deal:
                return deal
            if deal.epoch > self._lease.epoch or self.contacts.is_overtaken:
                # Units would keep the newer word, and take this one for written down all the same.
                raise RightLostError(f"deal {deal_id}: found epoch {deal.epoch}, expected one that all obey, has {self._lease.epoch}")
            changed = changed.changed(epoch=self._lease.epoch)
            record = changed.to_json()
            try:
                revision = await self.cluster.store.update(key, record, entry.revision)
            except StoreConflictError:
                continue
            self.board.note(Entry(key, record, revision), changed)
            break
        # Nothing breaks in a quiet run: nobody will have to know what a ledger held half-way.
        tell = transition and (changed.is_ended or not self.clock.is_quiet)
        if tell and await self.tell_ledgers(changed) and changed.is_ended:
            self._durable.add(deal_id)
        return changed

    async def tell_ledgers(self, deal: Deal) -> bool:
        """Both units' ledgers get the record; whether both said it is durable, and know no more than it."""
        answers = await self.cluster.scatter(deal.unit_ids, RECORD, {"deal": deal.to_json()}, RECORD_TIMEOUT_S)
        complete = True
        for unit_id in deal.unit_ids:
            answer = answers.get(unit_id, {})
            counters = SideEnergy.from_json(answer.get("counters", {}))
            # Not by the number alone: a unit that was restarted counts on from what was on its disk.
            if deal.side_energy(unit_id).merged(counters) != deal.side_energy(unit_id):
                self.energy[unit_id] = {**self.energy.get(unit_id, {}), deal.deal_id: counters}
                complete = False
            complete &= bool(answer.get("durable"))
        return complete

    def counted(self, deal: Deal) -> Deal:
        """The record with both units' counters; the agreed amount is judged by the policy's reference side."""
        told = {unit: self.energy.get(unit, {}).get(deal.deal_id) for unit in deal.unit_ids}
        news = {unit: counters for unit, counters in told.items() if counters is not None and counters != deal.energy.get(unit)}
        if not news:
            return deal
        energy = {**deal.energy, **{unit: deal.side_energy(unit).merged(counters) for unit, counters in news.items()}}
        if deal.start_time is None:
            return deal.changed(energy=energy)
        return deal.changed(energy=energy, cumulate_amount_wh=self.counted_wh(deal), cumulate_time=self.clock.now())

    def counted_wh(self, deal: Deal) -> float:
        """How much of a started deal's amount has been counted, on the side that it is judged by."""
        unit_id = deal.unit_on(Side(self.policy.reference_side))
        told = self.energy.get(unit_id, {}).get(deal.deal_id, NO_ENERGY)
        return max(deal.cumulate_amount_wh, deal.side_energy(unit_id).battery_wh, told.battery_wh)

    async def count(self, deal: Deal) -> Deal:
        """Copy both units' counters into the stored record."""
        if self.counted(deal) is deal:
            return deal
        self._counted_s[deal.deal_id] = self.clock.wall()
        return await self.update(deal.deal_id, self.counted, transition=False)

    async def count_in_passing(self, deal: Deal) -> Deal:
        """The record with both units' counters; where time is accelerated it is not stored with every look."""
        if self.clock.wall() < self._counted_s.get(deal.deal_id, -math.inf) + COUNT_PERIOD_WALL_S:
            return self.counted(deal)
        return await self.count(deal)

    def _is_long_over(self, deal: Deal) -> bool:
        """Whether a deal ended so long ago that nobody waits for a missing unit's count any more."""
        ends = [time for time in (deal.deactivate_time, deal.abort_time, deal.scram_time) if time is not None]
        return bool(ends) and self.clock.now() - max(ends) > LONGEST_OPEN

    async def dispose(self, deal: Deal) -> bool:
        """Take an ended deal out of the store once both ledgers have it; whether it is out."""
        await self.cluster.store.delete(STOP + deal.deal_id)
        # A unit that was away may still have something to report.
        counted = await self.count(deal)
        told = counted == deal and deal.deal_id in self._durable
        if not told and not await self.tell_ledgers(counted) and not self._is_long_over(deal):
            # What a unit had kept and nobody knew is in the record from now on: its next reading says nothing of it.
            await self.count(counted)
            return False
        self._durable.discard(deal.deal_id)
        self._counted_s.pop(deal.deal_id, None)
        await self.cluster.store.delete(DEAL + deal.deal_id)
        self.board.note(Entry(DEAL + deal.deal_id, None, self.board.revision(deal.deal_id) + 1))
        return True
