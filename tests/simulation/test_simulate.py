"""`apis simulate`: the same seed is the same run, looks for a reason are as good as looks all the time, and figures add up."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
import itertools
import json
from pathlib import Path
import signal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from typer.testing import CliRunner

from apis_core.cli import cli, main
from apis_core.model.deal import Deal
from apis_core.model.errors import Category, ConfigError, ErrorReport, Extent, Level
from apis_core.model.modes import OperationMode
from apis_core.model.scenario import Scenario
from apis_core.model.view import Snapshot, UnitView
from apis_core.presets import community_hardware, community_policy, community_scenario
from apis_core.rules.lifecycle import Outcome, outcome
from apis_core.simulation import indicators, output, run
from apis_core.simulation.options import Options
from apis_core.simulation.run import Progress, simulate
from apis_core.simulation.tables import Result

JUNE = datetime(2021, 6, 1)  # noqa: DTZ001 - the houses' local time
A_DAY = Options(units=8, days=1.0, start=JUNE, load_scale=0.6)
THREE_DAYS = Options(units=2, days=3.0, start=JUNE.replace(month=11), solars_kw=(8.0, 0.0))
A_MORNING = Options(units=4, days=0.15, start=JUNE.replace(hour=8), load_scale=0.3, charges_pct=(95, 38))


@pytest.fixture(scope="module")
def shared() -> Result:
    return simulate(A_DAY)


@pytest.fixture(scope="module")
def alone() -> Result:
    return simulate(replace(A_DAY, sharing=False))


def test_the_same_seed_is_the_same_run(shared: Result) -> None:
    assert simulate(A_DAY).digest == shared.digest
    assert simulate(replace(A_DAY, seed=2)).digest != shared.digest


def test_all_deals_are_completed_and_counted_right(shared: Result) -> None:
    assert len(shared.deals) > 10
    assert {outcome(deal) for deal in shared.deals} == {Outcome.COMPLETED}
    assert shared.errors == ()
    for deal in shared.deals:
        assert 100 <= deal.cumulate_amount_wh < 100.1


def test_what_units_counted_is_what_the_physics_exchanged(shared: Result) -> None:
    ids = A_DAY.unit_ids
    totals = shared.hours[-1].totals_wh
    for i, unit_id in enumerate(ids):
        taken_wh = sum(deal.side_energy(unit_id).grid_wh for deal in shared.deals if deal.charge_unit_id == unit_id)
        given_wh = sum(deal.side_energy(unit_id).grid_wh for deal in shared.deals if deal.discharge_unit_id == unit_id)
        assert taken_wh - given_wh == pytest.approx(float(totals["grid_in"][i] - totals["grid_out"][i]), rel=0.01, abs=2.0)


def test_sharing_saves_bought_energy(shared: Result, alone: Result) -> None:
    assert indicators.community(shared)["bought_wh"] < indicators.community(alone)["bought_wh"]
    assert indicators.community(shared)["self_sufficiency"] > indicators.community(alone)["self_sufficiency"]
    assert alone.deals == ()
    assert float(alone.hours[-1].totals_wh["grid_in"].sum()) == 0


def test_every_hour_and_every_house_adds_up_to_the_whole(shared: Result) -> None:
    hours, houses = output.hours(shared), output.houses(shared)
    assert len(hours["time"]) == 8 * (len(shared.hours) - 1)
    for name, column in (("load_wh", "load_wh"), ("solar_wh", "solar_wh"), ("mains_wh", "bought_wh")):
        assert sum(hours[name]) == pytest.approx(sum(houses[column]), abs=0.1)
    assert float(indicators.flows_between(shared).sum()) == pytest.approx(sum(houses["taken_wh"]), abs=0.1)
    assert sum(houses["points_earned"]) == pytest.approx(sum(houses["points_paid"]), abs=0.1)


def test_looks_for_a_reason_agree_with_looks_all_the_time() -> None:
    quiet, ticking = (simulate(replace(THREE_DAYS, every_tick=ticks)) for ticks in (False, True))
    assert len(quiet.deals) > 100
    assert [_who(deal) for deal in quiet.deals] == [_who(deal) for deal in ticking.deals]
    assert _moments(quiet) == pytest.approx(_moments(ticking), abs=2.0)
    for name, here_wh in quiet.hours[-1].totals_wh.items():
        assert float(here_wh.sum()) == pytest.approx(float(ticking.hours[-1].totals_wh[name].sum()), rel=0.001), name


def _who(deal: Deal) -> tuple[object, ...]:
    return deal.request_unit_id, deal.direction, deal.accept_unit_id, round(deal.cumulate_amount_wh)


def _moments(result: Result) -> list[float]:
    moments = (moment for deal in result.deals for moment in (deal.create_time, deal.activate_time, deal.stop_time))
    return [moment.timestamp() for moment in moments if moment is not None]


def test_no_deal_is_agreed_that_the_line_has_no_room_for() -> None:
    policy = replace(community_policy(A_DAY.units), sum_of_deal_grid_current_max_a=4.0)
    result = simulate(replace(A_DAY, policy=policy, days=0.6))
    changes = sorted([(deal.activate_time, 1) for deal in result.deals] + [(deal.deactivate_time, -1) for deal in result.deals])
    at_once = list(itertools.accumulate(change for _, change in changes))
    # Two deals of 2 A are what it carries: that much is made use of, and none was made to be thrown away.
    assert max(at_once) == 2
    assert len(result.deals) > 10
    assert {outcome(deal) for deal in result.deals} == {Outcome.COMPLETED}


def test_an_interrupted_run_keeps_what_is_done() -> None:
    result = simulate(A_DAY, lambda share: share < 0.3)
    assert 0.2 < result.hours[-1].elapsed_s / 86_400 < 0.5


def test_what_is_done_is_written_whoever_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told_to_end(options: Options, progress: Progress) -> Result:
        def tell(share: float) -> bool:
            if share > within:
                signal.raise_signal(signal.SIGTERM)
            return progress(share)

        return simulate(options, tell)

    def impatient(*arguments: Any) -> Iterator[Path]:
        signal.raise_signal(signal.SIGINT)
        yield from write(*arguments)

    write, within = output.write, 0.1
    monkeypatch.setattr(run, "simulate", told_to_end)
    monkeypatch.setattr(output, "write", impatient)
    before = signal.getsignal(signal.SIGTERM)
    ran = CliRunner().invoke(cli, ["simulate", "--units", "2", "--days", "3", "--out", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    assert "interrupted after" in ran.output
    assert (tmp_path / "summary.json").is_file()
    assert signal.getsignal(signal.SIGTERM) is before
    within = -1.0
    for more in ([], ["--compare"]):
        ran = CliRunner().invoke(cli, ["simulate", "--units", "2", "--days", "3", "--out", str(tmp_path / "none"), *more])
        assert ran.exit_code == 130, ran.output
        assert "before its first hour was over" in ran.output
    assert not list((tmp_path / "none").iterdir())


def test_the_command_writes_summary_tables_and_a_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["simulate", "--units", "3", "--days", "0.1", "--compare", "--out", str(out)]
    ran = CliRunner().invoke(cli, arguments)
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[-1].startswith("digest: ")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["digest"] in ran.output
    assert summary["community"]["load_wh"] > 0
    assert summary["without_sharing"]["community"]["deals"] == 0
    assert set(summary["definitions"]) >= {"self_sufficiency", "shared_wh"}
    page = (out / "report.html").read_text()
    assert "<!--" not in page.split("<script", 1)[0]
    assert 'src="http' not in page
    from pyarrow import parquet

    table = parquet.read_table(out / "hours.parquet")
    assert table.num_rows == 3 * len(np.unique(table["time"].to_pylist()))
    assert parquet.read_table(out / "errors.parquet").num_rows == 0
    assert summary["options"]["battery_wh"] == [4800.0] * 3
    assert summary["options"]["policy"]["memberUnitIds"] == ["E001", "E002", "E003"]
    assert summary["options"]["scenarios"].keys() == {"E001", "E002", "E003"}


def test_times_in_all_tables_are_those_of_the_houses() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    result = simulate(replace(A_MORNING, zone=zone))
    hours, deals = output.hours(result), output.deals(result)
    assert hours["time"][0] == "2021-06-01T09:00:00+09:00"
    assert deals["create_time"]
    assert all("2021-06-01T08" <= each < "2021-06-01T12" and each.endswith("+09:00") for each in deals["create_time"])


def test_each_day_of_the_report_is_one_of_the_calendar() -> None:
    report = pytest.importorskip("apis_core.simulation.report")
    result = simulate(replace(A_MORNING, days=1.6, start=JUNE.replace(hour=18), sharing=False))
    load = next(bar for bar in report.energy_by_day(result).data if bar.name == "load")
    assert list(load.x) == ["2021-06-01", "2021-06-02", "2021-06-03"]
    assert -sum(load.y) * 1000 == pytest.approx(indicators.community(result)["load_wh"], abs=20)
    # Six hours, a whole day, and the rest of 1.6 days.
    by_hour = [-each / hours for each, hours in zip(load.y, (6, 24, 8.4), strict=True)]
    assert max(by_hour) < 3 * min(by_hour)


def test_a_share_of_nothing_is_none(tmp_path: Path) -> None:
    arguments = ["simulate", "--units", "2", "--days", "0.1", "--load-scale", "0", "--pv-scale", "0", "--out", str(tmp_path)]
    ran = CliRunner().invoke(cli, arguments)
    assert ran.exit_code == 0, ran.output
    assert "100.0%" not in ran.output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["community"]["self_sufficiency"], summary["houses"][0]["self_consumption"]) == (None, None)
    assert summary["community"]["stored_wh"] < 0


def test_every_error_is_a_row(shared: Result) -> None:
    report = ErrorReport("E001", Category.HARDWARE, Extent.LOCAL, Level.WARN, "too warm")
    table = output.errors(replace(shared, errors=((datetime(2021, 6, 1, 12, tzinfo=UTC), report),)))
    assert [values[0] for values in table.values()] == ["2021-06-01T12:00:00+00:00", "E001", "HARDWARE", "LOCAL", "WARN", "too warm"]


def test_a_deal_ends_where_the_policy_has_its_limit() -> None:
    policy = replace(A_MORNING.chosen_policy(), charge_unit_upper_limit_pct=39.0)
    result = simulate(replace(A_MORNING, policy=policy))
    reasons = {deal.abort_reason for deal in result.deals}
    assert any(reason is not None and "above 39 %" in reason for reason in reasons), reasons


def test_a_policy_that_begins_in_stop_shares_all_the_same() -> None:
    usual = A_MORNING.chosen_policy()
    result = simulate(replace(A_MORNING, days=0.04, policy=replace(usual, operation_mode=OperationMode.STOP)))
    assert result.deals
    assert result.digest == simulate(replace(A_MORNING, days=0.04, policy=usual)).digest


def test_a_time_band_that_begins_is_a_reason_to_look() -> None:
    data = A_MORNING.chosen_scenario().to_json()
    wishes = data.pop("00:00:00-24:00:00")
    scenario = Scenario.from_json({**data, "08:30:00-24:00:00": wishes})[0]
    result = simulate(replace(A_MORNING, days=0.04, scenario=scenario))
    first = min(deal.create_time for deal in result.deals).time()
    assert time(8, 30) <= first <= time(8, 32)


def diagnostics(**changes: Any) -> dict[str, Any]:
    """What two different units would let somebody download, on an evening in November."""
    large = replace(community_hardware(9600), grid_current_capacity_a=4.5)
    units = {
        "mill": {"hardware": community_hardware().to_json(), "scenario": community_scenario().to_json()},
        "farm": {"hardware": large.to_json(), "scenario": community_scenario(9600, "generous").to_json()},
    }
    now = datetime(2026, 11, 20, 17, 30, tzinfo=ZoneInfo("Asia/Tokyo"))
    views = (UnitView("mill", "**REDACTED**", alive=True, mode="autonomous", state_of_charge_pct=31.0),
             UnitView("farm", "**REDACTED**", alive=True, mode="autonomous", state_of_charge_pct=93.0))  # fmt: skip
    policy = replace(community_policy(2), member_unit_ids=("mill", "farm"))
    community = {
        "snapshot": Snapshot(now, "autonomous", views, ()).to_json(),
        "policy": policy.to_json(),
        "zone": "Asia/Tokyo",
        "units": units,
    }
    return {"home_assistant": {}, "data": {"entry": {}, "community": {**community, "events": [], **changes}}}


def test_downloaded_diagnostics_are_played_on(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    file, out = tmp_path / "diagnostics.json", tmp_path / "out"
    file.write_text(json.dumps(diagnostics()))
    ran = CliRunner().invoke(cli, ["simulate", "--from-diagnostics", str(file), "--days", "0.1", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    summary = json.loads((out / "summary.json").read_text())
    assert summary["start"] == "2026-11-20T17:30:00"
    assert [house["unit_id"] for house in summary["houses"]] == ["mill", "farm"]
    # The full one of twice the size gives to the one below its target.
    assert summary["community"]["shared_wh"] > 100


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "expected a file that diagnostics were downloaded to"),
        ('{"data": {"entry": {}}}', "expected the diagnostics of a community"),
        (json.dumps(diagnostics(zone="Atlantis")), "expected complete diagnostics of this version"),
        (json.dumps(diagnostics(policy=community_policy(2).to_json())), "memberUnitIds: found E001, E002, expected mill, farm"),
    ],
)
def test_what_is_no_diagnostics_is_told(
    tmp_path: Path, content: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "diagnostics.json"
    file.write_text(content)
    monkeypatch.setattr("sys.argv", ["apis", "simulate", "--from-diagnostics", str(file), "--days", "0.1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_deals_under_way_at_the_end_are_told_with_what_they_have_exchanged() -> None:
    result = simulate(Options(units=4, days=0.369, seed=7))
    live = [deal for deal in result.deals if not deal.is_ended]
    assert len(live) == len(result.deals) > 1
    exchanged_wh = sum(result.hours[-1].totals_wh["grid_in"])
    assert sum(deal.side_energy(deal.charge_unit_id).grid_wh for deal in live) == pytest.approx(exchanged_wh, rel=0.02)
    assert indicators.community(result)["deals_live"] == len(live)
    # They had their converters on until the end.
    assert max(figures.converter_duty for figures in indicators.units(result)) * 0.369 * 24 > 0.1


@pytest.mark.parametrize("days", ["0.1234", "0.0777", "0.3"])
def test_a_run_of_odd_length_is_whole(days: str) -> None:
    ran = CliRunner().invoke(cli, ["simulate", "--units", "2", "--days", days, "--compare"])
    assert ran.exit_code == 0, ran.output
    assert "interrupted" not in ran.output
    assert "with sharing" in ran.output


def test_the_report_of_the_same_run_is_the_same(shared: Result, alone: Result) -> None:
    report = pytest.importorskip("apis_core.simulation.report")
    assert report.html(shared, alone) == report.html(shared, alone)


def test_what_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    ran = CliRunner().invoke(cli, ["simulate", "--units", "3", "--days", "3650", "--out", str(file / "x")])
    assert isinstance(ran.exception, ConfigError) or ran.exit_code == 2


@pytest.mark.parametrize(
    "options", [["--without-sharing", "--compare"], ["--battery-wh", "inf"], ["--load-scale", "nan"], ["--solar", "x", "--pv-scale", "3"]]
)
def test_options_that_cannot_be_meant_are_refused(options: list[str]) -> None:
    ran = CliRunner().invoke(cli, ["simulate", "--units", "3", "--days", "0.01", *options])
    assert isinstance(ran.exception, ConfigError) or ran.exit_code == 2
