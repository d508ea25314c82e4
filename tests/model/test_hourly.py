"""Deals by the hour."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st
import pytest

from apis_core.model.deal import Deal, Direction, SideEnergy
from apis_core.model.hourly import BATTERY_IN, BATTERY_OUT, LINE_IN, LINE_OUT, begin_of, by_hour, hour_of, settled_until

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def a_deal(start_min: float, length_min: float, wh: float = 100.0, *, ended: bool = True, giver: str = "E001") -> Deal:
    taker = "E002" if giver == "E001" else "E001"
    start, end = NOON + timedelta(minutes=start_min), NOON + timedelta(minutes=start_min + length_min)
    energy = {giver: SideEnergy(1.1 * wh, 1.05 * wh, 0.0, 1), taker: SideEnergy(wh, 1.04 * wh, 0.0, 1)}
    return Deal(
        deal_id=f"{start_min}", negotiation_id="n", direction=Direction.DISCHARGE, request_unit_id=giver, accept_unit_id=taker,
        charge_unit_id=taker, discharge_unit_id=giver, grid_current_a=2.0, amount_wh=100, request_time=start, accept_time=start,
        create_time=start, request_amount_wh=100, accept_amount_wh=100, request_grid_current_a=2.0, accept_grid_current_a=2.0,
        activate_time=start, start_time=start, stop_time=end if ended else None, deactivate_time=end if ended else None, energy=energy,
    )  # fmt: skip


def test_a_deal_over_two_hours_is_shared_between_them() -> None:
    found = by_hour("E002", [a_deal(45, 60)])
    assert found[BATTERY_IN] == pytest.approx({NOON: 25.0, NOON + timedelta(hours=1): 75.0})
    assert found[LINE_IN] == pytest.approx({NOON: 26.0, NOON + timedelta(hours=1): 78.0})
    assert found[BATTERY_OUT] == found[LINE_OUT] == {}
    assert by_hour("E001", [a_deal(0, 10)])[LINE_OUT] == pytest.approx({NOON: 105.0})


def test_an_hour_in_which_a_deal_still_runs_is_not_settled() -> None:
    running = a_deal(-90, 0, ended=False)
    assert settled_until([running], NOON + timedelta(minutes=5)) == NOON - timedelta(hours=2)
    assert settled_until([a_deal(-90, 10)], NOON + timedelta(minutes=5)) == NOON
    assert not any(by_hour("E001", [running]).values())


@given(st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 600), st.floats(0, 500), st.booleans()), max_size=12))
def test_nothing_is_lost_and_nothing_counted_twice(spans: list[tuple[float, float, float, bool]]) -> None:
    deals = [a_deal(start, length, wh, giver="E001" if gives else "E002") for start, length, wh, gives in spans]
    for unit_id in ("E001", "E002"):
        found = by_hour(unit_id, deals)
        for kind, of_kind in ((BATTERY_IN, False), (BATTERY_OUT, True)):
            total = sum(deal.side_energy(unit_id).battery_wh for deal in deals if (deal.discharge_unit_id == unit_id) is of_kind)
            assert sum(found[kind].values()) == pytest.approx(total)
        assert all(hour == hour_of(hour) for hours in found.values() for hour in hours)


def test_energy_of_a_deal_that_was_interrupted_or_stopped_while_it_warmed_up_is_counted_too() -> None:
    ended = a_deal(0, 30)
    interrupted = replace(ended, start_time=None)
    assert sum(by_hour("E002", [interrupted])[LINE_IN].values()) == pytest.approx(sum(by_hour("E002", [ended])[LINE_IN].values()))
    assert begin_of(interrupted) == (interrupted.warm_up_time or interrupted.activate_time or interrupted.create_time)


def test_a_deal_that_will_never_end_holds_nothing_up() -> None:
    lost = a_deal(-60 * 24 * 9, 0, ended=False)
    assert settled_until([lost], NOON + timedelta(minutes=5)) == NOON
