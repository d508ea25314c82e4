"""The DC line: how its voltage rises, and how currents settle on it.

Currents are positive into the house, as its meter shows them. They always sum to what leaks away: references carry what the
others leave over, within their own limits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]
type Mask = NDArray[np.bool_]

# A live line follows small raises at once, as the original does at its default acceleration: 12 steps from 0 V, the first
# at once, so anything below two of them.
IMMEDIATE_RAISE_RATIO = 2 / 12


@dataclass(frozen=True, slots=True)
class Ramp:
    """A line on its way to another voltage, in emulated time."""

    start_s: float
    start_v: float
    target_v: float
    end_s: float

    def voltage_v(self, now_s: float) -> float:
        """The voltage at a moment of the ramp."""
        return self.start_v + (self.target_v - self.start_v) * (now_s - self.start_s) / (self.end_s - self.start_s)


def ramp_to(target_v: float, present_v: float, now_s: float, ramp_s: float) -> Ramp | None:
    """How the line gets to `target_v`: None is at once. `ramp_s`: how long it takes from 0 V to any target [s]."""
    raise_v = target_v - present_v
    if raise_v <= 0 or raise_v < target_v * IMMEDIATE_RAISE_RATIO or ramp_s <= 0:
        return None
    return Ramp(now_s, present_v, target_v, now_s + ramp_s * raise_v / target_v)


@dataclass(frozen=True, slots=True)
class Settled:
    """The line after its currents have settled [A, V]; `limited`: converters that carry less than they were asked for."""

    current_a: Array
    voltage_v: Array
    limited: Mask


def settle(
    wish_a: Array,
    references: Mask,
    low_a: Array,
    high_a: Array,
    line_v: float,
    resistance_ohm: Array | None = None,
    leak_a: float = 0.0,
) -> Settled:
    """Currents and voltages once everything has come to rest.

    Args:
        wish_a: what the current modes were set to, 0 elsewhere [A], shape (N,).
        references: who holds the voltage, shape (N,).
        low_a: the least each converter can carry now (negative out of the house) [A], shape (N,).
        high_a: the most [A], shape (N,).
        line_v: the voltage of the line without any drop, which is what each reference aims at [V].
        resistance_ohm: between each converter and the line's middle, a reference's droop included [Ohm], shape (N,); None for none.
        leak_a: what leaks from the line to earth [A].

    """
    current_a = np.minimum(np.maximum(wish_a, low_a), high_a)
    current_a[references] = 0.0
    others = ~references
    limited = (current_a != wish_a) & others
    if np.logical_and.reduce(others):
        return Settled(np.zeros(len(wish_a)), np.zeros(len(wish_a)), limited & (wish_a != 0))
    low_a, high_a = low_a[references], high_a[references]
    need_a = -float(np.add.reduce(current_a[others])) - leak_a
    room_a = float(np.add.reduce(high_a if need_a > 0 else low_a))
    if abs(need_a) > abs(room_a) + 1e-12:
        current_a, over = _saturated(current_a, references, need_a, room_a)
        need_a = -float(np.add.reduce(current_a[others])) - leak_a
        limited |= over
    if resistance_ohm is None:
        current_a[references] = _shared(need_a, low_a, high_a) + 0.0
        return Settled(current_a, np.full(len(wish_a), line_v), limited)
    conductance = np.where(references, 1 / np.maximum(resistance_ohm, 1e-6), 0.0)
    middle_v = (float((conductance * line_v).sum()) + need_a) / float(conductance.sum())
    current_a[references] = (conductance * (middle_v - line_v))[references]
    return Settled(current_a, middle_v - current_a * resistance_ohm, limited)


def _shared(need_a: float, low_a: Array, high_a: Array) -> Array:
    """What each of the references carries: the same, and where one has reached its limit the others carry the rest."""
    if len(low_a) == 1:
        own_a: Array = np.minimum(np.maximum(need_a, low_a), high_a)
        return own_a
    carried = np.zeros_like(low_a)
    free = np.ones(len(low_a), dtype=bool)
    while free.any():
        share_a = (need_a - float(carried[~free].sum())) / int(free.sum())
        carried[free] = share_a
        over = free & ((carried < low_a) | (carried > high_a))
        if not over.any():
            break
        carried[over] = np.clip(carried[over], low_a[over], high_a[over])
        free &= ~over
    return carried


def _saturated(current_a: Array, references: Mask, need_a: float, room_a: float) -> tuple[Array, Mask]:
    """What the references cannot carry, those cannot have who cause it: they get less, in proportion."""
    over = references.copy()
    causing = (current_a < 0) if need_a > 0 else (current_a > 0)
    causing &= ~references
    caused_a = float(current_a[causing].sum())
    if caused_a == 0.0:
        return current_a, over
    keep = max(0.0, min(1.0, (caused_a + (need_a - room_a)) / caused_a))
    scaled = current_a.copy()
    scaled[causing] *= keep
    return scaled, over | causing
