"""Counting energy: each unit integrates its own converter and shares it out among its deals.

Between two samples the trapezoid rule holds (power changed smoothly); across a command of our own the power before it
holds up to the command. A deal gets the part of the flow that its current is of the unit's, never more than its own
current; the rest is kept as unattributed with its cause, so that nothing is lost and nothing is counted twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..model.converter import Converter, ConverterMode, Meter
from ..model.deal import NO_ENERGY, Deal, Side, SideEnergy

IDLE_CURRENT_A = 0.02
# Without a Grid Master units stop a deal by themselves at the predicted moment, or by their count if that was wrong. What
# only one of a deal's units carries is the reference's to carry: the unit on the other side than the reference goes first,
# its partner soon after, and one deal after the other [wall s].
OWN_STOP_TIME_MARGIN, OWN_STOP_MARGIN = 0.005, 0.015
SHORTEST_S = 0.01
OWN_STOP_LEAST_S, PARTNER_S, NEXT_DEAL_S = 1.0, 0.5, 1.0
RATIO_FROM_WH = 1.0
MORE_THAN_AGREED = "more current than agreed"
LOSS_WITHOUT_EXCHANGE = "converter loss without exchange"
WITHOUT_DEAL = "on without a deal"
NOT_READ = "estimated while nothing was read"


@dataclass(frozen=True, slots=True)
class Sample:
    """A unit's power at one moment of its monotonic clock; positive charges the battery.

    `is_on`: whether the converter was in another mode than wait; what a converter in wait takes is its house's own.
    """

    monotonic_s: float
    battery_power_w: float
    grid_power_w: float
    grid_current_a: float
    is_on: bool = True

    @classmethod
    def of(cls, converter: Converter, monotonic_s: float) -> Sample | None:
        """The sample a converter gives; None if its meter did not say its powers."""
        meter = converter.meter
        if meter.battery_power_w is None or meter.grid_power_w is None or meter.grid_current_a is None:
            return None
        is_on = converter.mode is not ConverterMode.WAIT
        return cls(monotonic_s, meter.battery_power_w, meter.grid_power_w, meter.grid_current_a, is_on)


@dataclass(frozen=True, slots=True)
class Account:
    """What a unit has counted: per deal, and what no deal could be charged with [Wh], signed, by cause."""

    deals: Mapping[str, SideEnergy] = field(default_factory=dict)
    unattributed_wh: Mapping[str, float] = field(default_factory=dict)
    last: Sample | None = None

    @property
    def unattributed_total_wh(self) -> float:
        """All causes together [Wh], signed."""
        return sum(self.unattributed_wh.values())

    def without(self, deal_ids: frozenset[str]) -> Account:
        """The account after deals have been settled elsewhere."""
        return Account({k: v for k, v in self.deals.items() if k not in deal_ids}, self.unattributed_wh, self.last)


def counted(
    account: Account,
    sample: Sample,
    currents_a: Mapping[str, float],
    stopping_a: Mapping[str, float] | None = None,
    *,
    stepped: bool = False,
) -> Account:
    """The account after one more sample.

    Args:
        account: what was counted so far.
        sample: the new sample.
        currents_a: the signed current of each of the unit's running deals in between [A].
        stopping_a: the same of deals that are being stopped: they get what flows beyond the running ones' currents.
        stepped: the power changed at this moment by a command: the old value held until now.

    """
    last = account.last
    stopping_a = stopping_a or {}
    if last is None or sample.monotonic_s <= last.monotonic_s or not last.is_on:
        return Account(account.deals, account.unattributed_wh, sample)
    hours = (sample.monotonic_s - last.monotonic_s) / 3600
    weight = 0.0 if stepped else 0.5
    battery_wh = ((1 - weight) * last.battery_power_w + weight * sample.battery_power_w) * hours
    grid_wh = ((1 - weight) * last.grid_power_w + weight * sample.grid_power_w) * hours
    current_a = (1 - weight) * last.grid_current_a + weight * sample.grid_current_a
    direction = 1 if sum(currents_a.values()) + sum(stopping_a.values()) > 0 else -1
    flows = current_a * direction > IDLE_CURRENT_A and battery_wh * direction > 0
    deals, rest_wh = dict(account.deals), battery_wh
    for deal_id, share in (shares(abs(current_a), currents_a, stopping_a) if flows else {}).items():
        deals[deal_id] = _added(deals.get(deal_id, NO_ENERGY), abs(battery_wh) * share, abs(grid_wh) * share)
        rest_wh -= battery_wh * share
    unattributed = dict(account.unattributed_wh)
    if abs(rest_wh) > 1e-12:
        cause = MORE_THAN_AGREED if flows else LOSS_WITHOUT_EXCHANGE
        if not (currents_a or stopping_a) and abs(current_a) > IDLE_CURRENT_A:
            cause = WITHOUT_DEAL
        unattributed[cause] = unattributed.get(cause, 0.0) + rest_wh
    return Account(deals, unattributed, sample)


def estimated(account: Account, seconds: float, currents_a: Mapping[str, float]) -> Account:
    """The account after a time nobody read: what was last measured is taken to have gone on for so long, and marked so.

    Args:
        account: what was counted until the last sample.
        seconds: for how long the converter went on after it, as far as known.
        currents_a: the signed current of each deal that ran then [A].

    """
    last = account.last
    if last is None or seconds <= 0:
        return Account(account.deals, account.unattributed_wh)
    hours, deals = seconds / 3600, dict(account.deals)
    rest_wh = last.battery_power_w * hours
    for deal_id, share in (shares(abs(last.grid_current_a), currents_a, {}) if currents_a else {}).items():
        battery_wh, grid_wh = abs(last.battery_power_w) * hours * share, abs(last.grid_power_w) * hours * share
        counted_before = _added(deals.get(deal_id, NO_ENERGY), battery_wh, grid_wh)
        deals[deal_id] = replace(counted_before, estimated_wh=counted_before.estimated_wh + battery_wh)
        rest_wh -= last.battery_power_w * hours * share
    unattributed = dict(account.unattributed_wh)
    if abs(rest_wh) > 1e-12:
        unattributed[NOT_READ] = unattributed.get(NOT_READ, 0.0) + rest_wh
    return Account(deals, unattributed)


def shares(current_a: float, running_a: Mapping[str, float], stopping_a: Mapping[str, float]) -> dict[str, float]:
    """What part of a unit's flow (current magnitude [A]) belongs to each deal; together at most 1.

    A deal never gets more than its own current; what stopping deals get comes after the running ones.
    """
    bound_a = sum(abs(a) for a in running_a.values())
    whole_a = max(current_a, bound_a)
    if whole_a <= 0:
        # Nothing flows, and no deal has its current yet.
        return {}
    found = {deal_id: abs(a) / whole_a for deal_id, a in running_a.items()}
    leftover_a, leaving_a = current_a - bound_a, sum(abs(a) for a in stopping_a.values())
    if leftover_a > 0 and leaving_a > 0:
        part = min(1.0, leftover_a / leaving_a)
        found |= {deal_id: abs(a) * part / whole_a for deal_id, a in stopping_a.items()}
    return found


def _added(old: SideEnergy, battery_wh: float, grid_wh: float) -> SideEnergy:
    return SideEnergy(old.battery_wh + battery_wh, old.grid_wh + grid_wh, old.estimated_wh, old.sequence + 1)


def deal_power_w(meter: Meter, sign: int, current_a: float) -> float:
    """What a deal exchanges at a unit's battery now [W], positive in its own direction.

    Args:
        meter: the unit's meter as last read.
        sign: +1 for the taking side, -1 for the giving one.
        current_a: the deal's own current at this unit [A].

    """
    total_a = abs(meter.grid_current_a or 0.0)
    if total_a <= IDLE_CURRENT_A:
        return 0.0
    return sign * (meter.battery_power_w or 0.0) * min(1.0, abs(current_a) / total_a)


def own_stop_s(predicted_s: float | None, taken_s: float, limit_s: float, per_wall_s: float) -> float:
    """In how many seconds the first of a deal's units stops it by itself.

    Args:
        predicted_s: until its amount will have been exchanged; None if nothing flows.
        taken_s: for how long it has been exchanging.
        limit_s: how long it may at most.
        per_wall_s: seconds of the community in a second of the wall.

    """
    left_s = limit_s - taken_s
    if predicted_s is None:
        return left_s
    margin_s = max(OWN_STOP_LEAST_S * per_wall_s, OWN_STOP_TIME_MARGIN * (taken_s + max(0.0, predicted_s)))
    return min(left_s, predicted_s + margin_s)


def one_after_the_other(moments_s: Mapping[str, float], apart_s: float) -> dict[str, float]:
    """The same moments in the same order, moved back where two are less than `apart_s` apart."""
    found: dict[str, float] = {}
    last_s = float("-inf")
    for key, moment_s in sorted(moments_s.items(), key=lambda item: (item[1], item[0])):
        found[key] = last_s = max(moment_s, last_s + apart_s)
    return found


def seconds_to_complete(amount_wh: float, counted_wh: float, power_w: float) -> float | None:
    """When the agreed amount will have been counted at the present power [s from now]; None if nothing flows."""
    if counted_wh >= amount_wh:
        return 0.0
    # A remainder that takes less than a clock can tell would be waited for without any time going by.
    return None if power_w <= 0 else max(SHORTEST_S, (amount_wh - counted_wh) / power_w * 3600)


def stop_targets_wh(deal: Deal, reference_side: Side) -> dict[str, float]:
    """At which count of its own each unit of a deal stops it by itself [Wh].

    The agreed amount is judged on the reference side; the other side's count at that moment follows from the ratio of
    the two so far.
    """
    judged, other = deal.unit_on(reference_side), deal.unit_on(reference_side.opposite)
    judged_wh, other_wh = deal.side_energy(judged).battery_wh, deal.side_energy(other).battery_wh
    goal_wh = deal.amount_wh * (1 + OWN_STOP_MARGIN)
    ratio = other_wh / judged_wh if min(judged_wh, other_wh) >= RATIO_FROM_WH else 1.0
    return {judged: goal_wh, other: other_wh + max(0.0, goal_wh - judged_wh) * ratio}
