"""Very many houses at once: the same figures as the exact engine's, whatever engine plays them and in whatever parts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
import json
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any

import numpy as np
import pytest

from apis_core.emulator.profiles import bundled
from apis_core.model.errors import ConfigError
from apis_core.simulation import indicators, sweep as sweeps
from apis_core.simulation.fleet import TOTALS, Fleet, simulate
from apis_core.simulation.options import Options
from apis_core.simulation.run import simulate as exact
from tests.test_processes import APIS, ENVIRONMENT, ROOT

DAY = 48
# Each with some thousand deals: a step knows no single deals, and with a hundred of them who comes first decides over a tenth.
COMPARED = [
    (20, 5, 0.6, 6, ()),
    (20, 5, 0.4, 11, ()),
    (20, 5, 0.4, 3, (2.8, 4.2)),
]


@pytest.mark.parametrize(("units", "days", "load_scale", "month", "solars_kw"), COMPARED)
def test_a_community_shares_as_the_exact_engine_does(
    units: int, days: int, load_scale: float, month: int, solars_kw: tuple[float, ...]
) -> None:
    start = datetime(2021, month, 1)  # noqa: DTZ001 - the houses' local time
    options = Options(units=units, days=days, start=start, load_scale=load_scale, solars_kw=solars_kw)
    first = int((start - datetime(2021, 1, 1)).total_seconds() // 1800)  # noqa: DTZ001
    for sharing in (True, False):
        wanted = indicators.community(exact(replace(options, sharing=sharing)))
        fleet = Fleet(1, units, load_scale=load_scale, solars_kw=solars_kw, sharing=sharing)
        found = simulate(fleet, bundled(), first_step=first, steps=days * DAY)
        assert found.total("taken") == pytest.approx(wanted["taken_wh"], rel=0.04)
        assert found.total("given") == pytest.approx(wanted["given_wh"], rel=0.04)
        assert found.total("load") == pytest.approx(wanted["load_wh"], rel=0.001)
        assert found.total("mains") == pytest.approx(wanted["bought_wh"], rel=0.01)
        assert found.self_sufficiency == pytest.approx(wanted["self_sufficiency"], abs=0.01)
        assert found.shares == {name: pytest.approx(wanted[name], abs=0.02) for name in found.shares}


def test_all_energy_is_accounted_for_and_nothing_is_shared_by_those_who_do_not() -> None:
    fleet = Fleet(3, 20, load_scale=0.5, spread=0.3)
    found = simulate(fleet, bundled(), steps=30 * DAY)
    assert (found.by_community[:, TOTALS.index("loss")] > 0).all()
    assert found.total("given") > found.total("taken") > 0
    alone = simulate(replace(fleet, sharing=False), bundled(), steps=30 * DAY)
    assert alone.total("given") == alone.total("taken") == 0
    assert alone.self_sufficiency < found.self_sufficiency
    # What the mains do not cover is covered here; what came from the batteries is not counted as the sun's.
    named, load_wh = found.shares, found.total("load")
    stored_wh = found.total("end") - found.total("begin")
    assert named["ssr_real"] + named["r_utility"] == pytest.approx(1, abs=1e-4)
    assert named["ssr_real"] == pytest.approx(found.self_sufficiency + stored_wh / load_wh, abs=1e-4)
    assert named["ssr_pv"] == pytest.approx((found.total("solar") + stored_wh) / load_wh, abs=1e-4)
    assert named["sor"] == pytest.approx(found.pv_used, abs=1e-4)


@pytest.mark.parametrize("sharing", [True, False])
def test_both_engines_and_all_blocks_give_the_same(sharing: bool) -> None:
    fleet = Fleet(9, 7, load_scale=0.5, spread=0.4, solars_kw=(2.8, 4.2), sharing=sharing)
    whole = simulate(fleet, bundled(), steps=20 * DAY)
    for found in (simulate(fleet, bundled(), steps=20 * DAY, block=14), simulate(fleet, bundled(), steps=20 * DAY, engine="numba")):
        np.testing.assert_allclose(found.by_community, whole.by_community, rtol=1e-9, atol=1e-3)
    # A part of the fleet is the same in a fleet of its own.
    few = simulate(replace(fleet, communities=3), bundled(), steps=20 * DAY)
    np.testing.assert_allclose(few.by_community, whole.by_community[:3])


GRID = """
base: {size: 6, days: 3, load_scale: 0.5}
grid:
  deal_current_a: [1, 2, 3, 4, 5]
  battery_wh: [2400, 4800, 7200, 9600, 12000]
  ups_trigger_pct: [20, 30]
  preset: [balanced, generous]
  sharing: [true, false]
