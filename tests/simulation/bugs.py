"""Mistakes that the rules keep out, put back in one at a time: a search for disasters that finds none of them is blind."""

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from apis_core.gridmaster import hand_over, master
from apis_core.gridmaster.access import Access
from apis_core.guard.dead_man import DeadMan
from apis_core.ledger.unit_ledger import UnitLedger
from apis_core.model.converter import Converter
from apis_core.model.deal import Deal, Direction, SideEnergy
from apis_core.ports import GuardOrders, Json
from apis_core.rules import energy, slots
from apis_core.rules.energy import Account, Sample
from apis_core.rules.lifecycle import Step
from apis_core.unit import controller
from apis_core.unit.controller import Controller
from apis_core.unit.mediator import Mediator


@contextlib.contextmanager
def no_fencing() -> Iterator[None]:
    """Any epoch will do, at the unit and at its guard."""

    async def admit(_self: Controller, _epoch: int) -> None:
        return

    def refusal(_self: DeadMan, *_args: Any, **_kwargs: Any) -> str:
        return ""

    with (
        patch.object(Controller, "admit", admit),
        patch.object(Controller, "_still_right", lambda *_args: None),
        patch.object(DeadMan, "refusal", refusal),
    ):
        yield


@contextlib.contextmanager
def epoch_not_durable() -> Iterator[None]:
    """A restarted unit obeys whoever comes first."""
    set_state = UnitLedger.set_state

    async def forgetful(self: UnitLedger, key: str, value: Json) -> None:
        if key != "epoch":
            await set_state(self, key, value)

    report = controller.Controller._rearm

    async def rearm(self: Controller, guard: Any, why: str) -> None:
        before = self.highest_epoch
        await report(self, guard, why)
        if why == "start":
            self.highest_epoch = before

    with patch.object(UnitLedger, "set_state", forgetful), patch.object(Controller, "_rearm", rearm):
        yield


@contextlib.contextmanager
def slots_kept_twice() -> Iterator[None]:
    """What is promised to others is not counted."""

    def refusal(*args: Any, **_kwargs: Any) -> str | None:
        unit_id, direction, current_a, capacity_a = args[:4]
        return real(unit_id, direction, current_a, capacity_a, (), ())

    real = slots.refusal
    with patch.object(slots, "refusal", refusal):
        yield


@contextlib.contextmanager
def ledger_acknowledged_early() -> Iterator[None]:
    """A record counts as written when it is only about to be."""
    record = UnitLedger.record_deal
    kept: dict[UnitLedger, list[tuple[Deal, Json | None]]] = {}

    async def later(self: UnitLedger, deal: Deal, account: Json | None = None) -> Deal:
        waiting = kept.setdefault(self, [])
        if len(waiting) >= 3:
            await record(self, *waiting.pop(0))
        waiting.append((deal, account))
        return deal

    with patch.object(UnitLedger, "record_deal", later):
        yield


def _orders(swap: Callable[[float, float], tuple[float, float]]) -> contextlib.AbstractContextManager[Any]:
    def orders(line: tuple[str, ...], current_mode_s: float, reference_s: float, *others: Any) -> GuardOrders:
        return GuardOrders(line, *swap(current_mode_s, reference_s), *others)

    return patch.object(controller, "GuardOrders", orders)


def reference_before_current_modes() -> contextlib.AbstractContextManager[Any]:
    """The reference's dead-man is shorter than the current modes'."""
    return _orders(lambda current, reference: (reference, current))


def reference_too_early() -> contextlib.AbstractContextManager[Any]:
    """The reference's dead-man is shorter than the time for which current modes go on without a word, and their dead-man."""
    return _orders(lambda current, _reference: (current, current + 5))


def leak_check_on_old_readings() -> contextlib.AbstractContextManager[Any]:
    """Readings from before a change of current count as well."""

    def fresh(self: Access, unit_ids: Any) -> dict[str, Converter] | None:
        found = {unit: self.readings[unit].converter for unit in unit_ids if unit in self.readings}
        return found if len(found) == len(set(unit_ids)) else None

    return patch.object(Access, "fresh_converters", fresh)


def two_in_transition() -> contextlib.AbstractContextManager[Any]:
    """A deal in transition does not hold the line."""
    return patch.object(master, "ENDINGS", tuple(Step))


def no_way_back() -> contextlib.AbstractContextManager[Any]:
    """A hand-over that was interrupted stays so."""

    async def finish(_access: Access) -> None:
        return

    return patch.object(hand_over, "finish", finish)


def grant_not_released() -> contextlib.AbstractContextManager[Any]:
    """What was reserved for a negotiation stays so."""
    real = Mediator._reserve

    def reserve(self: Mediator, key: str, direction: Any, current_a: float, amount_wh: float, length_s: float) -> None:
        real(self, f"{key} {len(self._reservations)}", direction, current_a, amount_wh, length_s + 1e9)
        real(self, key, direction, current_a, amount_wh, length_s)

    return patch.object(Mediator, "_reserve", reserve)


def counted_twice() -> contextlib.AbstractContextManager[Any]:
    """What a new Grid Master is told is added to what is on record."""

    def merged(self: SideEnergy, other: SideEnergy) -> SideEnergy:
        if other.sequence <= self.sequence:
            return self
        return SideEnergy(self.battery_wh + other.battery_wh, self.grid_wh + other.grid_wh, self.estimated_wh, other.sequence)

    return patch.object(SideEnergy, "merged", merged)


def line_side_wrong() -> contextlib.AbstractContextManager[Any]:
    """What went over the line is written down as what went into the battery."""
    real = energy.counted

    def counted(account: Account, sample: Sample, *others: Any, **more: Any) -> Account:
        return real(account, replace(sample, grid_power_w=sample.battery_power_w), *others, **more)

    return patch.object(energy, "counted", counted)


def nobody_agrees() -> contextlib.AbstractContextManager[Any]:
    """Whoever is asked declines; only what a person makes is a deal."""

    async def decline(_self: Mediator, _sender: str, _message: Json) -> Json:
        return {"decline": "no"}

    return patch.object(Mediator, "_on_request", decline)


def left_out() -> contextlib.AbstractContextManager[Any]:
    """One unit says that it has no room, from some time on and for good."""
    real = Mediator.refusal

    def refusal(self: Mediator, direction: Direction, grid_current_a: float, besides: str = "") -> str | None:
        is_left_out = self._settings.unit_id == "E002" and self._clock.monotonic() > 300
        return "no room" if is_left_out else real(self, direction, grid_current_a, besides)

    return patch.object(Mediator, "refusal", refusal)


BUGS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    function.__name__: function
    for function in (
        no_fencing,
        epoch_not_durable,
        slots_kept_twice,
        ledger_acknowledged_early,
        reference_before_current_modes,
        reference_too_early,
        leak_check_on_old_readings,
        two_in_transition,
        no_way_back,
        grant_not_released,
        counted_twice,
        line_side_wrong,
        nobody_agrees,
        left_out,
    )
}
