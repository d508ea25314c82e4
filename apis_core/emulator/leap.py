"""The same physics in long strides: while no converter is commanded and nothing switches, many steps are one.

Sun and load change linearly within an interval of their series, so the energy after k steps is a quadratic in k. A stride
ends with the first step after which a battery is full or empty or a UPS switches.
"""

from datetime import datetime
import math

import numpy as np

from .engine import EDGE_WH, STEP_S, Engine, Site
from .houses import House
from .line import Array, Mask
from .losses import ac_loss, dc_loss, mains
from .profiles import Profiles

_STEP_H = STEP_S / 3600
# What is integrated; everything else follows from it.
_LOAD, _SUN, _SOLAR, _CONVERTER_LOSS, _GRID_IN, _GRID_OUT, _BYPASS, _LOAD_IN_BYPASS, _AC_CHARGING = _ROWS = range(9)


class LeapingEngine(Engine):
    """See Engine. Observers are not called."""

    def __init__(self, houses: tuple[House, ...], profiles: Profiles, start: datetime, site: Site | None = None) -> None:
        """As the engine."""
        super().__init__(houses, profiles, start, site)
        self._begun_s, self._begun_wasted_wh = self.elapsed_s, self.wasted_wh.copy()
        self._sums, self._rates = np.zeros((len(_ROWS), len(houses))), np.zeros((len(_ROWS), len(houses)))

    @property
    def totals_wh(self) -> dict[str, Array]:
        """What has flowed since the start [Wh], by name, shape (N,) each."""
        sums, loss = self._sums.copy(), self._loss
        hours = (self.elapsed_s - self._begun_s) / 3600
        # What came within a step in which a battery became full found no room in it.
        solar_wh = sums[_SOLAR] - (self.wasted_wh - self._begun_wasted_wh)
        lost = ac_loss(loss, hours, sums[_BYPASS], sums[_LOAD_IN_BYPASS], sums[_AC_CHARGING])
        return {
            "load": sums[_LOAD],
            "solar": solar_wh,
            "curtailed": sums[_SUN] - solar_wh,
            "mains": mains(loss, lost, sums[_LOAD_IN_BYPASS], sums[_AC_CHARGING]),
            "ac_loss": lost,
            "dc_loss": dc_loss(loss, hours, sums[_BYPASS], sums[_LOAD], sums[_LOAD_IN_BYPASS], sums[_CONVERTER_LOSS]),
            "converter_loss": sums[_CONVERTER_LOSS],
            "grid_in": sums[_GRID_IN],
            "grid_out": sums[_GRID_OUT],
        }

    def advance_to(self, elapsed_s: float) -> None:
        """See Engine."""
        while elapsed_s - self.elapsed_s >= STEP_S:
            if not self._leap(elapsed_s):
                super().advance_to(min(elapsed_s, self._grid_after(self.elapsed_s)))
        super().advance_to(elapsed_s)

    def without_exchange_wh(self) -> Array:
        """What batteries would hold if nothing had ever come or gone over the line [Wh]: it changes with sun and load alone."""
        energy: Array = self.energy_wh - self.battery_integral_wh
        return energy

    def first_outside_s(self, low_wh: Array, high_wh: Array) -> float:
        """Until when energies stay between two bounds if nobody commands anything, no later than what is known [elapsed s].

        The moment after the first crossing, or the end of the present interval of sun and load. Bounds of shape (2, N): for
        what is in the batteries, and for `without_exchange_wh`.
        """
        begin_s = self._grid_after(self.elapsed_s)
        steps = self._steps_known(begin_s)
        hours = (begin_s - self.elapsed_s) / 3600
        inside_wh = np.clip(self.energy_wh + self.flow_w * hours, 0.0, self.capacity_wh)
        own_flow_w = self.flow_w - self.battery_power_w
        energy_wh = np.concatenate([inside_wh, self.without_exchange_wh() + own_flow_w * hours])
        low_wh, high_wh = low_wh.ravel(), high_wh.ravel()
        outside = (energy_wh <= low_wh) | (energy_wh >= high_wh)
        if outside.any():
            return begin_s
        if steps > 1:
            flow_w, slope_w = np.concatenate([self.flow_w, own_flow_w]), np.tile(self._slope_w(), 2)
            steps = _steps_to_edge(energy_wh, flow_w, slope_w, low_wh, high_wh, steps)
        return begin_s + max(1, steps) * STEP_S

    @staticmethod
    def _grid_after(elapsed_s: float) -> float:
        return float(np.floor(elapsed_s / STEP_S + 1e-9) + 1) * STEP_S

    def _steps_known(self, from_s: float) -> int:
        """So many steps from a moment lie in one interval of both series."""
        moment_s = self._year_s + from_s
        ahead_s = min(series.ahead_s(moment_s) for series in (self._sun, self._load))
        return int(ahead_s / STEP_S + 1e-6)

    def _slope_w(self) -> Array:
        """How much more flows into each battery from step to step [W]; what a full battery does not take is not counted."""
        from_battery = np.where(self.bypass, 0.0, self._load_share * self._load.slope_w)
        slope: Array = (self._sun.slope_w - from_battery) * STEP_S
        return slope

    def _leap(self, elapsed_s: float) -> bool:
        if self._ramp is not None or self._dip[1] > 0 or abs(self.elapsed_s / STEP_S - round(self.elapsed_s / STEP_S)) > 1e-7:
            return False
        steps = min(int((elapsed_s - self.elapsed_s) / STEP_S + 1e-9), self._steps_known(self.elapsed_s))
        if steps < 1:
            return False
        slope_w = self._slope_w()
        pinned = self.energy_wh >= self.capacity_wh
        edge = bool((self.energy_wh <= 0).any())
        if pinned.any():
            surplus_w = self._sun_w - self.solar_w
            full, pinned = pinned, pinned & (surplus_w > 0)
            edge |= bool((full & ~pinned).any())
            falling = pinned & (slope_w < 0)
            if falling.any():
                steps = min(steps, math.ceil((surplus_w[falling] / -slope_w[falling]).min()))
        if edge:
            # Full or empty until now: what its converter may carry changes with the first step.
            steps = 1
        free_slope_w = np.where(pinned, 0.0, slope_w)
        if steps > 1:
            low_wh, high_wh = self._bounds_wh()
            steps = _steps_to_edge(self.energy_wh, self.flow_w, free_slope_w, low_wh, np.where(pinned, np.inf, high_wh), steps)
        self._take(max(1, steps), slope_w, free_slope_w, pinned)
        return True

    def _bounds_wh(self) -> tuple[Array, Array]:
        """Between which energies nothing switches, both excluded."""
        bypass_on_wh, bypass_off_wh, ac_on_wh, ac_off_wh = self._triggers_wh
        full_wh = self.capacity_wh - EDGE_WH
        low = np.maximum(np.where(self.bypass, EDGE_WH, bypass_on_wh), np.where(self.ac_charging, EDGE_WH, ac_on_wh))
        high = np.minimum(np.where(self.bypass, bypass_off_wh, full_wh), np.where(self.ac_charging, ac_off_wh, full_wh))
        return low, high

    def _take(self, steps: int, slope_w: Array, free_slope_w: Array, pinned: Mask) -> None:
        hours, half = steps * _STEP_H, (steps - 1) / 2
        self.grid_integral_wh += self._grid_w * hours
        self.battery_integral_wh += self.battery_power_w * hours
        self._hold_in(self.energy_wh + (self.flow_w + free_slope_w * half) * hours)
        # The mean of a stride, at which everything linear is what it sums up to.
        load_rise_w, sun_rise_w = self._load.slope_w * (STEP_S * half), self._sun.slope_w * (STEP_S * half)
        self.load_w = self.load_w + load_rise_w
        self._sun_w = self._sun_w + sun_rise_w
        self.solar_w = np.where(pinned, self.solar_w + sun_rise_w - slope_w * half, self._sun_w)
        self._count(hours)
        self.elapsed_s += steps * STEP_S
        self._look_outside()
        self._follow_line()
        self._flows_now()

    def _step(self, seconds: float) -> None:
        self._count(seconds / 3600)
        super()._step(seconds)

    def _count(self, hours: float) -> None:
        rates, grid_w = self._rates, self._grid_w
        rates[_LOAD], rates[_SUN], rates[_SOLAR] = self.load_w, self._sun_w, self.solar_w
        rates[_CONVERTER_LOSS], rates[_BYPASS], rates[_AC_CHARGING] = self._converter_loss_w, self.bypass, self.ac_charging
        np.maximum(grid_w, 0.0, out=rates[_GRID_IN])
        np.subtract(rates[_GRID_IN], grid_w, out=rates[_GRID_OUT])
        np.multiply(self.load_w, self.bypass, out=rates[_LOAD_IN_BYPASS])
        self._sums += rates * hours


