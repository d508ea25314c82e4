"""Disasters on purpose: plans, what must hold, and that the search sees what it looks for."""

from collections.abc import Iterator
import json
import logging
import os
from pathlib import Path

from hypothesis import given, settings, strategies as st
import pytest
from typer.testing import CliRunner

from apis_core.cli import cli
from apis_core.clock import run_virtual
from apis_core.gridmaster.access import Access
from apis_core.model.errors import Category, ConfigError, ErrorReport, Extent, Level
from apis_core.simulation import chaos, plans, search
from apis_core.simulation.aftermath import Aftermath
from apis_core.simulation.invariants import records_differ
from apis_core.simulation.plans import Fault
from apis_core.unit.board import DEAL
from tests.builders import a_deal
from tests.simulation.bugs import BUGS

UNITS, HOURS = 6, 0.3
IDS = tuple(f"E{number + 1:03}" for number in range(UNITS))
# Plans with which something went wrong once.
STORIES = sorted((Path(__file__).parents[1] / "data/chaos").glob("*.json"))
# With which seed the search meets each mistake first.
SEEN_WITH = {
    "no_fencing": 0,
    "epoch_not_durable": 0,
    "slots_kept_twice": 0,
    "ledger_acknowledged_early": 0,
    "reference_before_current_modes": 34,
    "reference_too_early": 127,
    "leak_check_on_old_readings": 0,
    "two_in_transition": 23,
    "no_way_back": 6,
    "grant_not_released": 0,
    "counted_twice": 0,
    "line_side_wrong": 0,
    "nobody_agrees": 0,
    "left_out": 0,
}
NIGHTLY_SEEDS = int(os.environ.get("APIS_CHAOS_SEEDS", "0"))


@pytest.fixture(autouse=True)
def _no_news() -> None:
    logging.getLogger("apis_core").setLevel(logging.CRITICAL)


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_a_plan_comes_from_its_seed_and_survives_a_file(seed: int) -> None:
    plan = plans.draw(seed, IDS, 3600)
    assert plan == plans.draw(seed, IDS, 3600)
    assert 1 <= len(plan) <= 8
    assert tuple(Fault.from_json(fault.to_json(), "plan") for fault in plan) == plan
    assert all(fault.at_s >= plans.QUIET_BEGIN_S and set(fault.units) <= set(IDS) for fault in plan)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_smaller_plans_are_smaller(seed: int) -> None:
    def size(plan: plans.Plan) -> float:
        return sum(1000 + 100 * len(fault.units) + fault.for_s for fault in plan)

    plan = plans.draw(seed, IDS, 3600)
    assert all(0 < size(less) < size(plan) for less in plans.smaller(plan))


def test_a_plan_file_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"faults": [{"at_s": 1, "for_s": 2, "kind": "meteor", "units": ["E001"]}]}')
    with pytest.raises(ConfigError, match=r"faults\[0\].kind: found meteor"):
        search.read_plan(path, 3)


@pytest.mark.parametrize(
    ("change", "place"),
    [({"units": []}, "units"), ({"at_s": "nan"}, "at_s"), ({"for_s": -1}, "for_s"), ({"value": "inf"}, "value")],
)
def test_a_fault_that_cannot_befall_anybody_is_refused(change: dict[str, object], place: str) -> None:
    whole = {"at_s": 130.0, "for_s": 2.0, "kind": "delay_device", "units": ["E001"], "value": 1.0}
    Fault.from_json(whole, "plan")
    with pytest.raises(ConfigError, match=rf"plan\.{place}"):
        Fault.from_json(whole | change, "plan")


def test_whatever_a_run_fails_with_is_found_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_aftermath: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Aftermath, "judge_books", broken)
    assert any("ZeroDivisionError" in violation for violation in chaos.run(1, 4, 0.1, ()).violations)


def test_a_reference_that_leaves_too_early_is_seen_beside_an_electrical_fault_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = (Fault(121.0, 1.0, "offset_a", ("E003",), 0.01), Fault(228.3, 12.6, "cut", ("E002",)))
    # Who cannot be asked counts as off.
    monkeypatch.setattr(Access, "may_be_on", lambda *_: False)
    assert any("is told to wait while E002 are on" in violation for violation in chaos.run(2, 4, 0.2, faults).violations)


