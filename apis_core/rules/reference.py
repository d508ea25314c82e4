"""Where the voltage reference sits: which side holds it, where it moves when a deal joins, and who takes it when one leaves.

All deals of a line share one orientation, the *master side*: the unit on that side is switched on first and off last,
and in the master deal it holds the line's voltage. Exactly one converter does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from ..model.converter import Converter, ConverterMode
from ..model.deal import Deal, Side
from ..model.policy import Policy
from .slots import exact


@dataclass(frozen=True)
class Line:
    """A line as the Grid Master sees it: its deals that have not ended, and the converters as last read.

    `released`: by unit, the deals that it has stopped carrying by itself. `barred`: units that do not take the voltage
    reference now, because they lost it, do not answer, or have nothing to stop them when nobody commands them.
    """

    deals: tuple[Deal, ...]
    converters: Mapping[str, Converter]
    policy: Policy
    released: Mapping[str, Collection[str]] = field(default_factory=dict)
    barred: Collection[str] = ()

    @cached_property
    def reference_unit_ids(self) -> tuple[str, ...]:
        """The units whose converter holds the voltage: one on an energised line, two only within a hand-over."""
        return tuple(sorted([unit for unit, c in self.converters.items() if c.mode_code == ConverterMode.VOLTAGE_REFERENCE]))

    @cached_property
    def master_deal(self) -> Deal | None:
        """The deal whose unit holds the voltage."""
        return next((deal for deal in self.deals if deal.is_master and deal.is_active), None)

    @cached_property
    def reference_unit_id(self) -> str | None:
        """The unit that holds the voltage, the master deal's if two do."""
        units = self.reference_unit_ids
        master = self.master_deal
        if master is not None:
            return next((unit for unit in units if unit in master.unit_ids), units[0] if units else None)
        return units[0] if units else None

    @cached_property
    def master_side(self) -> Side:
        """The side that holds the reference: where it really is, else where the policy wants it."""
        master, unit = self.master_deal, self.reference_unit_id
        side = master.side_of(unit) if master is not None and unit is not None else None
        return side or Side(self.policy.voltage_reference_side)

    @property
    def second_reference_unit_ids(self) -> tuple[str, ...]:
        """Units that hold the voltage beside the line's own reference: the master deal's, else one that does so for a deal."""
        in_deals = {unit for deal in self.deals if deal.is_active for unit in deal.unit_ids}
        own = set(self.master_deal.unit_ids) if self.master_deal is not None else in_deals
        if own.isdisjoint(self.reference_unit_ids):
            own = in_deals
        held = not own.isdisjoint(self.reference_unit_ids)
        return tuple(unit for unit in self.reference_unit_ids if held and unit not in own)

    def mode(self, unit_id: str) -> ConverterMode | None:
        """The unit's mode as last read."""
        converter = self.converters.get(unit_id)
        return converter.mode if converter is not None else None

    def others(self, deal: Deal, unit_id: str) -> tuple[Deal, ...]:
        """The unit's other active deals."""
        return tuple(d for d in self.deals if d.is_active and d.deal_id != deal.deal_id and unit_id in d.unit_ids)

    def carried_deals(self, unit_id: str) -> tuple[Deal, ...]:
        """The unit's deals that it exchanges energy for now."""
        released = self.released.get(unit_id, ())
        return tuple(d for d in self.deals if unit_id in d.unit_ids and d.is_running and d.deal_id not in released)

    def running_others(self, deal: Deal, unit_id: str) -> tuple[Deal, ...]:
        """The same without one of them."""
        return tuple(d for d in self.carried_deals(unit_id) if d.deal_id != deal.deal_id)

    def current_for_others_a(self, deal: Deal, unit_id: str) -> float:
        """The current the unit carries for its other running deals, a magnitude [A]."""
        return running_current_a(self.running_others(deal, unit_id), unit_id)


def running_current_a(deals: Iterable[Deal], unit_id: str) -> float:
    """|sum of the compensated currents| of a unit's deals [A], without binary remainders."""
    return float(abs(sum((exact(deal.compensated_current_a(unit_id)) for deal in deals), start=Decimal(0))))


@dataclass(frozen=True, slots=True)
class HandOver:
    """The voltage moves from one converter to another; written down before the first command, so that anyone can finish it.

    `voltage_v` is None where the new unit takes the voltage it measures. `old_mode` and `old_current_a` are what the old
    one does next: wait, or a current mode for its own deals.
    """

    old_unit_id: str
    new_unit_id: str
    voltage_v: float | None
    old_mode: ConverterMode
    old_current_a: float


@dataclass(frozen=True, slots=True)
class Activation:
    """How a deal's master-side unit is switched on.

    `mode` and `current_a` go to the master-side unit: VOLTAGE_REFERENCE, a current mode from wait, or None with a current
    for a unit that already runs in one; all None if it holds the voltage already. `target_a` is what the reference
    should carry once the deal runs [A, signed].
    """

    first: bool
    master_side: Side
    unit_id: str
    mode: ConverterMode | None
    current_a: float | None
    hand_over: HandOver | None
    target_a: float

    @property
    def becomes_master(self) -> bool:
        """Whether the deal carries the reference from now on."""
        return self.first or self.hand_over is not None