def _steps_to_edge(energy_wh: Array, flow_w: Array, slope_w: Array, low_wh: Array, high_wh: Array, steps: int) -> int:
    """With which step the first energy reaches a bound; `steps` if none does before."""
    turning = np.divide(-flow_w, slope_w, out=np.zeros_like(flow_w), where=slope_w != 0) + 0.5
    turning = np.minimum(np.maximum(turning, 0.0), steps)
    last_wh = energy_wh + (flow_w + slope_w * ((steps - 1) / 2)) * (steps * _STEP_H)
    utmost_wh = energy_wh + (flow_w + slope_w * ((turning - 1) / 2)) * (turning * _STEP_H)
    kept = (np.minimum(last_wh, utmost_wh) > low_wh) & (np.maximum(last_wh, utmost_wh) < high_wh)
    if kept.all():
        return steps
    doubtful = ~kept
    count_by_step = np.arange(1.0, steps + 1)[:, None]
    course_wh = energy_wh[doubtful] + (flow_w[doubtful] + slope_w[doubtful] * ((count_by_step - 1) / 2)) * (count_by_step * _STEP_H)
    inside = ((course_wh > low_wh[doubtful]) & (course_wh < high_wh[doubtful])).all(axis=1)
    return steps if inside.all() else int(np.argmin(inside)) + 1
