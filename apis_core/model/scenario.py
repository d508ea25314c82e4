"""A unit's scenario (the original's `scenario.json`): what it wants, by time of day and charge of its battery."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time
import itertools
import re
from typing import Any

import probatio

from .deal import Direction
from .errors import ConfigError, Problem
from .keys import Notice, number, one_of, shown, text, validated, whole

DAY_S = 24 * 3600
STRATEGIES = ("amount", "pointAndAmount")


@dataclass(frozen=True, slots=True)
class Condition:
    """Up to which energy in the battery [Wh] the unit would charge or discharge, at what price, and with whom only."""

    limit_wh: int
    point_per_wh: float | None = None
    pair_unit_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatteryBand:
    """A range of energy in the battery, lower <= Wh < upper, with the name of its status. None is unbounded."""

    lower_wh: float | None
    upper_wh: float | None
    status: str

    def contains(self, remaining_wh: float) -> bool:
        """Whether the battery is in this band."""
        return (self.lower_wh is None or self.lower_wh <= remaining_wh) and (self.upper_wh is None or remaining_wh < self.upper_wh)


@dataclass(frozen=True, slots=True)
class TimeBand:
    """What holds from `start_s` (included) to `end_s` (excluded), seconds of the local day; past midnight if end < start."""

    start_s: int
    end_s: int
    battery_bands: tuple[BatteryBand, ...]
    requests: dict[str, dict[Direction, Condition]]
    accepts: dict[str, dict[Direction, Condition]]
    accept_selection: str = "amount"

    def contains(self, of_day_s: float) -> bool:
        """Whether a moment of the local day lies in the band."""
        if self.start_s < self.end_s:
            return self.start_s <= of_day_s < self.end_s
        return of_day_s >= self.start_s or of_day_s < self.end_s

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The band as one or two pieces of one day."""
        if self.start_s < self.end_s:
            return ((self.start_s, self.end_s),)
        return tuple(span for span in ((self.start_s, DAY_S), (0, self.end_s)) if span[0] < span[1])

    @property
    def key(self) -> str:
        """The band as files write it."""
        return f"{clock_text(self.start_s)}-{clock_text(self.end_s)}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Time bands that do not overlap. Where none holds, the unit neither asks nor accepts."""

    bands: tuple[TimeBand, ...]
    refreshing_period_s: float = 5.0
    accept_selection: str = "amount"

    def band_at(self, moment: time) -> TimeBand | None:
        """The band that holds at a local time of day."""
        of_day_s = moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6
        return next((band for band in self.bands if band.contains(of_day_s)), None)

    @classmethod
    def from_json(
        cls, data: dict[str, Any], where: str = "scenario", battery_nominal_capacity_wh: float | None = None
    ) -> tuple[Scenario, tuple[Notice, ...]]:
        """Read and check a file's content, against the battery's capacity [Wh] where it is known.

        Raises:
            ConfigError: with every problem.

        """
        checked = validated(probatio.Schema(_FILE), data, where)
        strategy = checked.get("acceptSelection", {}).get("strategy", "amount")
        problems: list[Problem] = []
        bands = []
        for key, content in checked.items():
            if "-" not in key:
                continue
            band, found = _read_band(key, content, strategy, f"{where}: {key}")
            bands.append(band)
            problems += found + _limit_problems(band, f"{where}: {key}", battery_nominal_capacity_wh)
        bands.sort(key=lambda band: band.start_s)
        overlaps, gaps = _coverage(bands, where)
        problems += overlaps
        if not bands:
            problems.append(Problem(where, "no time band", "at least one HH:MM:SS-HH:MM:SS"))
        if problems:
            raise ConfigError(tuple(problems))
        return cls(tuple(bands), checked.get("refreshingPeriodMsec", 5000) / 1000, strategy), gaps

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """The parts of the day [s of day] in which no band holds."""
        return _gaps(self.bands)

    def without_gaps(self) -> Scenario:
        """Each band before a gap holds until the next one begins."""
        if len(self.bands) == 1:
            return replace(self, bands=(replace(self.bands[0], start_s=0, end_s=DAY_S),))
        following = (*self.bands[1:], self.bands[0])
        return replace(
            self, bands=tuple(replace(band, end_s=after.start_s or DAY_S) for band, after in zip(self.bands, following, strict=True))
        )

    def to_json(self) -> dict[str, Any]:
        """The file's form."""

        def conditions(by_status: dict[str, dict[Direction, Condition]]) -> dict[str, Any]:
            return {status: {str(direction): _condition_json(c) for direction, c in wanted.items()} for status, wanted in by_status.items()}

        data: dict[str, Any] = {
            "refreshingPeriodMsec": round(self.refreshing_period_s * 1000),
            "acceptSelection": {"strategy": self.accept_selection},
        }
        for band in self.bands:
            data[band.key] = {
                "acceptSelection": {"strategy": band.accept_selection},
                "batteryStatus": {_range_key(b): b.status for b in band.battery_bands},
                "request": conditions(band.requests),
                "accept": conditions(band.accepts),
            }
        return data


