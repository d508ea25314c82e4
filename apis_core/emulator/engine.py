"""The physics: N houses (PV, load, UPS, battery, converter) on one DC line, in arrays (hardware reference 1.6 to 1.8).

Energy is exact: nothing is rounded in the state, time advances in steps of at most `STEP_S`, and a command takes effect
at the very moment it arrives.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model.converter import ConverterMode
from . import line
from .houses import LOSS_NAMES, House, Triggers
from .line import Array, Mask, Ramp
from .losses import LossTable, ac_loss, dc_loss, mains
from .profiles import WEEK_H, Profiles, Sampler
from .protection import HEAVY, Alarm, passed, thresholds

STEP_S = 10.0
# Batteries reach round figures exactly, but for the last bit: what is so near to an end has come to it, however it was summed up.
EDGE_WH = 1e-9
RAMP_S = 120.0

WAIT, CHARGE, DISCHARGE, REFERENCE = range(4)
MODE_INDEX = {
    ConverterMode.WAIT: WAIT,
    ConverterMode.CHARGE: CHARGE,
    ConverterMode.DISCHARGE: DISCHARGE,
    ConverterMode.VOLTAGE_REFERENCE: REFERENCE,
}
MODES = tuple(MODE_INDEX)
# In the order of the modes: which way their current goes, as the meter counts it.
_MODE_SIGN = np.array([0.0, 1.0, -1.0, 0.0])
# A battery's permission: both ways.
ALL_PERMITTED = 3
# In the order of the modes above: where a converter's loss stands among the houses' losses.
_MODE_LOSS = np.array([LOSS_NAMES.index(name) for name in ("wait_w", "charge_w", "discharge_w", "discharge_w")])


@dataclass(frozen=True, slots=True)
class Site:
    """What holds for all houses: the line's ramp from 0 V [s] and its resistance per house [Ohm], the UPS's triggers.

    `droop`: whether a reference's droop lowers its voltage with the current it gives; without it droop is only stored.
    """

    ramp_s: float = RAMP_S
    line_resistance_ohm: float = 0.0
    droop: bool = False
    triggers: Triggers = field(default_factory=Triggers)


_PER_UNIT = (
    "capacity_wh", "energy_wh", "mode", "target_voltage_v", "droop_ratio", "current_limit_a", "grid_current_a", "unit_voltage_v",
    "bypass", "ac_charging", "solar_w", "load_w", "flow_w", "wasted_wh", "battery_integral_wh", "grid_integral_wh",
    "battery_voltage_v", "current_max_a", "permission", "alarm", "stuck", "no_ramp",
    "_load_rows", "_solar_rows", "_shift_s", "_load_scale", "_solar_scale", "_losses", "_thresholds",
)  # fmt: skip


class Engine:
    """The emulated world. Its clock is `elapsed_s` since `start` (local time of the houses)."""

    def __init__(self, houses: tuple[House, ...], profiles: Profiles, start: datetime, site: Site | None = None) -> None:
        """Everything in wait, the line dead."""
        self.start = start
        self.elapsed_s = 0.0
        self.site = site or Site()
        self.houses: list[House] = []
        self.unit_ids: list[str] = []
        self.index: dict[str, int] = {}
        self._profiles = profiles
        self._year_s = (start - start.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        self.line_voltage_v = 0.0
        self.leak_a = 0.0
        self._dip: tuple[float, float] = (1.0, 0.0)
        self._ramp: Ramp | None = None
        # Called after each step with its length [s], while the powers of that step are still to be seen.
        self.observers: list[Callable[[float], None]] = []
        for name, values in self._arrays(houses).items():
            setattr(self, name, values)
        self._listed(houses)
        self._houses_now()

    # Set in one go by `_arrays`; see there.
    capacity_wh: Array
    energy_wh: Array
    mode: NDArray[np.intp]
    target_voltage_v: Array
    droop_ratio: Array
    current_limit_a: Array
    grid_current_a: Array
    unit_voltage_v: Array
    bypass: Mask
    ac_charging: Mask
    solar_w: Array
    load_w: Array
    flow_w: Array
    wasted_wh: Array
    battery_integral_wh: Array
    grid_integral_wh: Array
    battery_voltage_v: Array
    current_max_a: Array
    permission: NDArray[np.intp]
    alarm: NDArray[np.intp]
    stuck: Mask
    no_ramp: Mask
    _load_rows: NDArray[np.intp]
    _solar_rows: NDArray[np.intp]
    _shift_s: Array
    _load_scale: Array
    _solar_scale: Array
    _losses: Array
    _thresholds: Array

    def _arrays(self, houses: tuple[House, ...]) -> dict[str, NDArray[Any]]:
        """The state of new houses: one row each."""
        count, profiles = len(houses), self._profiles
        household = np.array([house.household for house in houses], dtype=np.intp)
        capacity_wh = np.array([house.battery_wh for house in houses], dtype=np.float64)
        zeros = {name: np.zeros(count) for name in _PER_UNIT}
        return zeros | {
            "capacity_wh": capacity_wh,
            "energy_wh": capacity_wh * np.array([house.state_of_charge_pct for house in houses], dtype=np.float64) / 100,
            "mode": np.zeros(count, dtype=np.intp),
            "target_voltage_v": np.full(count, 350.0),
            "bypass": np.zeros(count, dtype=bool),
            "ac_charging": np.zeros(count, dtype=bool),
            "stuck": np.zeros(count, dtype=bool),
            "no_ramp": np.zeros(count, dtype=bool),
            "alarm": np.zeros(count, dtype=np.intp),
            "battery_voltage_v": np.array([house.battery_voltage_v for house in houses], dtype=np.float64),
            "current_max_a": np.array([house.grid_current_max_a for house in houses], dtype=np.float64),
            "permission": np.array([3 if house.permission is None else house.permission for house in houses], dtype=np.intp),
            "_load_rows": household % profiles.house_count,
            "_solar_rows": household % profiles.solar.values_w.shape[0],
            "_shift_s": (household // profiles.house_count * WEEK_H * 3600).astype(np.float64),
            "_load_scale": np.array([house.load_scale for house in houses], dtype=np.float64),
            "_solar_scale": np.array([house.solar_kw if profiles.solar_per_kw else 1.0 for house in houses], dtype=np.float64),
            "_losses": np.array([astuple(house.losses) for house in houses], dtype=np.float64).reshape(count, len(LOSS_NAMES)),
            "_thresholds": np.array([thresholds(house) for house in houses], dtype=np.float64).reshape(count, 5),
        }

    def _listed(self, houses: tuple[House, ...]) -> None:
        self.houses += houses
        self._loss = {name: np.ascontiguousarray(column) for name, column in zip(LOSS_NAMES, self._losses.T, strict=True)}
        self._converter_loss_w = self._losses[np.arange(len(self.mode)), _MODE_LOSS[self.mode]]
        self._capacity_min_wh = float(self.capacity_wh.min(initial=np.inf))
        on_wh, off_wh, ac_on_wh, ac_off_wh = (percent * (self.capacity_wh / 100) for percent in astuple(self.site.triggers))
        self._triggers_wh = on_wh + EDGE_WH, off_wh - EDGE_WH, ac_on_wh + EDGE_WH, ac_off_wh - EDGE_WH
        self._load_share = 1 + self._loss["ups_battery_ratio"]
        self._sun = Sampler(self._profiles.solar, self._solar_rows, self._shift_s, self._solar_scale)
        self._load = Sampler(self._profiles.load, self._load_rows, self._shift_s, self._load_scale)
        self._grid_w = self.grid_current_a * self.unit_voltage_v
        self._active = self._thresholds[:, 0] < np.inf
        self._any_active = bool(self._active.any())
        self.unit_ids = [house.unit_id for house in self.houses]
        self.index = {unit_id: i for i, unit_id in enumerate(self.unit_ids)}

    def add(self, house: House) -> None:
        """One more house, in wait. Raises ValueError if its id is taken."""
        if house.unit_id in self.index:
            raise ValueError(f"unit {house.unit_id} is there already")
        for name, values in self._arrays((house,)).items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        self._listed((house,))
        self._look_outside()
        self._share_currents()

    def remove(self, unit_id: str) -> None:
        """One house less; a line it held falls."""
        unit = self.index[unit_id]
        for name in _PER_UNIT:
            setattr(self, name, np.delete(getattr(self, name), unit, axis=0))
        del self.houses[unit]
        self._listed(())
        self._look_outside()
        self._hold_line()
        self._share_currents()

    def replace_all(self, houses: tuple[House, ...], elapsed_s: float | None = None) -> None:
        """Other houses instead of these, all in wait; the time too, if given."""
        self.houses = []
        for name, values in self._arrays(houses).items():
            setattr(self, name, values)
        self._listed(houses)
        self.elapsed_s = self.elapsed_s if elapsed_s is None else elapsed_s
        self._look_outside()
        self._hold_line()
        self._share_currents()

    def settle_at(self, line_voltage_v: float, energy_wh: Array, commands: list[tuple[ConverterMode, float, float, float]]) -> None:
        """All houses in a state at once: mode, voltage [V], current [A] and droop of each converter."""
        self.line_voltage_v, self.energy_wh = line_voltage_v, np.minimum(energy_wh, self.capacity_wh)
        self.mode = np.array([MODE_INDEX[command[0]] for command in commands], dtype=np.intp)
        self.target_voltage_v, self.current_limit_a, self.droop_ratio = (np.array([c[i] for c in commands], dtype=float) for i in (1, 2, 3))
        self._hold_line()
        self._share_currents()

    @property
    def now(self) -> datetime:
        """The emulated local time."""
        return self.start + timedelta(seconds=self.elapsed_s)

    @property
    def state_of_charge_pct(self) -> Array:
        """Charge of the batteries [%], exact."""
        percent: Array = self.energy_wh / self.capacity_wh * 100
        return percent

    @property
    def grid_power_w(self) -> Array:
        """Power between line and converters, positive into the house [W]."""
        return self._grid_w

    @property
    def battery_power_w(self) -> Array:
        """Power between converters and batteries, positive into the battery [W]."""
        power: Array = self._grid_w - self._converter_loss_w
        return power

    def advance_to(self, elapsed_s: float) -> None:
        """Let the world go on until `elapsed_s`; a time that has passed changes nothing."""
        while elapsed_s - self.elapsed_s > 1e-9:
            # Sun, load and UPS are looked at on a grid of their own, so that a day is the same however it is cut.
            grid_s = (math.floor(self.elapsed_s / STEP_S + 1e-9) + 1) * STEP_S
            end_s = min(elapsed_s, grid_s)
            if self._ramp is not None:
                end_s = min(end_s, self._ramp.end_s)
            if self._dip[1] > self.elapsed_s:
                end_s = min(end_s, self._dip[1])
            self._step(end_s - self.elapsed_s)
            taken_s, self.elapsed_s = end_s - self.elapsed_s, end_s
            for observer in self.observers:
                observer(taken_s)
            if end_s >= grid_s - 1e-9:
                self._look_outside()
            self._follow_line()
            self._flows_now()

    def set_mode(self, unit: int, mode: ConverterMode, voltage_v: float, current_a: float, droop_ratio: float | None) -> None:
        """Command a converter's mode with its set-points. A heavy alarm is over once it is told to wait."""
        if mode is ConverterMode.WAIT:
            self.alarm[unit] &= int(Alarm.INJECTED) if self.stuck[unit] else 0
        if self.stuck[unit] or (mode is not ConverterMode.WAIT and self.alarm[unit] & HEAVY):
            return
        self.mode[unit] = MODE_INDEX[mode]
        self.current_limit_a[unit] = current_a
        self._aim(unit, voltage_v, droop_ratio)

    def set_voltage(self, unit: int, voltage_v: float, droop_ratio: float | None) -> None:
        """Command a converter's line voltage; only a reference's matters."""
        if not self.stuck[unit]:
            self._aim(unit, voltage_v, droop_ratio)

    def set_current(self, unit: int, current_a: float) -> None:
        """Command a converter's current limit."""
        if not self.stuck[unit]:
            self.current_limit_a[unit] = current_a
            if not self._made_up_for(unit):
                self._share_currents()

    def set_state_of_charge(self, unit: int, percent: float) -> None:
        """Put a battery at a charge [%]."""
        self.energy_wh[unit] = self.capacity_wh[unit] * percent / 100
        self._look_outside()
        self._share_currents()

    def set_permission(self, unit: int, permission: int) -> None:
        """What the battery allows: 0 nothing, 1 charging, 2 discharging, 3 both."""
        self.permission[unit] = permission
        self._share_currents()

    def set_battery_voltage(self, unit: int, voltage_v: float) -> None:
        """Put a battery at a voltage [V]."""
        self.battery_voltage_v[unit] = voltage_v
        self._share_currents()

    def trip(self, unit: int, alarm: Alarm) -> None:
        """A converter goes to wait by itself, with a heavy alarm."""
        self.alarm[unit] |= int(alarm)
        self.mode[unit], self.current_limit_a[unit] = WAIT, 0.0
        self._hold_line()
        self._share_currents()

    def set_leak(self, current_a: float) -> None:
        """A current from the line to earth [A]."""
        self.leak_a = current_a
        self._share_currents()

    def dip(self, ratio: float, seconds: float) -> None:
        """The line at a part of its voltage for a while."""
        self._dip = (ratio, self.elapsed_s + seconds)
        self._share_currents()

    def _aim(self, unit: int, voltage_v: float, droop_ratio: float | None) -> None:
        self.target_voltage_v[unit] = voltage_v
        if droop_ratio is not None:
            self.droop_ratio[unit] = droop_ratio
        self._hold_line()
        self._share_currents()

    def _hold_line(self) -> None:
        references = np.flatnonzero(self.mode == REFERENCE)
        if references.size == 0:
            self.line_voltage_v, self._ramp = 0.0, None
            return
        target_v = float(self.target_voltage_v[references[0]])
        if self._ramp is not None and self._ramp.target_v == target_v:
            return
        if self.no_ramp[references[0]] and target_v > self.line_voltage_v:
            self._ramp = None
            return
        self._ramp = line.ramp_to(target_v, self.line_voltage_v, self.elapsed_s, self.site.ramp_s)
        if self._ramp is None:
            self.line_voltage_v = target_v

    def _follow_line(self) -> None:
        ramp, dipped = self._ramp, self._dip[1] > 0
        if ramp is not None:
            arrived = self.elapsed_s >= ramp.end_s - 1e-9
            self.line_voltage_v = ramp.target_v if arrived else ramp.voltage_v(self.elapsed_s)
            self._ramp = None if arrived else ramp
        if dipped and self.elapsed_s >= self._dip[1] - 1e-9:
            self._dip = (1.0, 0.0)
        if ramp is not None or dipped or self._bounds_have_moved():
            self._share_currents()

    def _limits_a(self) -> tuple[Array, Array]:
        """The least and the most current each converter can carry now, with the battery's state and word [A]."""
        limit = self.current_limit_a
        if not self._any_at_end and np.bitwise_and.reduce(self.permission) == ALL_PERMITTED:
            return -limit, limit
        may_give = ~self._empty & ((self.permission & 2) > 0)
        may_take = ~self._full & ((self.permission & 1) > 0)
        return np.where(may_give, -limit, 0.0), np.where(may_take, limit, 0.0)

    def _bounds_have_moved(self) -> bool:
        """Whether a battery has become empty or full, or is so no longer."""
        energy_wh = self.energy_wh
        if not self._any_at_end and _least(energy_wh) > 0 and _most(energy_wh) < self._capacity_min_wh:
            return False
        empty, full = self.energy_wh <= 0, self.energy_wh >= self.capacity_wh
        return not (np.array_equal(empty, self._empty) and np.array_equal(full, self._full))

    _empty: Mask = np.zeros(0, dtype=bool)
    _full: Mask = np.zeros(0, dtype=bool)
    _any_at_end: bool = True
    # The one that holds the voltage, where it can follow every current at once.
    _reference: int | None = None
    _active: Mask = np.zeros(0, dtype=bool)
    _any_active: bool = False

    def _share_currents(self) -> None:
        references, sign = self.mode == REFERENCE, _MODE_SIGN[self.mode]
        resistance_ohm = self._resistance_ohm(references)
        self._empty, self._full = self.energy_wh <= 0, self.energy_wh >= self.capacity_wh
        self._any_at_end = bool(np.logical_or.reduce(self._empty | self._full))
        low_a, high_a = self._limits_a()
        self._converter_loss_w = self._losses[np.arange(len(self.mode)), _MODE_LOSS[self.mode]]
        voltage_v = self.line_voltage_v * self._dip[0]
        settled = line.settle(sign * self.current_limit_a, references, low_a, high_a, voltage_v, resistance_ohm, self.leak_a)
        self.grid_current_a = settled.current_a
        held, limited = np.count_nonzero(references), bool(np.logical_or.reduce(settled.limited))
        self.unit_voltage_v = settled.voltage_v if held else np.full(len(self.mode), voltage_v)
        self._flows_now()
        self._note_limits(settled.limited, sign, references)
        free = resistance_ohm is None and high_a is self.current_limit_a and not limited and not self._any_active
        self._reference = int(np.argmax(references)) if held == 1 and free else None
        self._protect()

    def _made_up_for(self, unit: int) -> bool:
        """Whether one reference makes up for what one converter was set to, and nothing else changes: then that is done."""
        reference, limit_a = self._reference, self.current_limit_a
        if reference is None or limit_a[unit] < 0 or self._bounds_have_moved():
            return False
        current_a = self.grid_current_a.copy()
        current_a[unit] = _MODE_SIGN[self.mode[unit]] * limit_a[unit]
        need_a = -float(np.add.reduce(current_a[self.mode != REFERENCE])) - self.leak_a
        if abs(need_a) > limit_a[reference]:
            return False
        current_a[reference] = need_a + 0.0
        self.grid_current_a = current_a
        self._flows_now()
        return True

    def _resistance_ohm(self, references: Mask) -> Array | None:
        """Between each converter and the line's middle, the references' droop included [Ohm]; None where there is none."""
        if not self.site.droop:
            return np.full(len(self.mode), self.site.line_resistance_ohm) if self.site.line_resistance_ohm else None
        # Droop: the part of the voltage by which a reference gives way at its full current.
        droop = self.droop_ratio * self.target_voltage_v / np.maximum(self.current_limit_a, 1e-6)
        resistance: Array = self.site.line_resistance_ohm + np.where(references, droop, 0.0)
        return resistance if resistance.any() else None

    def _note_limits(self, limited: Mask, sign: Array, references: Mask) -> None:
        if not np.logical_or.reduce(limited):
            self.alarm = self.alarm & HEAVY
            return
        gives = np.where(references, -np.sign(self.grid_current_a), sign) < 0
        empty, full = limited & (self.energy_wh <= 0), limited & (self.energy_wh >= self.capacity_wh)
        denied = limited & (((self.permission & 2) == 0) & gives | ((self.permission & 1) == 0) & ~gives)
        named = np.where(empty, int(Alarm.BATTERY_EMPTY), 0) | np.where(full, int(Alarm.BATTERY_FULL), 0)
        named |= np.where(denied, int(Alarm.PERMISSION), 0)
        named |= np.where(limited & (named == 0), int(Alarm.CURRENT_LIMIT), 0)
        self.alarm = (self.alarm & HEAVY) | named

    def _protect(self) -> None:
        """Converters whose thresholds are active go to wait by themselves where one is passed."""
        if not self._any_active or not (active := self._active & (self.mode != WAIT)).any():
            return
        battery_now_a = np.abs(self.battery_power_w / self.battery_voltage_v)
        found = passed(self._thresholds, self.unit_voltage_v, battery_now_a, self.battery_voltage_v, rising=self._ramp is not None)
        tripped = np.flatnonzero(active & (found > 0))
        if tripped.size:
            self.trip(int(tripped[0]), Alarm(int(found[tripped[0]])))

    def _step(self, seconds: float) -> None:
        hours = seconds / 3600
        grid_w = self._grid_w
        if self._ramp is not None:
            # A ramp changes the voltage within the step: its mean counts.
            middle_v = (self.line_voltage_v + self._ramp.voltage_v(self.elapsed_s + seconds)) / 2
            grid_w = self.grid_current_a * (self.unit_voltage_v + (middle_v - self.line_voltage_v))
        self.grid_integral_wh += grid_w * hours
        self.battery_integral_wh += (grid_w - self._converter_loss_w) * hours
        energy_wh = self.energy_wh + self.flow_w * hours
        self._hold_in(energy_wh)

    def _hold_in(self, energy_wh: Array) -> None:
        """No battery holds more than fits in, or less than nothing."""
        if _most(energy_wh) > self._capacity_min_wh - EDGE_WH:
            self.wasted_wh += np.maximum(energy_wh - self.capacity_wh, 0.0)
            energy_wh = np.where(energy_wh > self.capacity_wh - EDGE_WH, self.capacity_wh, energy_wh)
        self.energy_wh = np.where(energy_wh < EDGE_WH, 0.0, energy_wh) if _least(energy_wh) < EDGE_WH else energy_wh

    def _houses_now(self) -> None:
        """PV, load, UPS state and battery flow at this moment (hardware reference 1.6, steps 1 to 5)."""
        self._look_outside()
        self._flows_now()

    def _look_outside(self) -> None:
        """Sun, load and UPS; what the house needs from its battery follows from them."""
        moment_s = self._year_s + self.elapsed_s
        self._sun_w = self._sun.at(moment_s)
        self.load_w = self._load.at(moment_s)
        charge = self.energy_wh
        bypass_on_wh, bypass_off_wh, ac_on_wh, ac_off_wh = self._triggers_wh
        self.bypass = (self.bypass | (charge <= bypass_on_wh)) & (charge < bypass_off_wh)
        self.ac_charging = (self.ac_charging | (charge <= ac_on_wh)) & (charge < ac_off_wh)
        from_battery_w = self._loss["ups_battery_w"] + self._load_share * self.load_w
        self._base_w = self._loss["system_w"] + from_battery_w * ~self.bypass - self._loss["ac_charge_w"] * self.ac_charging

    def _flows_now(self) -> None:
        """The batteries' flow. In bypass the mains feed the load; what they add beyond it is lost in UPS and transformer."""
        self._grid_w = self.grid_current_a * self.unit_voltage_v
        need_w = self._base_w + self._converter_loss_w - self._grid_w
        self.solar_w, self.flow_w = self._sun_w, self._sun_w - need_w
        if _most(self.energy_wh) >= self._capacity_min_wh:
            full = (self.energy_wh >= self.capacity_wh) & (self.flow_w > 0)
            self.solar_w = np.where(full, need_w, self._sun_w)
            self.flow_w = np.where(full, 0.0, self.flow_w)

    @property
    def curtailed_w(self) -> Array:
        """PV that a full battery does not take [W]."""
        return self._sun_w - self.solar_w

    @property
    def ac_loss_w(self) -> Array:
        """What is lost on the mains side [W]."""
        return ac_loss(self._loss, 1.0, self.bypass, self.load_w * self.bypass, self.ac_charging)

    @property
    def dc_loss_w(self) -> Array:
        """What is lost on the battery side [W]."""
        in_bypass = self.bypass
        return dc_loss(self._loss, 1.0, in_bypass, self.load_w, self.load_w * in_bypass, self._converter_loss_w)

    @property
    def mains_w(self) -> Array:
        """What the house takes from the mains [W]."""
        return mains(self._loss, self.ac_loss_w, self.load_w * self.bypass, self.ac_charging)

    _sun: Sampler
    _load: Sampler
    _sun_w: Array
    _base_w: Array
    _grid_w: Array
    _triggers_wh: tuple[Array, ...]
    _load_share: Array
    _capacity_min_wh: float
    _loss: LossTable
    _converter_loss_w: Array


def _least(values: Array) -> float:
    # Of few values a ufunc finds the end in half the time the array's own method takes.
    return float(np.minimum.reduce(values, initial=np.inf))


def _most(values: Array) -> float:
    return float(np.maximum.reduce(values, initial=-np.inf))
