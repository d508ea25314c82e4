"""What must hold whatever goes wrong, looked at with every write to a device and once a second."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields
import math

from ..gridmaster.hand_over import KEY
from ..model.converter import ConverterMode
from ..model.deal import Deal
from ..model.safety_times import SafetyTimes
from ..ports import DeviceRequest, GuardRole
from .stage import Stage

CURRENT_MODES = (ConverterMode.CHARGE, ConverterMode.DISCHARGE)
# What a wait sequence and the messages for it take beyond the dead-man's time [s].
ALLOWANCE_S = 3.5
# An unannounced loss may leave the reference with the currents of those who push on, until their dead-man is due.
OVERLOAD_EXTRA_S = 3.0
MESSAGES_KEPT = 20
# Looks are a second apart.
SECOND_S = 1.0
# What a deal may take below the floor until its end is under way: two periods and a wait sequence at full current [Wh].
FLOOR_WH = 8.0
# A deal of 60 Wh at 2 A takes five minutes, and may have to wait for the line as long; one that was interrupted, for a reference.
DEAL_S = 1200.0


@dataclass(slots=True)
class Line:
    """Watches the physics of one run. `unwell`: units whose device does not do or say what is so, with when that ended.

    `electrical_s`: until when there is a reason for a reference to leave its line at once. `is_calm`: whether nothing goes
    wrong now, and nothing did a moment ago.
    """

    stage: Stage
    is_calm: Callable[[], bool]
    electrical_s: float = -math.inf
    violations: list[str] = field(default_factory=list)
    unwell: dict[str, float] = field(default_factory=dict)
    _unheld_s: dict[str, float] = field(default_factory=dict)
    _overloaded_since_s: float = math.inf
    _two_since_s: float = math.inf
    _looked_s: float = 0.0
    _calm_s: dict[str, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _epochs: dict[str, int] = field(default_factory=dict)
    _obeyed: dict[str, int] = field(default_factory=dict)

    def before_write(self, unit_id: str, request: DeviceRequest) -> None:
        """A reference that is told to wait leaves nobody behind who pushes on."""
        stage = self.stage
        if request.expect_mode is not ConverterMode.WAIT or stage.clock.monotonic() <= self.electrical_s:
            return
        modes = dict(zip(stage.engine.unit_ids, stage.modes(), strict=True))
        others = [other for other, mode in modes.items() if mode is ConverterMode.VOLTAGE_REFERENCE and other != unit_id]
        if modes[unit_id] is not ConverterMode.VOLTAGE_REFERENCE or others:
            return
        left = sorted(unit for unit, mode in modes.items() if mode in CURRENT_MODES and not self.is_unwell(unit))
        if left:
            self.say(f"left {unit_id}", f"the reference {unit_id} is told to wait while {', '.join(left)} are on")

    def written(self, unit_id: str, epoch: int, role: GuardRole | None) -> None:
        """What switches a converter on or changes it comes with the newest epoch the unit has obeyed, or a newer one."""
        if role is not GuardRole.OFF and epoch < self._epochs.get(unit_id, 0):
            self.say(f"epoch {unit_id}", f"{unit_id} obeyed epoch {epoch} after {self._epochs[unit_id]}")
        self._epochs[unit_id] = max(epoch, self._epochs.get(unit_id, 0))
        if role is not GuardRole.OFF:
            self._obeyed[unit_id] = max(epoch, self._obeyed.get(unit_id, 0))

    def restarted(self, unit_id: str, epoch: int) -> None:
        """What a unit has obeyed it remembers: a Grid Master that was fenced off then is so still. To wait goes without."""
        if epoch < self._obeyed.get(unit_id, 0):
            self.say(f"forgot {unit_id}", f"{unit_id} remembers epoch {epoch} after a restart, it has obeyed {self._obeyed[unit_id]}")

    def say(self, about: str, message: str) -> None:
        """Note a violation, once each."""
        if about not in self._told and len(self.violations) < MESSAGES_KEPT:
            self._told.add(about)
            self.violations.append(f"{self.stage.clock.monotonic():.1f} s: {message}")

    def is_unwell(self, unit_id: str) -> bool:
        """Whether a unit's device is, or was a moment ago, not itself."""
        return self.stage.clock.monotonic() <= self.unwell.get(unit_id, -math.inf)

    def look(self) -> None:
        """Everything that can be seen at one moment."""
        stage = self.stage
        modes = dict(zip(stage.engine.unit_ids, stage.modes(), strict=True))
        references = [unit for unit, mode in modes.items() if mode is ConverterMode.VOLTAGE_REFERENCE]
        on = [unit for unit, mode in modes.items() if mode in CURRENT_MODES]
        self._look_at_references(references)
        # A deal may leave the line while another cannot finish its transition; beginnings are one at a time whatever happens.
        beginning = [deal.deal_id for deal in stage.deals() if deal.is_in_transition and deal.stop_time is None]
        if len(beginning) > 1:
            self.say("transitions", f"{len(beginning)} deals begin at the same time")
        self._look_at_leak_checks()
        self._look_for_over_commitment()
        self._look_for_unheld(on, bool(references))
        self._look_for_overload(on, references)
        self._look_at_currents(on)
        self._look_at_floors(on)
        self._look_for_endless_deals()

    def _look_at_references(self, references: Collection[str]) -> None:
        now_s = self.stage.clock.monotonic()
        if len(references) < 2:
            self._two_since_s = math.inf
            return
        if any(self.is_unwell(unit) for unit in references):
            return
        self._two_since_s = min(self._two_since_s, now_s)
        if not self.stage.hub.store.holds(KEY):
            self.say("references", f"{' and '.join(references)} hold the voltage outside a hand-over")
        elif len(references) > 2:
            self.say("references", f"{', '.join(references)} hold the voltage in one hand-over")
        elif self.is_calm() and now_s - self._two_since_s > self.stage.policy.times.two_references_s + SECOND_S:
            self.say("hand-over", f"{' and '.join(references)} have held the voltage for {now_s - self._two_since_s:.1f} s")

    def _look_at_floors(self, on: Iterable[str]) -> None:
        """Nobody gives what it is to keep."""
        engine, floor_pct = self.stage.engine, self.stage.policy.discharge_unit_lower_limit_pct
        for unit in on:
            i = engine.index[unit]
            below_wh = engine.capacity_wh[i] * floor_pct / 100 - engine.energy_wh[i]
            if below_wh > FLOOR_WH and self.stage.modes()[i] is ConverterMode.DISCHARGE and not self.is_unwell(unit):
                self.say(f"floor {unit}", f"{unit} gives though it is {below_wh:.1f} Wh below {floor_pct:g} %")

    def _look_for_endless_deals(self) -> None:
        """Every deal ends, if only it is left in peace for so long."""
        now_s = self.stage.clock.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        if not self.is_calm():
            return
        for deal in self.stage.deals():
            self._calm_s[deal.deal_id] = calm_s = self._calm_s.get(deal.deal_id, 0.0) + passed_s
            if calm_s > DEAL_S:
                self.say(f"endless {deal.deal_id}", f"{deal} has not ended after {calm_s:.0f} s in which nothing went wrong")

    def _look_at_leak_checks(self) -> None:
        for unit, node in self.stage.community.nodes.items():
            judged_s = node.role.master.leak_check.judged_s if node.role.master is not None else None
            if judged_s is not None and judged_s[0] <= judged_s[1]:
                self.say("leak check", f"{unit} judged the line at {judged_s[1]:.1f} s by a reading of {judged_s[0]:.1f} s")

    def _look_for_over_commitment(self) -> None:
        deals = [deal for deal in self.stage.deals() if not deal.is_ended]
        for unit, node in self.stage.community.nodes.items():
            own = [deal for deal in deals if unit in deal.unit_ids]
            if len({deal.side_of(unit) for deal in own}) > 1:
                self.say(f"directions {unit}", f"{unit} is to give and to take at the same time")
            promised_a = sum(deal.grid_current_a for deal in own)
            capacity_a = node.settings.hardware.grid_current_capacity_a
            if promised_a > capacity_a:
                self.say(f"slots {unit}", f"{unit} is in deals over {promised_a:g} A, its capacity is {capacity_a:g} A")

    def _look_for_unheld(self, on: Collection[str], held: bool) -> None:
        now_s, times = self.stage.clock.monotonic(), self.stage.policy.times
        if held:
            self._unheld_s.clear()
            return
        self._unheld_s = {unit: self._unheld_s.get(unit, now_s) for unit in on}
        for unit, since_s in self._unheld_s.items():
            if now_s - since_s > longest_unheld_s(times) and not self.is_unwell(unit):
                self.say(f"unheld {unit}", f"{unit} pushes into a line that nobody has held for {now_s - since_s:.1f} s")

    def _look_for_overload(self, on: Iterable[str], references: Collection[str]) -> None:
        engine, now_s, times = self.stage.engine, self.stage.clock.monotonic(), self.stage.policy.times
        if len(references) != 1 or self.is_unwell(next(iter(references))):
            self._overloaded_since_s = math.inf
            return
        sign = {ConverterMode.CHARGE: -1.0, ConverterMode.DISCHARGE: 1.0}
        modes = self.stage.modes()
        predicted_a = sum(sign[modes[engine.index[unit]]] * float(engine.current_limit_a[engine.index[unit]]) for unit in on)
        capacity_a = self.stage.community.nodes[next(iter(references))].settings.hardware.grid_current_capacity_a
        carried_a = float(engine.grid_current_a[engine.index[next(iter(references))]])
        if max(abs(predicted_a), abs(carried_a)) <= capacity_a + 0.2:
            self._overloaded_since_s = math.inf
            return
        self._overloaded_since_s = min(self._overloaded_since_s, now_s)
        if now_s - self._overloaded_since_s > times.current_mode_dead_man_s + OVERLOAD_EXTRA_S:
            carried = f"is to carry {predicted_a:g} A and carries {carried_a:g} A"
            self.say("overload", f"the reference {next(iter(references))} {carried}, its capacity is {capacity_a:g} A")

    def _look_at_currents(self, on: Iterable[str]) -> None:
        engine = self.stage.engine
        for unit in on:
            hardware = self.stage.community.nodes[unit].settings.hardware
            limit_a = float(engine.current_limit_a[engine.index[unit]])
            if limit_a > hardware.grid_current_capacity_a + hardware.grid_current_allowance_a and not self.is_unwell(unit):
                self.say(f"current {unit}", f"{unit} is set to {limit_a:g} A, its capacity is {hardware.grid_current_capacity_a:g} A")


def longest_unheld_s(times: SafetyTimes) -> float:
    """How long a current mode may outlive an unannounced loss of its reference at the very most [s]."""
    return times.current_mode_limit_s + times.current_mode_dead_man_s + ALLOWANCE_S


def records_differ(first: Deal | None, second: Deal | None, seen: Deal) -> str | None:
    """Why the two ledgers do not hold the same of a deal that has left the store, or None."""
    if first is None or second is None:
        return f"deal {seen.deal_id} is missing in a ledger"
    for name in (each.name for each in fields(Deal)):
        if getattr(first, name) != getattr(second, name):
            return f"deal {seen.deal_id}: the ledgers hold {getattr(first, name)} and {getattr(second, name)} for {name}"
    return None if first.is_ended and second.is_ended else f"deal {seen.deal_id} has not ended in a ledger"