@dataclass(frozen=True, slots=True)
class NotNow:
    """Why a deal cannot be activated yet. `is_held`: the line cannot be used, by this deal or any other."""

    reason: str
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Never:
    """Why a deal is discarded before anything was switched on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Danger:
    """Something on the line that must stop everybody until a person looks."""

    reason: str


def plan_activation(deal: Deal, line: Line) -> Activation | NotNow | Never | Danger:
    """Whether and how `deal` is switched on (behaviour reference 4.5, activation)."""
    active = [d for d in line.deals if d.is_active and d.deal_id != deal.deal_id]
    if len(deal.resets) >= line.policy.reset_limit:
        return Never(f"reset {len(deal.resets)} times, the limit is {line.policy.reset_limit}: {deal.resets[-1].reason}")
    for side in Side:
        unit = deal.unit_on(side)
        if any(d.unit_on(side.opposite) == unit for d in active):
            return Never(f"{unit} is on the other side of a running deal")
    if not active:
        return _first_activation(deal, line)
    if not any(d.is_started for d in active):
        return NotNow("another deal is being started")
    return _further_activation(deal, line)


def _first_activation(deal: Deal, line: Line) -> Activation | NotNow | Danger:
    policy, side = line.policy, line.master_side
    unit = deal.unit_on(side)
    large = set(policy.large_capacity_unit_ids)
    if unit not in large and deal.unit_on(side.opposite) in large:
        side = side.opposite
    if deal.unit_on(side) in line.barred:
        side = side.opposite
    if deal.unit_on(side) in line.barred:
        return NotNow(f"neither {unit} nor its partner may hold the voltage now")
    strangers = [holder for holder in line.reference_unit_ids if holder != deal.unit_on(side)]
    if strangers:
        # One of the deal's own units too, if it is not the one that shall hold it: it has to go to wait first.
        return NotNow(f"{strangers[0]} holds the voltage without a deal", is_held=True)
    window = start_window(line.converters.get(unit), policy)
    if window is not None:
        return window
    return Activation(
        first=True,
        master_side=side,
        unit_id=deal.unit_on(side),
        mode=ConverterMode.VOLTAGE_REFERENCE,
        current_a=None,
        hand_over=None,
        target_a=side.sign * deal.grid_current_a,
    )


def start_window(converter: Converter | None, policy: Policy) -> NotNow | Danger | None:
    """Whether a dead line may be energised: nobody else holds it, and its voltage is off the band where converters drop out."""
    voltage_v = converter.meter.grid_voltage_v if converter is not None else None
    low, mask = policy.operation_grid_voltage_min_v, policy.grid_uvlo_mask_v
    if voltage_v is None:
        return NotNow("the line voltage is not known")
    limit_v = low + 2 * policy.grid_voltage_separation_v
    if voltage_v > limit_v:
        return Danger(f"the line already has {voltage_v:g} V (at most {limit_v:g} V for a first deal): somebody else holds it")
    if low - mask <= voltage_v <= low + mask:
        return NotNow(f"the line's {voltage_v:g} V lie within {low - mask:g} to {low + mask:g} V")
    return None


def _further_activation(deal: Deal, line: Line) -> Activation | NotNow | Danger:
    policy, side = line.policy, line.master_side
    reference = line.reference_unit_id
    if reference is None:
        return NotNow("the line has no voltage reference")
    large = set(policy.large_capacity_unit_ids)
    unit, moves = deal.unit_on(side), False
    if reference not in large:
        if unit in large:
            moves = unit != reference
            moves &= unit not in line.barred
        elif (
            deal.unit_on(side.opposite) in large
            and deal.unit_on(side.opposite) not in line.barred
            and not any(d.is_in_transition for d in line.deals if d.deal_id != deal.deal_id)
        ):
            side, moves = side.opposite, True
            unit = deal.unit_on(side)
    hand_over = None
    if moves:
        planned = _move(deal, unit, reference, line)
        if isinstance(planned, NotNow):
            return planned
        hand_over = planned
    mode, current_a = _master_command(deal, unit, side, line) if hand_over is None else (None, None)
    return Activation(
        first=False,
        master_side=side,
        unit_id=unit,
        mode=mode,
        current_a=current_a,
        hand_over=hand_over,
        target_a=_target_a(deal, unit, side, hand_over, line),
    )


def _move(deal: Deal, unit: str, reference: str, line: Line) -> HandOver | NotNow:
    old = line.converters[reference]
    voltage_v = old.target_voltage_v if line.policy.voltage_reference_take_over == "theoretical" else None
    if line.policy.voltage_reference_take_over == "theoretical" and voltage_v is None:
        return NotNow(f"{reference} does not say which voltage it holds")
    own = sorted(line.others(deal, reference), key=lambda d: not d.is_running)
    side = own[0].side_of(reference) if own else None
    if side is None:
        return HandOver(reference, unit, voltage_v, ConverterMode.WAIT, 0.0)
    return HandOver(reference, unit, voltage_v, side.current_mode, abs(old.meter.grid_current_a or 0.0))


def _master_command(deal: Deal, unit: str, side: Side, line: Line) -> tuple[ConverterMode | None, float | None]:
    match line.mode(unit):
        case ConverterMode.VOLTAGE_REFERENCE:
            return None, None
        case ConverterMode.CHARGE | ConverterMode.DISCHARGE:
            return None, added_a(line.current_for_others_a(deal, unit), deal.grid_current_a)
        case _:
            return side.current_mode, deal.grid_current_a


def added_a(first_a: float, second_a: float) -> float:
    """The sum of two currents without binary remainders [A]."""
    return float(exact(first_a) + exact(second_a))


def _target_a(deal: Deal, unit: str, side: Side, hand_over: HandOver | None, line: Line) -> float:
    share_a = side.sign * deal.grid_current_a
    if hand_over is not None and line.mode(unit) is ConverterMode.WAIT:
        return share_a
    future = unit if hand_over is not None else line.reference_unit_id
    converter = line.converters.get(future) if future is not None else None
    present_a = converter.meter.grid_current_a or 0.0 if converter is not None else 0.0
    return added_a(present_a, share_a) if future == unit else present_a


@dataclass(frozen=True, slots=True)
class Departure:
    """What happens to a deal's master-side unit when the deal ends.

    One of: `command_wait` (the unit goes to wait; if it holds the voltage, every other converter must be known off
    first), `current_a` (it goes on with this current for its other deals), `hand_over`, or nothing of these.
    `new_master_id` is the deal that carries the reference from now on.
    """

    unit_id: str
    command_wait: bool = False
    current_a: float | None = None
    hand_over: HandOver | None = None
    new_master_id: str | None = None


def plan_departure(deal: Deal, line: Line) -> Departure | Danger:
    """How a stopped deal's master-side unit is switched off (behaviour reference 4.9)."""
    side = line.master_side
    unit = deal.unit_on(side)
    active = tuple(d for d in line.deals if d.is_active and d.deal_id != deal.deal_id)
    own = line.others(deal, unit)
    mode = line.mode(unit)
    if active and (deal.is_master or (mode is ConverterMode.VOLTAGE_REFERENCE and not own)):
        return _pass_on(deal, line, active, own, unit)
    if mode is ConverterMode.WAIT:
        return Departure(unit)
    if mode is ConverterMode.VOLTAGE_REFERENCE and own:
        return Departure(unit)
    if own:
        return Departure(unit, current_a=line.current_for_others_a(deal, unit))
    return Departure(unit, command_wait=True)


