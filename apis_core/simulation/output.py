"""A run's files: `summary.json`, tables of units, hours and deals, and the report."""

from collections.abc import Iterator, Mapping, Sequence
import csv
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ..rules.lifecycle import outcome
from . import indicators
from .tables import Result

type Columns = Mapping[str, Sequence[Any]]
TABLES = ("houses", "hours", "deals", "errors")
FILES = ("summary.json", "report.html", *(f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")))


def summary(result: Result, without: Result | None) -> dict[str, Any]:
    """What `summary.json` holds; `without` is the same time without sharing."""
    options = result.options
    days = (result.hours[-1].elapsed_s - result.hours[0].elapsed_s) / 86_400
    found: dict[str, Any] = {
        "units": options.units,
        "days": round(days, 4),
        "days_wanted": options.days,
        "seed": options.seed,
        "start": options.start.isoformat(),
        "sharing": options.sharing,
        "options": {
            "every_tick": options.every_tick,
            "battery_wh": [house.battery_wh for house in options.houses()],
            "charges_pct": [house.state_of_charge_pct for house in options.houses()],
            "solars_kw": [house.solar_kw for house in options.houses()],
            "load_scale": options.load_scale,
            "load": _text_of(options.load),
            "solar": _text_of(options.solar),
            "policy": options.chosen_policy().to_json(),
            "scenarios": {member.unit_id: member.scenario.to_json() for member in options.chosen_members()},
        },
        "community": indicators.community(result),
        "houses": [unit.to_json() for unit in indicators.units(result)],
        "definitions": indicators.DEFINITIONS,
        "digest": result.digest,
    }
    if without is not None:
        found["without_sharing"] = {"community": indicators.community(without), "digest": without.digest}
    return found


def hours(result: Result) -> Columns:
    """One row per unit and hour: what flowed in it [Wh], and the charge at its end [Wh]."""
    ids = result.options.unit_ids
    times: list[str] = []
    flows: dict[str, list[Any]] = {name: [] for name in result.hours[0].totals_wh}
    energy: list[Any] = []
    for before, after in zip(result.hours, result.hours[1:], strict=False):
        times += [result.local(after).isoformat()] * len(ids)
        energy.append(after.energy_wh)
        for name, values in flows.items():
            values.append(after.totals_wh[name] - before.totals_wh[name])
    count = len(energy)
    flat = {f"{name}_wh": np.round(np.concatenate(values), 4).tolist() if count else [] for name, values in flows.items()}
    charge = np.round(np.concatenate(energy), 3).tolist() if count else []
    return {"time": times, "unit_id": list(ids) * count, "energy_wh": charge, **flat}


def houses(result: Result) -> Columns:
    """One row per unit."""
    rows = [unit.to_json() for unit in indicators.units(result)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def deals(result: Result) -> Columns:
    """One row per deal."""
    found, zone = result.deals, result.options.zone
    return {
        "deal_id": [deal.deal_id for deal in found],
        "giver": [deal.discharge_unit_id for deal in found],
        "taker": [deal.charge_unit_id for deal in found],
        "outcome": [str(outcome(deal)) for deal in found],
        "create_time": [_time(deal.create_time, zone) for deal in found],
        "start_time": [_time(deal.start_time, zone) for deal in found],
        "deactivate_time": [_time(deal.deactivate_time, zone) for deal in found],
        "amount_wh": [deal.amount_wh for deal in found],
        "exchanged_wh": [round(deal.cumulate_amount_wh, 4) for deal in found],
        "given_wh": [round(deal.side_energy(deal.discharge_unit_id).battery_wh, 4) for deal in found],
        "taken_wh": [round(deal.side_energy(deal.charge_unit_id).battery_wh, 4) for deal in found],
        "grid_current_a": [deal.grid_current_a for deal in found],
        "points": [round(deal.points(), 3) for deal in found],
        "abort_reason": [deal.abort_reason or "" for deal in found],
    }


def errors(result: Result) -> Columns:
    """One row per error that a unit reported."""
    found, zone = result.errors, result.options.zone
    return {
        "time": [_time(time, zone) for time, _ in found],
        "unit_id": [report.unit_id for _, report in found],
        "category": [str(report.category) for _, report in found],
        "extent": [str(report.extent) for _, report in found],
        "level": [str(report.level) for _, report in found],
        "message": [report.message for _, report in found],
    }


def _time(time: datetime | None, zone: tzinfo) -> str:
    return "" if time is None else time.astimezone(zone).isoformat()


def _text_of(path: Path | None) -> str | None:
    return None if path is None else str(path)


def write(folder: Path, result: Result, without: Result | None) -> Iterator[Path]:
    """Write everything; the files, as they are there. Tables are Parquet where pyarrow is installed, else CSV.

    Raises:
        OSError: if the folder cannot be written to.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        # Of another run, they would not belong to this one.
        (folder / name).unlink(missing_ok=True)
    path = folder / "summary.json"
    path.write_bytes(orjson.dumps(summary(result, without), option=orjson.OPT_INDENT_2))
    yield path
    for name, columns in (("houses", houses(result)), ("hours", hours(result)), ("deals", deals(result)), ("errors", errors(result))):
        yield _table(folder, name, columns)
    try:
        from .report import html
    except ImportError:
        return
    path = folder / "report.html"
    path.write_text(html(result, without), encoding="utf-8")
    yield path


def _table(folder: Path, name: str, columns: Columns) -> Path:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return path
    path = folder / f"{name}.parquet"
    parquet.write_table(pa.table(dict(columns)), path)
    return path
