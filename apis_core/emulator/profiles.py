"""What houses use and what the sun gives: real houses bundled with the package, or files in the original's formats."""

import csv
from dataclasses import dataclass
from importlib import resources
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..model.errors import ConfigError, Problem

YEAR_HOURS = 8760
WEEK_H = 7 * 24


@dataclass(frozen=True, slots=True)
class Series:
    """Power over one year for several houses: `values_w` has a row per house and a column per `interval_s`; it wraps."""

    values_w: NDArray[np.float64]
    interval_s: float


class Sampler:
    """A series as some houses see it: which row each has, by how many intervals it is shifted, and how much of it there is."""

    def __init__(self, series: Series, rows: NDArray[np.intp], shift_s: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        """`rows`, `scale`: shape (N,); `shift_s`: whole intervals, shape (N,) [s]."""
        self._series, self._rows, self._scale = series, rows, scale
        self._shift = np.rint(shift_s / series.interval_s).astype(np.intp)
        self._first = -1
        self._from_w = self._rise_w = np.zeros(len(rows))

    def at(self, seconds: float) -> NDArray[np.float64]:
        """Linear interpolation at a time since the start of the year [W], shape (N,)."""
        position = seconds / self._series.interval_s
        first = math.floor(position)
        if first != self._first:
            values, count = self._series.values_w, self._series.values_w.shape[1]
            begin = (first + self._shift) % count
            self._first, self._from_w = first, values[self._rows, begin] * self._scale
            self._rise_w = values[self._rows, (begin + 1) % count] * self._scale - self._from_w
        found: NDArray[np.float64] = self._from_w + (position - first) * self._rise_w
        return found

    @property
    def slope_w(self) -> NDArray[np.float64]:
        """How fast the series rises at the time last asked for [W/s], shape (N,)."""
        slope: NDArray[np.float64] = self._rise_w / self._series.interval_s
        return slope

    def ahead_s(self, seconds: float) -> float:
        """How long the series goes on as it does at a time [s]."""
        interval_s = self._series.interval_s
        return (math.floor(seconds / interval_s + 1e-9) + 1) * interval_s - seconds


@dataclass(frozen=True, slots=True)
class Profiles:
    """Load of the houses [W], and PV either of a house [W] or per installed kilowatt [W/kW]."""

    load: Series
    solar: Series
    solar_per_kw: bool

    @property
    def house_count(self) -> int:
        """How many different houses there are; more units repeat them a week later."""
        return int(self.load.values_w.shape[0])


def bundled() -> Profiles:
    """One year of 17 real houses (source and licence in NOTICE), hour by hour from 1 January."""
    with resources.files(__package__).joinpath("data/houses.npz").open("rb") as file, np.load(file) as data:
        load = data["load_w"].astype(np.float64)
        solar = data["solar_w_per_kw"].astype(np.float64)
    return Profiles(Series(load, 3600.0), Series(solar, 3600.0), solar_per_kw=True)


def with_files(profiles: Profiles, load: Path | None, solar: Path | None) -> Profiles:
    """The same with files in the original's formats instead, where given.

    Raises:
        ConfigError: naming file, line and column of a bad cell.

    """
    load_series = profiles.load if load is None else read_load(load)
    if solar is None:
        return Profiles(load_series, profiles.solar, profiles.solar_per_kw)
    return Profiles(load_series, read_solar(solar), solar_per_kw=False)


def read_solar(path: Path) -> Series:
    """The original's solar file: 365 lines of 24 numbers, the watts of one house by day and hour."""
    rows = []
    for line, row in enumerate(_rows(path), 1):
        # Half-hours would be taken for hours, and the afternoon be lost. A comma at the end is no column.
        if any(cell.strip() for cell in row[24:]):
            raise ConfigError((Problem(f"{path}: line {line}", f"{len(row)} columns", "24 columns, one an hour"),))
        rows.append(_numbers(path, line, row, range(24)))
    if len(rows) != YEAR_HOURS // 24:
        raise ConfigError((Problem(str(path), f"{len(rows)} lines", "365 lines, one a day"),))
    return Series(np.array(rows, dtype=np.float64).reshape(1, -1), 3600.0)


def read_load(path: Path) -> Series:
    """The original's load file: a header, then a line per household and day; column 1 (from 0) is the household,
    columns 6 to 53 are the day's 48 half-hours in kW.
    """
    houses: dict[str, list[list[float]]] = {}
    for line, row in enumerate(_rows(path), 1):
        if line == 1:
            continue
        if len(row) < 54:
            raise ConfigError((Problem(f"{path}: line {line}", f"{len(row)} columns", "54 columns"),))
        houses.setdefault(row[1], []).append(_numbers(path, line, row, range(6, 54)))
    if not houses:
        raise ConfigError((Problem(str(path), "no household", "a header and one line per household and day"),))
    days = {house: len(rows) for house, rows in houses.items()}
    wanted = max(days.values())
    short = [Problem(f"{path}: household {house}", f"{count} days", f"{wanted} days") for house, count in days.items() if count != wanted]
    if short:
        raise ConfigError(tuple(short))
    return Series(np.array([np.concatenate(rows) for rows in houses.values()], dtype=np.float64) * 1000, 1800.0)


def _rows(path: Path) -> list[list[str]]:
    try:
        # Spreadsheets begin with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError((Problem(str(path), str(error), "a readable CSV file"),)) from None


def _numbers(path: Path, line: int, row: list[str], columns: range) -> list[float]:
    values = []
    for column in columns:
        cell = row[column] if column < len(row) else ""
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if not 0 <= value < float("inf"):
            raise ConfigError((Problem(f"{path}: line {line}, column {column}", repr(cell), "a number >= 0"),))
        values.append(value)
    return values