def clock_text(of_day_s: int) -> str:
    """A time of the day as files write it."""
    return f"{of_day_s // 3600:02}:{of_day_s // 60 % 60:02}:{of_day_s % 60:02}"


def _range_key(band: BatteryBand) -> str:
    return "-".join("" if end is None else f"{end:g}" for end in (band.lower_wh, band.upper_wh))


def _condition_json(condition: Condition) -> dict[str, Any]:
    values = {"limitWh": condition.limit_wh, "pointPerWh": condition.point_per_wh, "pairUnitId": condition.pair_unit_id}
    return {key: value for key, value in values.items() if value is not None}


_TIME_BAND = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})-(\d{1,2}):(\d{2}):(\d{2})")
_WH_BAND = re.compile(r"(\d+(?:\.\d+)?)?-(\d+(?:\.\d+)?)?")


def _time_key(value: Any) -> str:
    match = _TIME_BAND.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise probatio.Invalid("refreshingPeriodMsec, acceptSelection or a time band HH:MM:SS-HH:MM:SS")
    hours, minutes, seconds = (tuple(map(int, match.groups()[i::3])) for i in range(3))
    ends = [h * 3600 + m * 60 + s for h, m, s in zip(hours, minutes, seconds, strict=True)]
    if max(minutes) > 59 or max(seconds) > 59 or max(ends) > DAY_S or ends[0] == ends[1] or ends[0] == DAY_S:
        raise probatio.Invalid("a time band within 00:00:00 to 24:00:00 that is not empty")
    return str(value)


def _range_text(value: Any) -> str:
    match = _WH_BAND.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[1] and match[2] and float(match[1]) >= float(match[2])):
        raise probatio.Invalid("a range LOWER-UPPER in Wh with lower < upper, either end may be empty")
    return str(value)


_CONDITION = {
    probatio.Required("limitWh"): whole(at_least=0),
    probatio.Optional("pointPerWh"): number(at_least=0),
    probatio.Optional("pairUnitId"): text,
}
_WANTS = {text: {probatio.Optional(str(direction)): _CONDITION for direction in Direction}}
_SELECTION = {probatio.Optional("strategy"): one_of(*STRATEGIES)}
_BAND = {
    probatio.Optional("acceptSelection"): _SELECTION,
    probatio.Required("batteryStatus"): {_range_text: text},
    probatio.Optional("request"): _WANTS,
    probatio.Optional("accept"): _WANTS,
}
_FILE = {
    probatio.Optional("refreshingPeriodMsec"): number(above=0),
    probatio.Optional("acceptSelection"): _SELECTION,
    _time_key: _BAND,
}