def test_deals_are_looked_at_where_they_are_and_not_where_a_unit_is_cut_off() -> None:
    async def story(run: chaos.Chaos) -> None:
        await run.clock.sleep(30)
        (deal, *others) = run.deals()
        run.hub.faults.cut("E001")
        await run.hub.store.delete(DEAL + deal.deal_id)
        await run.clock.sleep(1)
        assert {each.deal_id for each in run.deals()} == {each.deal_id for each in others}
        # What a person sees who is at home in the first unit.
        assert run.community.board.deal(deal.deal_id) is not None
        run.hub.faults.heal()

    async def main() -> None:
        run = chaos.Chaos(1, (), 4, 60.0)
        await run.play(lambda: story(run))
        run.database.close()

    run_virtual(main)


def test_a_scram_is_seen_however_soon_its_deals_have_left_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(run: chaos.Chaos) -> None:
        await run.clock.sleep(150.4)
        run.seen.update({deal.deal_id: deal for deal in run.community.board.deals()})
        (master,) = (node.role.master for node in run.community.nodes.values() if node.role.master is not None)
        await master.react(ErrorReport("E001", Category.HARDWARE, Extent.GLOBAL, Level.ERROR, "a whim"))
        await run.clock.sleep(0.3)
        # Nobody has looked since, and they are gone.
        assert not any(deal.is_active for deal in run.community.board.deals())
        await run.aftermath.judge_books()

    monkeypatch.setattr(chaos.Chaos, "story", story)
    assert any("a whim" in violation for violation in chaos.run(1, 4, 0.1, ()).violations)


def test_both_ledgers_hold_the_same_of_a_deal_whatever_it_is() -> None:
    deal = a_deal()
    for change in ({"grid_current_a": 2.5}, {"abort_reason": "none"}, {"amount_wh": 21}):
        assert f"for {next(iter(change))}" in str(records_differ(deal, deal.changed(**change), deal))


def test_what_goes_wrong_without_any_fault_is_shrunk_to_no_plan() -> None:
    with BUGS["grant_not_released"]():
        assert chaos.shrink(chaos.Outcome(0, (Fault(130.0, 1.0, "silent", ("E001",)),), ("x",), 0, ""), 4, 0.1).plan == ()


def test_nothing_goes_wrong_where_nothing_goes_wrong() -> None:
    first, second = (chaos.run(1, 4, 0.1, ()) for _ in range(2))
    assert first.violations == ()
    assert first.deals > 3
    assert first.digest == second.digest


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_what_went_wrong_once_holds_now(path: Path) -> None:
    story = json.loads(path.read_bytes())
    outcome = chaos.run(
        story["seed"], story.get("units", UNITS), story.get("hours", HOURS), search.read_plan(path, story.get("units", UNITS))
    )
    assert outcome.violations == ()


@pytest.mark.parametrize("bug", SEEN_WITH)
def test_the_search_sees_a_mistake_that_is_put_back_in(bug: str) -> None:
    with BUGS[bug]():
        assert chaos.run(SEEN_WITH[bug], UNITS, HOURS).violations


@pytest.mark.skipif(not NIGHTLY_SEEDS, reason="scripts/nightly")
@pytest.mark.parametrize("bug", BUGS)
def test_the_search_finds_every_mistake(bug: str) -> None:
    with BUGS[bug]():
        assert any(chaos.run(seed, UNITS, HOURS).violations for seed in range(NIGHTLY_SEEDS))


def test_a_plan_is_made_smaller_as_long_as_it_still_goes_wrong() -> None:
    with BUGS["no_way_back"]():
        found = chaos.run(SEEN_WITH["no_way_back"], UNITS, HOURS)
        smaller = chaos.shrink(found, UNITS, HOURS, tries=6)
    assert smaller.violations
    assert smaller.plan
    assert len(smaller.plan) < len(found.plan)


def test_the_command_says_what_went_wrong_and_how_to_see_it_again(tmp_path: Path) -> None:
    out = tmp_path / "plans"
    ran = CliRunner().invoke(cli, ["chaos", "--seeds", "9..11", "--hours", "0.1", "--units", "4", "--jobs", "2", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "2 runs of 0.1 h with 4 houses: 0 went wrong" in ran.output


def test_ctrl_c_tells_what_was_found_until_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def two(*_: object) -> Iterator[chaos.Outcome]:
        yield chaos.Outcome(0, (), (), 0, "")
        yield chaos.Outcome(1, (), ("two references",), 0, "")
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "runs", two)
    out = tmp_path / "kept here"
    ran = CliRunner().invoke(cli, ["chaos", "--seeds", "0..9", "--no-shrink", "--out", str(out)])
    assert ran.exit_code == 130
    assert "interrupted after 2 of 9 runs: 1 went wrong" in ran.output
    # What is said to be typed again can be.
    assert f"--plan '{out / 'chaos-1.json'}'" in ran.output
