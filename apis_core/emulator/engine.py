"""The physics: N houses (PV, load, UPS, battery, converter) on one DC line, in arrays (hardware reference 1.6 to 1.8).

Energy is exact: nothing is rounded in the state, time advances in steps of at most `STEP_S`, and a command takes effect
at the very moment it arrives. Currents always sum to zero: the voltage reference carries what the others leave over, and
two references in a hand-over share it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ..model.converter import ConverterMode
from .profiles import WEEK_H, Profiles

type Array = NDArray[np.float64]

STEP_S = 10.0
BATTERY_VOLTAGE_V = 48.0
RAMP_S = 120.0
# A live line follows small raises at once, as the original does at its default acceleration: 12 steps from 0 V, the first
# at once, so anything below two of them.
IMMEDIATE_RAISE_RATIO = 2 / 12

# Loss constants of the original [W], [W/W].
SYSTEM_LOSS_W = 17.5
WAIT_LOSS_W, CHARGE_LOSS_W, DISCHARGE_LOSS_W = 4.5, 71.0, 55.0
UPS_BATTERY_LOSS_W, UPS_BATTERY_LOSS_RATIO = 129.0, 0.140
UPS_BYPASS_LOSS_W, UPS_BYPASS_LOSS_RATIO = 67.0, 0.033
TRANSFORMER_LOSS_W, TRANSFORMER_LOSS_RATIO = 57.0, 0.027
AC_CHARGE_LOSS_W, AC_CHARGE_W = 10.0, 150.0
# UPS hysteresis [% of the battery]: to bypass, back to battery, mains charging on, off.
BYPASS_ON_PCT, BYPASS_OFF_PCT, AC_ON_PCT, AC_OFF_PCT = 30.0, 35.0, 20.0, 25.0

WAIT, CHARGE, DISCHARGE, REFERENCE = range(4)
MODE_INDEX = {
    ConverterMode.WAIT: WAIT,
    ConverterMode.CHARGE: CHARGE,
    ConverterMode.DISCHARGE: DISCHARGE,
    ConverterMode.VOLTAGE_REFERENCE: REFERENCE,
}
MODES = tuple(MODE_INDEX)
_LOSS_W = np.array([WAIT_LOSS_W, CHARGE_LOSS_W, DISCHARGE_LOSS_W, DISCHARGE_LOSS_W])


@dataclass(frozen=True, slots=True)
class House:
    """One house of the emulation. `household` counts through the profiles and beyond them."""

    unit_id: str
    household: int
    state_of_charge_pct: float = 50.0
    battery_wh: float = 4800.0
    solar_kw: float = 4.0
    load_scale: float = 1.0


@dataclass(slots=True)
class _Ramp:
    start_s: float
    start_v: float
    target_v: float
    end_s: float

    def voltage_v(self, now_s: float) -> float:
        return self.start_v + (self.target_v - self.start_v) * (now_s - self.start_s) / (self.end_s - self.start_s)


class Engine:
    """The emulated world. Its clock is `elapsed_s` since `start` (local time of the houses)."""

    def __init__(self, houses: tuple[House, ...], profiles: Profiles, start: datetime, ramp_s: float = RAMP_S) -> None:
        """Everything in wait, the line dead. `ramp_s`: how long the line takes from 0 V to any target [s]."""
        self.start = start
        self.elapsed_s = 0.0
        self.unit_ids = [house.unit_id for house in houses]
        self.index = {unit_id: i for i, unit_id in enumerate(self.unit_ids)}
        self._profiles = profiles
        self._ramp_s = ramp_s
        self._year_s = (start - start.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        household = np.array([house.household for house in houses], dtype=np.intp)
        self._load_rows = household % profiles.house_count
        self._solar_rows = household % profiles.solar.values_w.shape[0]
        self._shift_s: Array = np.asarray(household // profiles.house_count * WEEK_H * 3600, dtype=np.float64)
        self._load_scale = np.array([house.load_scale for house in houses])
        kilowatts = np.array([house.solar_kw for house in houses])
        self._solar_scale = kilowatts if profiles.solar_per_kw else np.ones(len(houses))
        self.capacity_wh: Array = np.array([house.battery_wh for house in houses])
        self.energy_wh: Array = self.capacity_wh * np.array([house.state_of_charge_pct for house in houses]) / 100
        count = len(houses)
        self.mode = np.zeros(count, dtype=np.intp)
        self.target_voltage_v: Array = np.full(count, 350.0)
        self.droop_ratio: Array = np.zeros(count)
        self.current_limit_a: Array = np.zeros(count)
        self.grid_current_a: Array = np.zeros(count)
        self.line_voltage_v = 0.0
        self._ramp: _Ramp | None = None
        self.bypass = np.zeros(count, dtype=bool)
        self.ac_charging = np.zeros(count, dtype=bool)
        self.solar_w: Array = np.zeros(count)
        self.load_w: Array = np.zeros(count)
        self.mains_w: Array = np.zeros(count)
        self.flow_w: Array = np.zeros(count)
        self.wasted_wh: Array = np.zeros(count)
        # Integrals since the start, for whoever checks a ledger against the physics [Wh], signed as power is.
        self.battery_integral_wh: Array = np.zeros(count)
        self.grid_integral_wh: Array = np.zeros(count)
        self._houses_now()

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
        return self.grid_current_a * self.line_voltage_v

    @property
    def battery_power_w(self) -> Array:
        """Power between converters and batteries, positive into the battery [W]."""
        power: Array = self.grid_power_w - _LOSS_W[self.mode]
        return power

    def advance_to(self, elapsed_s: float) -> None:
        """Let the world go on until `elapsed_s`; a time that has passed changes nothing."""
        while elapsed_s - self.elapsed_s > 1e-9:
            end_s = min(elapsed_s, self.elapsed_s + STEP_S)
            if self._ramp is not None:
                end_s = min(end_s, self._ramp.end_s)
            self._step(end_s - self.elapsed_s)
            self.elapsed_s = end_s
            self._follow_ramp()

    def set_mode(self, unit: int, mode: ConverterMode, voltage_v: float, current_a: float, droop_ratio: float | None) -> None:
        """Command a converter's mode with its set-points."""
        self.mode[unit] = MODE_INDEX[mode]
        self.current_limit_a[unit] = current_a
        self._aim(unit, voltage_v, droop_ratio)

    def set_voltage(self, unit: int, voltage_v: float, droop_ratio: float | None) -> None:
        """Command a converter's line voltage; only a reference's matters."""
        self._aim(unit, voltage_v, droop_ratio)

    def set_current(self, unit: int, current_a: float) -> None:
        """Command a converter's current limit."""
        self.current_limit_a[unit] = current_a
        self._share_currents()

    def set_state_of_charge(self, unit: int, percent: float) -> None:
        """Put a battery at a charge [%]."""
        self.energy_wh[unit] = self.capacity_wh[unit] * percent / 100
        self._houses_now()

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
        raise_v = target_v - self.line_voltage_v
        if raise_v <= 0 or raise_v < target_v * IMMEDIATE_RAISE_RATIO:
            self.line_voltage_v, self._ramp = target_v, None
            return
        length_s = self._ramp_s * raise_v / target_v
        self._ramp = _Ramp(self.elapsed_s, self.line_voltage_v, target_v, self.elapsed_s + length_s)

    def _follow_ramp(self) -> None:
        if self._ramp is None:
            return
        if self.elapsed_s >= self._ramp.end_s - 1e-9:
            self.line_voltage_v, self._ramp = self._ramp.target_v, None
        else:
            self.line_voltage_v = self._ramp.voltage_v(self.elapsed_s)

    def _share_currents(self) -> None:
        references = self.mode == REFERENCE
        sign = np.where(self.mode == CHARGE, 1.0, np.where(self.mode == DISCHARGE, -1.0, 0.0))
        if not references.any():
            self.grid_current_a = np.zeros_like(self.grid_current_a)
            return
        self.grid_current_a = sign * self.current_limit_a
        self.grid_current_a[references] = -self.grid_current_a.sum() / references.sum() + 0.0

    def _step(self, seconds: float) -> None:
        self._houses_now()
        hours = seconds / 3600
        # A ramp changes the voltage within the step: its mean counts.
        voltage_v = self.line_voltage_v
        if self._ramp is not None:
            voltage_v = (voltage_v + self._ramp.voltage_v(self.elapsed_s + seconds)) / 2
        grid_w = self.grid_current_a * voltage_v
        self.grid_integral_wh += grid_w * hours
        self.battery_integral_wh += (grid_w - _LOSS_W[self.mode]) * hours
        energy_wh = self.energy_wh + self.flow_w * hours
        self.wasted_wh += np.maximum(energy_wh - self.capacity_wh, 0.0)
        self.energy_wh = np.clip(energy_wh, 0.0, self.capacity_wh)

    def _houses_now(self) -> None:
        """PV, load, UPS state and battery flow at this moment (hardware reference 1.6, steps 1 to 5)."""
        moment_s = self._year_s + self.elapsed_s
        solar_w = self._profiles.solar.at(moment_s, self._solar_rows, self._shift_s) * self._solar_scale
        load_w = self._profiles.load.at(moment_s, self._load_rows, self._shift_s) * self._load_scale
        charge_pct = self.state_of_charge_pct
        self.bypass = (self.bypass | (charge_pct <= BYPASS_ON_PCT)) & (charge_pct < BYPASS_OFF_PCT)
        self.ac_charging = (self.ac_charging | (charge_pct <= AC_ON_PCT)) & (charge_pct < AC_OFF_PCT)
        grid_w, battery_w = self.grid_power_w, self.battery_power_w
        dc_loss_w = SYSTEM_LOSS_W + (grid_w - battery_w)
        ac_loss_w = TRANSFORMER_LOSS_W + np.where(
            self.bypass, UPS_BYPASS_LOSS_W + (UPS_BYPASS_LOSS_RATIO + TRANSFORMER_LOSS_RATIO) * load_w, 0.0
        )
        dc_loss_w = dc_loss_w + np.where(self.bypass, 0.0, UPS_BATTERY_LOSS_W + UPS_BATTERY_LOSS_RATIO * load_w)
        mains_w = np.where(self.bypass, load_w + ac_loss_w, ac_loss_w)
        ac_loss_w = ac_loss_w + np.where(self.ac_charging, AC_CHARGE_LOSS_W, 0.0)
        mains_w = mains_w + np.where(self.ac_charging, AC_CHARGE_W + AC_CHARGE_LOSS_W, 0.0)
        need_w = load_w - grid_w + dc_loss_w
        full = (charge_pct >= 100) & (need_w < solar_w)
        self.solar_w = np.where(full, need_w, solar_w)
        self.flow_w = np.where(full, 0.0, grid_w + solar_w + mains_w - load_w - ac_loss_w - dc_loss_w)
        self.load_w, self.mains_w = load_w, mains_w
