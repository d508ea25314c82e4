"""Disasters on purpose: a community in virtual time, a plan of what goes wrong, and what must hold all the same."""

import asyncio
from collections.abc import Callable
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
import hashlib
import random
from typing import Any

from ..clock import run_virtual
from ..emulator.engine import ALL_PERMITTED
from ..emulator.faults import UnitFault
from ..emulator.houses import House
from ..emulator.profiles import bundled
from ..emulator.world import NO_FAULT
from ..gridmaster.hand_over import KEY
from ..model.deal import Deal
from ..model.errors import ApisError, StandstillError
from ..model.modes import OperationMode
from ..model.safety_times import SafetyTimes
from ..ports import Clock, DeviceRequest, GuardRole, Ledger
from ..presets import PRESETS, community_scenario, hardware, policy_for, scenario
from ..rules.role import LeaseRecord
from ..unit.board import LEASE
from . import plans
from .aftermath import DEAL_WH, WHO, Aftermath
from .books import Acknowledged, Exchanged
from .breakable import FullDisk, SteppingClock
from .invariants import Line
from .plans import Fault, Plan
from .stage import Stage

START = datetime(2021, 6, 15, 9)  # noqa: DTZ001 - the houses' local time
# The last of the takers begins a little above what it is to keep.
GIVER_PCT, TAKER_PCT, LOW_PCT, GIVER_KW, TAKER_KW, LOAD_SCALE = (97.0, 94.0), (45.0, 52.0), 20.6, 5.0, 0.5, 0.3
# A device that was not itself is not judged by what it did for a while after.
CONVALESCENCE_S = 60.0
LOOKED_AT_S = 200.0
# Of a house's current so many deals are carried at once; until so long before the first fault can come all have them.
DEALS_EACH, AGREED_S = 2, plans.QUIET_BEGIN_S - 1.0
# How closely moments are looked for, and how far into them something goes wrong [s].
LOOK_S, INTO_S = 0.05, 0.6
_DEVICE: dict[str, Callable[[float], dict[str, Any]]] = {
    "silent": lambda _: {"silent": True},
    "delay_device": lambda value: {"delay_s": value},
    "http_error": lambda _: {"http_error": 500},
    "frozen_readings": lambda _: {"frozen": True},
    "noise": lambda value: {"noise": value},
    "offset_a": lambda value: {"offset_a": value},
    "offset_v": lambda value: {"offset_v": value},
    "stuck": lambda _: {"stuck": True},
    "no_ramp": lambda _: {"no_ramp": True},
    "heavy_alarm": lambda _: {"heavy_alarm": True},
    "lost": lambda _: {"lost": True},
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run."""

    seed: int
    plan: Plan
    violations: tuple[str, ...]
    deals: int
    digest: str


class Chaos(Stage):
    """A community and its misfortunes."""

    def __init__(self, seed: int, plan: Plan, units: int, seconds: float) -> None:
        """`seconds`: how long things may go wrong; what has to hold afterwards is looked at after that."""
        self.seed, self.plan, self.seconds = seed, plan, seconds
        self.ids = tuple(f"E{number + 1:03}" for number in range(units))
        self.clocks: dict[str, SteppingClock] = {}
        self.ledgers: dict[str, FullDisk] = {}
        self.seen: dict[str, Deal] = {}
        self._acknowledged = {unit: Acknowledged() for unit in self.ids}
        self._trouble, self._trouble_s = 0, -CONVALESCENCE_S
        self._digest = hashlib.sha256()
        self._chance = random.Random(f"chaos {seed}")
        self._deaths: set[asyncio.Task[None]] = set()
        houses = tuple(
            House(
                unit_id,
                number,
                state_of_charge_pct=_charge_pct(number, units),
                solar_kw=GIVER_KW if number % 2 == 0 else TAKER_KW,
                load_scale=LOAD_SCALE,
            )
            for number, unit_id in enumerate(self.ids)
        )
        policy = replace(
            policy_for(units),
            deal_amount_min_wh=DEAL_WH,
            deal_amount_max_wh=DEAL_WH,
            deal_amount_unit_wh=DEAL_WH,
            grid_master_selection=self._chance.choice(("anywhere", "voltageReferenceUnit")),
            error_sustaining_s=60.0,
            grid_master_error_sustaining_s=60.0,
            times=SafetyTimes(reference_ban_s=60.0),
        )
        super().__init__(houses, bundled(), START, policy, hardware(), scenario(), seed=seed)
        self.exchanged = Exchanged(self.engine)
        self.line = Line(self, self.is_calm)
        self.aftermath = Aftermath(self, self.line, plan, self.seen, self.exchanged, self._look_for_lost)

    def clock_of(self, unit: str) -> Clock:
        """See Stage."""
        return self.clocks.setdefault(unit, SteppingClock(START.replace(tzinfo=UTC)))

    def a_ledger(self, unit: str) -> Ledger:
        """See Stage."""
        self.ledgers[unit] = FullDisk(self.writer, unit)
        self.ledgers[unit].acknowledged = self._acknowledged[unit]
        return self.ledgers[unit]

    def is_calm(self) -> bool:
        """Whether nothing goes wrong now, and nothing did a moment ago."""
        return not self._trouble and self.clock.monotonic() > self._trouble_s + CONVALESCENCE_S

    async def send(self, unit: str, request: DeviceRequest) -> Any:
        """See Stage."""
        if "/set/" in request.path:
            self.line.before_write(unit, request)
        answer = await super().send(unit, request)
        if "/set/" in request.path:
            self._digest.update(f"{self.clock.monotonic():.6f} {request.path}\n".encode())
            self.line.look()
        return answer

    def written(self, unit: str, epoch: int, role: GuardRole | None) -> None:
        """See Stage."""
        self.line.written(unit, epoch, role)

    async def revive(self, unit: str) -> None:
        """See Stage."""
        await self._look_for_lost(unit)
        await super().revive(unit)
        self.line.restarted(unit, self.community.nodes[unit].controller.highest_epoch)

    async def _look_for_lost(self, unit: str) -> None:
        lost = await self.ledgers[unit].expect_all(unit)
        if lost is not None:
            self.line.say(f"lost {unit}", lost)

    async def story(self) -> None:
        """Things go wrong, are over, and the community is one again."""
        looking = asyncio.create_task(self._look())
        try:
            async with asyncio.TaskGroup() as group:
                if all(fault.at_s > AGREED_S for fault in self.plan):
                    group.create_task(self._come_to_terms())
                for fault in self.plan:
                    group.create_task(self._befall(fault))
                group.create_task(self.clock.sleep(self.seconds))
            await self._heal()
            await self.aftermath.judge()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def outcome(self) -> Outcome:
        """What came of it."""
        return Outcome(self.seed, self.plan, tuple(self.line.violations), len(self.seen), self._digest.hexdigest())

    async def _look(self) -> None:
        while True:
            self.world.catch_up()
            self.line.look()
            for deal in self.deals():
                self.seen[deal.deal_id] = deal
            await asyncio.sleep(1)

    async def _come_to_terms(self) -> None:
        """All ask at once as the run begins: by themselves, they come to as many deals as givers and takers can carry.

        Later nobody can say who has to want something: a deal that a person makes shows that deals go on, not that houses agree.
        """
        await self.clock.sleep(AGREED_S)
        wanted = DEALS_EACH * (len(self.ids) // 2)
        if len(self.seen) < wanted:
            self.line.say("agreement", f"{len(self.seen)} deals are agreed after {AGREED_S:g} s without a fault, expected {wanted}")

    async def _befall(self, fault: Fault) -> None:
        await self.clock.sleep(fault.at_s)
        await self._moment(fault.when)
        length_s = min(fault.for_s, max(1.0, self.seconds - self.clock.monotonic()))
        if fault.kind in _DEVICE or fault.kind in plans.LINE:
            concerned = fault.units if fault.kind in _DEVICE else self.ids
            for unit in concerned:
                until_s = self.clock.monotonic() + length_s + CONVALESCENCE_S
                self.line.unwell[unit] = max(until_s, self.line.unwell.get(unit, 0.0))
        if fault.kind in plans.PHYSICAL:
            # As long as it lasts, not for the whole run: most plans have one.
            until_s = self.clock.monotonic() + length_s + CONVALESCENCE_S
            self.line.electrical_s = max(until_s, self.line.electrical_s)
        self._trouble += 1
        try:
            with contextlib.suppress(ApisError):
                await self._begin(fault, length_s)
            await self.clock.sleep(length_s)
            with contextlib.suppress(ApisError):
                await self._end(fault)
        finally:
            self._trouble, self._trouble_s = self._trouble - 1, self.clock.monotonic()

    async def _moment(self, when: str) -> None:
        """Wait for the moment that a fault is for, and into it; if there is none, not for ever."""
        end_s, is_asked = min(self.seconds, self.clock.monotonic() + plans.WAITED_S), False
        while when and self.clock.monotonic() < end_s:
            if self.hub.store.holds(KEY) if when == "hand_over" else any(d.is_in_transition for d in self.deals()):
                await self.clock.sleep(self._chance.uniform(0.0, INTO_S))
                return
            if when == "hand_over" and not is_asked:
                is_asked = await self._ask_for_hand_over()
            await self.clock.sleep(LOOK_S)

    async def _ask_for_hand_over(self) -> bool:
        """Stop the deal whose unit holds the voltage, if others go on that need it; whether that was possible."""
        started = [deal for deal in self.community.board.deals() if deal.is_started]
        master = next((deal for deal in started if deal.is_master), None)
        if master is None or len(started) == 1:
            return False
        with contextlib.suppress(ApisError):
            await self.community.stop_deal(master.deal_id, WHO)
        return True

    async def _begin(self, fault: Fault, length_s: float) -> None:
        faults, community, unit = self.hub.faults, self.community, fault.units[0]
        match fault.kind:
            case kind if kind in _DEVICE:
                self.world.set_fault(unit, replace(self.world.faults.get(unit, NO_FAULT), **_DEVICE[kind](fault.value)))
            case "cut":
                faults.cut(*fault.units)
            case "freeze":
                for each in fault.units:
                    faults.freeze(each)
            case "duplicate":
                faults.duplicate(unit)
            case "permission":
                self.engine.set_permission(self.engine.index[unit], int(fault.value))
            case "delay_messages":
                faults.delay(unit, fault.value)
            case "reorder_messages":
                faults.uneven(unit, fault.value, 0.0, self._chance)
            case "drop_messages":
                faults.uneven(unit, 0.05, fault.value, self._chance)
            case "leak":
                self.engine.set_leak(fault.value)
            case "dip":
                self.engine.dip(fault.value, min(length_s, 3.0))
            case "kill" if unit not in community.dead:
                await community.kill_unit(unit)
            case "disk_full":
                self.ledgers[unit].is_full = True
            case "torn_write" if unit not in community.dead:
                self.ledgers[unit].tears_late = fault.value >= 0.5
                self.ledgers[unit].tear = lambda: self._die(unit)
            case "clock_step":
                self.clocks[unit].offset += timedelta(seconds=fault.value)
            case "clock_drift":
                self.clocks[unit].go_wrong(fault.value)
            case "steal_lease":
                await self._steal_lease(unit)
            case _:
                await self._by_people(fault)

    async def _by_people(self, fault: Fault) -> None:
        community, unit = self.community, fault.units[0]
        match fault.kind:
            case "scenario":
                capacity_wh = community.nodes[unit].settings.hardware.battery_nominal_capacity_wh
                await community.set_scenario(unit, community_scenario(capacity_wh, self._chance.choice(sorted(PRESETS))), WHO)
            case "policy":
                await community.set_mode(OperationMode.STOP, None, WHO)
                await self.clock.sleep(60)
                policy = await community.policy()
                await community.propose(replace(policy, reset_limit=policy.reset_limit + 1), WHO)
                self.policy = await community.policy()
            case "stop_and_go":
                await community.set_mode(OperationMode.STOP, None, WHO)
            case "unit_stop":
                await community.set_mode(OperationMode.STOP, unit, WHO)
            case "deal":
                taker = self._chance.choice([other for other in self.ids if other != unit])
                await community.create_deal(unit, taker, round(fault.value), who=WHO)
            case "stop_deal":
                deals = [deal for deal in community.board.deals() if not deal.is_ended]
                if deals:
                    await community.stop_deal(self._chance.choice(deals).deal_id, WHO)

    async def _end(self, fault: Fault) -> None:
        unit = fault.units[0]
        match fault.kind:
            case kind if kind in _DEVICE:
                whole = {name: getattr(UnitFault(), name) for name in _DEVICE[kind](fault.value)}
                self.world.set_fault(unit, replace(self.world.faults.get(unit, NO_FAULT), **whole))
            case kind if kind in plans.NETWORK:
                self.hub.faults.spare(*fault.units)
            case "leak":
                self.engine.set_leak(0.0)
            case "permission":
                self.engine.set_permission(self.engine.index[unit], ALL_PERMITTED)
            case "kill" | "torn_write" if unit in self.community.dead:
                await self.revive(unit)
            case "disk_full":
                self.ledgers[unit].is_full = False
            case "clock_step":
                self.clocks[unit].offset -= timedelta(seconds=fault.value)
            case "clock_drift":
                self.clocks[unit].go_wrong(0.0)
            case "stop_and_go" | "policy":
                await self.community.set_mode(OperationMode.AUTONOMOUS, None, WHO)
            case "unit_stop":
                await self.community.set_mode(None, unit, WHO)

    def _die(self, unit: str) -> None:
        if unit not in self.community.dead:
            task = asyncio.create_task(self.community.kill_unit(unit))
            self._deaths.add(task)
            task.add_done_callback(self._deaths.discard)

    async def _steal_lease(self, unit: str) -> None:
        entry = await self.hub.store.get(LEASE)
        if entry is not None and entry.value is not None:
            stolen = LeaseRecord(unit, LeaseRecord.from_json(entry.value).epoch + 1)
            await self.hub.store.update(LEASE, stolen.to_json(), entry.revision)

    async def _heal(self) -> None:
        self.hub.faults.heal()
        self.engine.set_leak(0.0)
        for unit in self.ids:
            self.world.set_fault(unit, NO_FAULT)
            self.engine.set_permission(self.engine.index[unit], ALL_PERMITTED)
            self.ledgers[unit].is_full, self.ledgers[unit].tear = False, None
            self.clocks[unit].offset = timedelta()
            self.clocks[unit].go_wrong(0.0)
        for unit in sorted(self.community.dead):
            await self.aftermath.persist(lambda unit=unit: self.revive(unit))  # type: ignore[misc]
        # A person looks at what stopped, and lets it go on; a line that does not rise is given up only after minutes.
        await self.clock.sleep(LOOKED_AT_S)
        for unit in self.ids:
            await self.aftermath.persist(lambda unit=unit: self.community.set_mode(None, unit, WHO))  # type: ignore[misc]
        await self.aftermath.persist(lambda: self.community.set_mode(OperationMode.AUTONOMOUS, None, WHO))


def _charge_pct(number: int, units: int) -> float:
    if number == units - 1 - units % 2:
        return LOW_PCT
    return (GIVER_PCT if number % 2 == 0 else TAKER_PCT)[number // 2 % 2]


def run(seed: int, units: int, hours: float, plan: Plan | None = None) -> Outcome:
    """One run; the seed's own plan unless another is given."""
    seconds = hours * 3600
    chosen = plan if plan is not None else plans.draw(seed, [f"E{number + 1:03}" for number in range(units)], seconds)

    async def main() -> Outcome:
        chaos = Chaos(seed, chosen, units, seconds)
        try:
            await chaos.play(chaos.story)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this seed has found
            chaos.line.say("error", f"the run ended with {error!r}")
        left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            chaos.line.say("tasks", f"tasks are left: {', '.join(sorted(left))[:300]}")
        chaos.database.close()
        return chaos.outcome()

    try:
        return run_virtual(main)
    except StandstillError as error:
        return Outcome(seed, chosen, (str(error),), 0, "")


def shrink(found: Outcome, units: int, hours: float, tries: int = 60) -> Outcome:
    """A smaller plan with which the same seed still goes wrong."""
    # Where nothing has to go wrong for it, it is not the plan's fault.
    nothing = run(found.seed, units, hours, ())
    if nothing.violations:
        return nothing
    best, progress = found, True
    while progress and tries > 0:
        progress = False
        for plan in plans.smaller(best.plan):
            tries -= 1
            again = run(best.seed, units, hours, plan)
            if again.violations:
                best, progress = again, True
                break
            if tries <= 0:
                break
    return best