def _read_band(key: str, content: dict[str, Any], strategy: str, where: str) -> tuple[TimeBand, list[Problem]]:
    numbers = [int(part) for part in re.split("[:-]", key)]
    start_s, end_s = (h * 3600 + m * 60 + s for h, m, s in (numbers[:3], numbers[3:]))
    batteries = []
    for limits, status in content["batteryStatus"].items():
        lower, upper = limits.split("-")
        batteries.append(BatteryBand(float(lower) if lower else None, float(upper) if upper else None, status))
    batteries.sort(key=lambda band: -1.0 if band.lower_wh is None else band.lower_wh)
    problems = _battery_problems(batteries, f"{where}.batteryStatus")
    statuses = {band.status for band in batteries}
    wants: dict[str, dict[str, dict[Direction, Condition]]] = {}
    for kind in ("request", "accept"):
        wants[kind] = {
            status: {
                Direction(direction): Condition(c["limitWh"], c.get("pointPerWh"), c.get("pairUnitId"))
                for direction, c in directions.items()
            }
            for status, directions in content.get(kind, {}).items()
        }
        problems += [
            Problem(f"{where}.{kind}.{status}", "a status that no battery range has", "one of " + ", ".join(sorted(statuses)))
            for status in wants[kind]
            if status not in statuses
        ]
    selection = content.get("acceptSelection", {}).get("strategy", strategy)
    return TimeBand(start_s, end_s, tuple(batteries), wants["request"], wants["accept"], selection), problems


def _battery_problems(bands: list[BatteryBand], where: str) -> list[Problem]:
    problems = []
    for lower, upper in itertools.pairwise(bands):
        if lower.upper_wh is None or upper.lower_wh is None or lower.upper_wh > upper.lower_wh:
            problems.append(Problem(where, f"{_range_key(lower)!r} and {_range_key(upper)!r} overlap", "ranges that do not overlap"))
        elif lower.upper_wh < upper.lower_wh:
            found = f"a gap from {lower.upper_wh:g} to {upper.lower_wh:g} Wh"
            problems.append(Problem(where, found, "ranges without a gap"))
    if not bands:
        problems.append(Problem(where, "no range", "at least one"))
    elif bands[0].lower_wh or bands[-1].upper_wh is not None:
        found = f"{_range_key(bands[0])!r} to {_range_key(bands[-1])!r}"
        problems.append(Problem(where, found, "ranges from 0 (or open) to open, such as '-2880' and '2880-'"))
    return problems


def _limit_problems(band: TimeBand, where: str, capacity_wh: float | None) -> list[Problem]:
    if capacity_wh is None:
        return []
    return [
        Problem(f"{where}.{kind}.{status}.{direction}.limitWh", shown(condition.limit_wh), f"at most the battery's {capacity_wh:g} Wh")
        for kind, wants in (("request", band.requests), ("accept", band.accepts))
        for status, directions in wants.items()
        for direction, condition in directions.items()
        if condition.limit_wh > capacity_wh
    ]


def _coverage(bands: list[TimeBand], where: str) -> tuple[list[Problem], tuple[Notice, ...]]:
    spans = sorted((start, end, band.key) for band in bands for start, end in band.spans)
    overlaps = [
        Problem(where, f"{first[2]} and {second[2]} overlap", "time bands that do not overlap")
        for first, second in itertools.pairwise(spans)
        if second[0] < first[1]
    ]
    gaps = _gaps(bands) if bands else ()
    return overlaps, tuple(
        Notice(where, f"no time band from {clock_text(start)} to {clock_text(end)}: no sharing then") for start, end in gaps
    )


def _gaps(bands: Sequence[TimeBand]) -> tuple[tuple[int, int], ...]:
    gaps, reached = [], 0
    for start, end in [*sorted(span for band in bands for span in band.spans), (DAY_S, DAY_S)]:
        if start > reached:
            gaps.append((reached, start))
        reached = max(reached, end)
    return tuple(gaps)
