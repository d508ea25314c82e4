"""Many fleets that differ in a few parameters: cells of a grid, on all processors or on a cluster, kept one by one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import csv
from dataclasses import dataclass, fields
import hashlib
import itertools
from pathlib import Path
import time
from typing import Any

import orjson
import probatio

from ..emulator.houses import Losses, Triggers
from ..emulator.profiles import bundled
from ..model.errors import ConfigError, Problem
from ..model.files import read_file
from ..model.keys import problems_of
from ..presets import PRESETS
from .fleet import TOTALS, Fleet, simulate

CELLS, TABLE, MAP = "cells.jsonl", "table.csv", "heatmap.html"
# What can stand in a grid beside the fleet's own figures, as they are named in files.
PRESET, BYPASS, LOSS_FACTOR, ENGINE, DAYS, FIRST_DAY = "preset", "ups_trigger_pct", "loss_factor", "engine", "days", "first_day"
_OWN = {field.name for field in fields(Fleet)} - {"terms", "losses", "triggers"}
_KNOWN = _OWN | {PRESET, BYPASS, LOSS_FACTOR, ENGINE, DAYS, FIRST_DAY}
STEPS_PER_DAY = 48

type Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What every cell has, and by which parameters they differ."""

    base: Values
    grid: Mapping[str, Sequence[Any]]

    def cells(self) -> tuple[Values, ...]:
        """Every combination, the last parameter changing first."""
        names = list(self.grid)
        return tuple({**self.base, **dict(zip(names, chosen, strict=True))} for chosen in itertools.product(*self.grid.values()))


def read(path: Path) -> Sweep:
    """A sweep from a YAML or JSON file.

    Raises:
        ConfigError: naming every parameter that there is none of, and every cell that cannot be.

    """
    schema = probatio.Schema({probatio.Optional("base", default=dict): dict, probatio.Required("grid"): {str: [object]}})
    data = read_file(path)
    try:
        checked = schema(data)
    except probatio.Invalid as error:
        raise ConfigError(problems_of(error, data, str(path))) from None
    sweep = Sweep(checked["base"], checked["grid"])
    unknown = sorted((set(sweep.base) | set(sweep.grid)) - _KNOWN)
    if unknown:
        raise ConfigError(tuple(Problem(f"{path}: {name}", "no such parameter", ", ".join(sorted(_KNOWN))) for name in unknown))
    for cell in sweep.cells():
        try:
            fleet_of(cell)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError((Problem(f"{path}: {dict(cell)}", repr(error)[:120], "values that a fleet can have"),)) from error
    return sweep


def fleet_of(cell: Values) -> Fleet:
    """The fleet of a cell. Raises KeyError, TypeError or ValueError for values that cannot be."""
    own: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in cell.items() if name in _OWN}
    trigger_pct, factor = float(cell.get(BYPASS, Triggers().bypass_on_pct)), float(cell.get(LOSS_FACTOR, 1.0))
    usual = Triggers()
    moved = trigger_pct - usual.bypass_on_pct
    triggers = Triggers(
        trigger_pct, usual.bypass_off_pct + moved, max(0.0, usual.ac_on_pct + min(moved, 0.0)), max(5.0, usual.ac_off_pct + min(moved, 0.0))
    )
    kept = {"ac_charge_w"}
    losses = Losses(**{item.name: getattr(Losses(), item.name) * (1.0 if item.name in kept else factor) for item in fields(Losses)})
    fleet = Fleet(**{"communities": 1, **own}, terms=PRESETS[cell.get(PRESET, "balanced")], triggers=triggers, losses=losses)
    if fleet.communities < 1 or fleet.size < 1 or fleet.battery_wh <= 0 or fleet.deal_current_a <= 0 or fleet.slots < 1:
        raise ValueError("communities, size, battery_wh, deal_current_a and slots: expected more than 0")
    return fleet