"""


def here(work: Callable[[Any], Any], values: list[Any]) -> Iterator[Any]:
    return map(work, values)


def test_a_sweep_is_kept_cell_by_cell_and_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID)
    sweep = sweeps.read(tmp_path / "grid.yaml")
    assert len(sweep.cells()) == 200

    def until_cut(work: Callable[[Any], Any], values: list[Any]) -> Iterator[Any]:
        for number, value in enumerate(values):
            if number == 70:
                raise KeyboardInterrupt
            yield work(value)

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(sweep, out, until_cut, lambda _done, _whole: None)
    # A line that was cut off in the middle is not done.
    (out / sweeps.CELLS).write_bytes((out / sweeps.CELLS).read_bytes()[:-20])
    seen: list[tuple[int, int]] = []
    assert sweeps.run(sweep, out, here, lambda done, whole: seen.append((done, whole))) == 131
    assert (seen[0], seen[-1]) == ((69, 200), (200, 200))
    assert sweeps.run(sweep, out, here, lambda _done, _whole: None) == 0
    table = (out / sweeps.TABLE).read_text().splitlines()
    assert len(table) == 201
    assert table[0].startswith(
        "deal_current_a,battery_wh,ups_trigger_pct,preset,sharing,self_sufficiency,ssr_real,ssr_pv,sor,r_utility,pv_used,"
    )
    page = sweeps.write_maps(sweep, out)
    assert page is not None
    assert "ups_trigger_pct 20, preset generous" in page.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grid: {voltage: [1]}", "voltage: found no such parameter"),
        ("grid: {preset: [mine]}", "KeyError"),
        ("grid: {battery_wh: [0]}", "expected more than 0"),
        ("base: {}", "grid"),
    ],
)
def test_a_grid_that_cannot_be_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        sweeps.read(tmp_path / "grid.yaml")


@pytest.mark.alone
def test_processes_and_a_cluster_make_the_same_table_also_after_a_kill(tmp_path: Path) -> None:
    from distributed import LocalCluster

    grid = tmp_path / "grid.yaml"
    grid.write_text(GRID)

    def command(out: str, *more: str) -> list[str]:
        return [*APIS, "sweep", "--grid", str(grid), "--out", str(tmp_path / out), *more]

    killed = subprocess.Popen(command("one", "--jobs", "2"), env=ENVIRONMENT, start_new_session=True)
    cells = tmp_path / "one" / sweeps.CELLS
    end_s = time.monotonic() + 60
    while not (cells.is_file() and cells.read_bytes().count(b"\n") >= 20):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = len(sweeps.kept(tmp_path / "one"))
    assert 20 <= before < 200
    again = subprocess.run(command("one"), env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=True)
    assert f"{200 - before} of 200 cells were played" in again.stdout
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:  # type: ignore[no-untyped-call]
        other = subprocess.run(
            command("two", "--scheduler", cluster.scheduler_address),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    assert "200 of 200 cells were played" in other.stdout
    assert (tmp_path / "one" / sweeps.TABLE).read_text() == (tmp_path / "two" / sweeps.TABLE).read_text()
    assert json.loads(cells.read_text().splitlines()[0])["seconds"] > 0


def test_the_okinawa_study_comes_out_as_was_published() -> None:
    """Bands around what is known of the real system: more renewable energy is used, and sharing never costs anything."""
    study = sweeps.read(ROOT / "studies/okinawa/sharing.yaml")
    found: dict[tuple[bool, float, float], dict[str, float]] = {}
    for cell in study.cells():
        figures = sweeps.play({**cell, "engine": "numba"})["figures"]
        found[cell["sharing"], cell["deal_current_a"], cell["battery_wh"]] = figures
    for battery in (4800, 12000):
        alone = found[False, 2, battery]
        currents = [found[True, current, battery] for current in (2, 3, 5, 7)]
        assert all(found[False, current, battery] == alone for current in (3, 5, 7))
        # More amperes are never worse.
        values = [alone["ssr_real"], *(figures["ssr_real"] for figures in currents)]
        assert values == sorted(values)
    assert found[False, 2, 12000]["ssr_real"] > found[True, 7, 4800]["ssr_real"] > found[False, 2, 4800]["ssr_real"]
    alone, at_2_a, at_7_a = found[False, 2, 4800], found[True, 2, 4800], found[True, 7, 4800]
    assert 0.05 <= at_2_a["pv_used"] / alone["pv_used"] - 1 <= at_7_a["pv_used"] / alone["pv_used"] - 1 <= 0.12
    assert 0.015 <= at_2_a["ssr_real"] - alone["ssr_real"] <= at_7_a["ssr_real"] - alone["ssr_real"] <= 0.06
