"""Why a converter does less than it was told, and what makes it go to wait by itself."""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from .houses import House
from .line import Array


class Alarm(IntFlag):
    """Why a converter does less than it was told, or nothing. From HEAVY on it has gone to wait until it is told to wait."""

    NONE = 0
    CURRENT_LIMIT = 1
    BATTERY_EMPTY = 2
    BATTERY_FULL = 4
    PERMISSION = 8
    LINE_OVER_VOLTAGE = 16
    LINE_UNDER_VOLTAGE = 32
    BATTERY_CURRENT = 64
    BATTERY_OVER_VOLTAGE = 128
    BATTERY_UNDER_VOLTAGE = 256
    INJECTED = 512


HEAVY = int(
    Alarm.LINE_OVER_VOLTAGE
    | Alarm.LINE_UNDER_VOLTAGE
    | Alarm.BATTERY_CURRENT
    | Alarm.BATTERY_OVER_VOLTAGE
    | Alarm.BATTERY_UNDER_VOLTAGE
    | Alarm.INJECTED
)


def thresholds(house: House) -> tuple[float, ...]:
    """At what a house's converter protects itself: line over and under [V], battery current [A], battery over and under [V]."""
    p = house.protection
    if not p.active:
        return (np.inf, 0.0, np.inf, np.inf, 0.0)
    return (p.line_over_voltage_v, p.line_under_voltage_v, p.battery_current_a, p.battery_over_voltage_v, p.battery_under_voltage_v)


def passed(thresholds: Array, line_v: Array, battery_a: Array, battery_v: Array, *, rising: bool) -> NDArray[np.intp]:
    """Which of their thresholds converters have passed, shape (N,): an Alarm each, 0 for none.

    Args:
        thresholds: one house in a row, as above, shape (N, 5).
        line_v: the line's voltage at each converter [V], shape (N,).
        battery_a: the battery's current, a magnitude [A], shape (N,).
        battery_v: the battery's voltage [V], shape (N,).
        rising: the line is on its way up, where a low voltage means nothing.

    """
    over_v, under_v, most_a, battery_over_v, battery_under_v = thresholds.T
    found: NDArray[np.intp] = (
        np.where(line_v > over_v, int(Alarm.LINE_OVER_VOLTAGE), 0)
        | np.where((line_v < under_v) & (not rising), int(Alarm.LINE_UNDER_VOLTAGE), 0)
        | np.where(battery_a > most_a, int(Alarm.BATTERY_CURRENT), 0)
        | np.where(battery_v > battery_over_v, int(Alarm.BATTERY_OVER_VOLTAGE), 0)
        | np.where(battery_v < battery_under_v, int(Alarm.BATTERY_UNDER_VOLTAGE), 0)
    )
    return found