def key_of(cell: Values) -> str:
    """The same for the same values, whatever their order."""
    return hashlib.sha256(orjson.dumps(dict(cell), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def play(cell: Values) -> dict[str, Any]:
    """One cell: its values, its figures, and what it cost."""
    begun_s = time.perf_counter()
    days = cell.get(DAYS)
    steps = None if days is None else round(float(days) * STEPS_PER_DAY)
    first = round((float(cell.get(FIRST_DAY, 1)) - 1) * STEPS_PER_DAY)
    found = simulate(fleet_of(cell), bundled(), first_step=first, steps=steps, engine=str(cell.get(ENGINE, "numpy")))
    figures = {
        "self_sufficiency": round(found.self_sufficiency, 6),
        **found.shares,
        "pv_used": round(found.pv_used, 6),
        **{f"{name}_kwh": round(found.total(name) / 1000, 3) for name in TOTALS[:7]},
    }
    return {"key": key_of(cell), "values": dict(cell), "figures": figures, "seconds": round(time.perf_counter() - begun_s, 3)}


def run(
    sweep: Sweep, out: Path, mapped: Callable[[Callable[[Values], Any], list[Values]], Iterator[Any]], tell: Callable[[int, int], None]
) -> int:
    """Play every cell that is not kept yet, and keep it as soon as it is done; how many were played.

    `mapped` gives the results of a function for many values, in any order. `tell` is told how many cells are done, of how many.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = kept(out)
    cells = sweep.cells()
    missing = [cell for cell in cells if key_of(cell) not in done]
    count = len(cells) - len(missing)
    tell(count, len(cells))
    with (out / CELLS).open("ab") as file:
        for result in mapped(play, missing):
            file.write(orjson.dumps(result) + b"\n")
            file.flush()
            count += 1
            tell(count, len(cells))
    _write_table(sweep, out)
    return len(missing)


def kept(out: Path) -> dict[str, dict[str, Any]]:
    """What earlier runs have kept, by key; a line that was cut off counts as not done."""
    path = out / CELLS
    found = {}
    if path.is_file():
        lines = path.read_bytes().split(b"\n")
        for line in lines:
            try:
                result = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            found[result["key"]] = result
        if lines[-1]:
            # The next one begins on a line of its own.
            with path.open("ab") as file:
                file.write(b"\n")
    return found


def _write_table(sweep: Sweep, out: Path) -> None:
    """The cells in the grid's order, without what differs from run to run."""
    done = kept(out)
    rows = [done[key_of(cell)] for cell in sweep.cells()]
    with (out / TABLE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*sweep.grid, *rows[0]["figures"]])
        for row in rows:
            writer.writerow([*(row["values"][name] for name in sweep.grid), *row["figures"].values()])


def write_maps(sweep: Sweep, out: Path, figure: str = "ssr_real") -> Path | None:
    """A heat map of one figure over the first two parameters that have several values, one below the other for the rest.

    Raises:
        ModuleNotFoundError: if the extra `report` is not installed.

    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    axes = [name for name, values in sweep.grid.items() if len(values) > 1][:2]
    if len(axes) < 2:
        return None
    across, down = axes
    rest = {name: values for name, values in sweep.grid.items() if name not in axes}
    others = [dict(zip(rest, chosen, strict=True)) for chosen in itertools.product(*rest.values())]
    done = kept(out)
    titles = [", ".join(f"{name} {value}" for name, value in other.items() if len(rest[name]) > 1) for other in others]
    page = make_subplots(rows=len(others), cols=1, subplot_titles=titles)
    for number, other in enumerate(others):
        shown = [
            [done[key_of({**sweep.base, **other, across: x, down: y})]["figures"][figure] for x in sweep.grid[across]]
            for y in sweep.grid[down]
        ]
        labels = [str(value) for value in sweep.grid[across]], [str(value) for value in sweep.grid[down]]
        page.add_trace(go.Heatmap(x=labels[0], y=labels[1], z=shown, texttemplate="%{z:.3f}", coloraxis="coloraxis"), row=number + 1, col=1)
        page.update_xaxes(title_text=across, row=number + 1, col=1)
        page.update_yaxes(title_text=down, row=number + 1, col=1)
    page.update_layout(title=figure, height=160 + 320 * len(others), coloraxis={"colorscale": "Viridis"})
    page.write_html(out / MAP, include_plotlyjs=True)
    return out / MAP