def _pass_on(deal: Deal, line: Line, active: tuple[Deal, ...], own: tuple[Deal, ...], unit: str) -> Departure | Danger:
    """The master deal leaves, others go on: choose the next master deal and move the voltage if it must move."""
    master, reference = next_master(line, active)
    if line.mode(unit) is not ConverterMode.VOLTAGE_REFERENCE and line.reference_unit_id in {u for d in active for u in d.unit_ids}:
        # Somebody else holds the voltage already: only the record has to follow.
        return Departure(unit, command_wait=not own, new_master_id=master.deal_id)
    if line.mode(unit) is ConverterMode.WAIT:
        # The reference is gone already: whoever is on has nothing to hold on to.
        return Danger(f"{unit} held the voltage and waits, while {len(active)} deals go on")
    if reference == unit:
        return Departure(unit, new_master_id=master.deal_id)
    if own:
        return Danger(f"{unit} holds the voltage, still has deals, but the next master deal {master.deal_id} is not one of them")
    planned = _move(deal, reference, unit, line)
    if isinstance(planned, NotNow):
        return Danger(planned.reason)
    return Departure(unit, hand_over=planned, new_master_id=master.deal_id)


def next_master(line: Line, active: tuple[Deal, ...]) -> tuple[Deal, str]:
    """The deal that carries the reference next, and the unit that will hold the voltage.

    Newest first: one whose master-side unit already holds it; else one with a large unit (on the other side if the
    orientation may turn); else the newest of all, back towards the policy's side where that is possible.
    """
    side, policy = line.master_side, line.policy
    newest = sorted(active, key=lambda d: (d.activate_time is not None, d.activate_time, d.deal_id), reverse=True)
    reference = line.reference_unit_id
    may_turn = not any(d.is_in_transition for d in active)
    for candidate in newest:
        if candidate.unit_on(side) == reference:
            return candidate, candidate.unit_on(side)
    large = set(policy.large_capacity_unit_ids)
    sides = (side, side.opposite) if may_turn else (side,)
    ordered = [(candidate, wanted) for wanted in sides for candidate in newest if candidate.unit_on(wanted) in large]
    home = Side(policy.voltage_reference_side) if may_turn else side
    ordered += [(candidate, wanted) for wanted in (home, *sides) for candidate in newest]
    # Somebody has to hold it: a barred unit only where there is no other.
    chosen, wanted = next(((d, s) for d, s in ordered if d.unit_on(s) not in line.barred), ordered[0])
    return chosen, chosen.unit_on(wanted)
