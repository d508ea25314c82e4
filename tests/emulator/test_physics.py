"""The figures an engineer checks first: losses, efficiencies, times, limits, alarms, droop, and that nothing is lost."""

from dataclasses import replace
from datetime import datetime

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from apis_core.emulator.engine import Engine, Site
from apis_core.emulator.forms import alarms_of
from apis_core.emulator.houses import House, Protection
from apis_core.emulator.profiles import bundled
from apis_core.emulator.protection import Alarm
from apis_core.model.converter import ConverterMode
from tests.builders import quiet_profiles
from tests.emulator.test_engine import START, C, D, R, W


def world(count: int = 2, charge: float = 50.0, site: Site | None = None, protection: Protection | None = None) -> Engine:
    houses = tuple(House(f"E{i + 1:03}", i, state_of_charge_pct=charge, protection=protection or Protection()) for i in range(count))
    engine = Engine(houses, quiet_profiles(), START, site or Site(ramp_s=0.0))
    engine.set_mode(0, R, 350, 8.5, 0)
    return engine


@pytest.mark.parametrize(
    ("amps", "percent", "reference_percent", "grid_s", "battery_s"),
    [(1, 68.9, 72.8, 514, 645), (2, 83.3, None, 257, 286), (7, 95.0, None, 73, 75.7)],
)
def test_what_an_exchange_of_50_wh_costs(
    amps: float, percent: float, reference_percent: float | None, grid_s: float, battery_s: float
) -> None:
    engine = world()
    engine.set_mode(1, C, 350, amps, 0)
    given_w, taken_w = -engine.battery_power_w[0], engine.battery_power_w[1]
    assert taken_w / given_w * 100 == pytest.approx((350 * amps - 71) / (350 * amps + 55) * 100)
    assert taken_w / given_w * 100 == pytest.approx(percent, abs=0.05)
    assert 50 / engine.grid_power_w[1] * 3600 == pytest.approx(grid_s, rel=0.01)
    assert 50 / taken_w * 3600 == pytest.approx(battery_s, rel=0.002)
    if reference_percent is not None:
        # The taker as the voltage reference loses 55 W instead of 71 W.
        turned = world()
        turned.set_mode(1, D, 380, amps, 0)
        assert turned.battery_power_w[0] / -turned.battery_power_w[1] * 100 == pytest.approx(reference_percent, abs=0.05)


def test_the_day_is_the_same_at_every_speed() -> None:
    results = []
    for piece_s in (1.0, 60.0, 3600.0):
        houses = tuple(House(f"E{i + 1:03}", i, state_of_charge_pct=60) for i in range(5))
        engine = Engine(houses, bundled(), datetime(2020, 6, 1), Site())  # noqa: DTZ001
        engine.set_mode(0, R, 350, 8.5, 0)
        moment = 0.0
        while moment < 86400:
            moment += piece_s
            engine.advance_to(moment)
            if moment == 43200:
                engine.set_mode(1, D, 380, 2, 0)
        results.append(np.concatenate([engine.energy_wh, engine.battery_integral_wh]))
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=0.005, abs=0.5)


command = st.tuples(st.integers(0, 3), st.sampled_from([W, C, D, R]), st.floats(300, 380), st.floats(0, 8), st.floats(0, 4))


@settings(deadline=None, max_examples=60)
@given(st.lists(command, min_size=1, max_size=12), st.booleans(), st.sampled_from([0.0, 0.05, 0.5]))
def test_the_line_loses_what_its_resistance_takes_and_nothing_else(
    commands: list[tuple[int, ConverterMode, float, float, float]], droop: bool, ohm: float
) -> None:
    engine = world(4, site=Site(ramp_s=0.0, line_resistance_ohm=ohm, droop=droop))
    for unit, mode, volts, amps, drop in commands:
        engine.set_mode(unit, mode, volts, amps, drop * 0.01)
        assert engine.grid_current_a.sum() == pytest.approx(0, abs=1e-6)
        lost_w = -engine.grid_power_w.sum()
        references = engine.mode == 3
        resistance = np.full(4, ohm)
        if droop:
            resistance = resistance + np.where(
                references, engine.droop_ratio * engine.target_voltage_v / np.maximum(engine.current_limit_a, 1e-6), 0
            )
        expected_w = -(engine.grid_current_a * -engine.grid_current_a * resistance).sum() if references.any() else 0.0
        assert lost_w == pytest.approx(-expected_w if expected_w < 0 else expected_w, rel=1e-6, abs=1e-3)
        low, high = engine._limits_a()
        assert (engine.grid_current_a[~references] >= low[~references] - 1e-9).all()
        assert (engine.grid_current_a[~references] <= high[~references] + 1e-9).all()


def test_two_references_with_droop_share_by_it() -> None:
    engine = world(3, site=Site(ramp_s=0.0, droop=True))
    engine.set_mode(1, R, 350, 8.5, 0.02)
    engine.set_voltage(0, 350, 0.04)
    engine.set_mode(2, C, 350, 3, 0)
    # Half the droop carries twice the current, and the line gives way a little.
    assert engine.grid_current_a.tolist() == pytest.approx([-1, -2, 3])
    assert 348 < engine.unit_voltage_v[2] < 350


@pytest.mark.parametrize(("limit_a", "carried"), [(8.5, [0.5, 0.5]), (0.3, [0.3, 0.7]), (0.0, [0.0, 1.0])])
def test_in_a_hand_over_the_new_reference_carries_what_the_old_one_no_longer_does(limit_a: float, carried: list[float]) -> None:
    engine = world(3)
    engine.set_mode(1, D, 380, 1, 0)
    engine.set_mode(2, R, 350, 2.3, 0)
    engine.set_current(0, limit_a)
    assert [engine.grid_current_a[0], engine.grid_current_a[2]] == pytest.approx(carried)
    assert engine.alarm.tolist() == [0, 0, 0]


def test_a_reference_carries_no_more_than_it_was_set_to() -> None:
    engine = world(3)
    engine.set_current(0, 2.0)
    engine.set_mode(1, C, 350, 3, 0)
    assert engine.grid_current_a.tolist() == [-2, 2, 0]
    assert alarms_of(int(engine.alarm[0])) == ["current_limit"]
    engine.set_mode(2, D, 380, 1, 0)
    assert engine.grid_current_a.tolist() == [-2, 3, -1]
    assert engine.alarm.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("percent", "mode", "alarm"), [(0.0, D, "battery_empty"), (100.0, C, "battery_full")])
def test_an_empty_battery_gives_nothing_and_a_full_one_takes_nothing(percent: float, mode: ConverterMode, alarm: str) -> None:
    engine = world()
    engine.set_state_of_charge(1, percent)
    engine.set_mode(1, mode, 350, 2, 0)
    assert engine.grid_current_a.tolist() == [0, 0]
    assert alarms_of(int(engine.alarm[1])) == [alarm]
    engine.set_state_of_charge(1, 50)
    assert abs(engine.grid_current_a[1]) == 2
    assert engine.alarm[1] == 0


@pytest.mark.parametrize(("permission", "mode", "amps"), [(1, D, 0), (1, C, 2), (2, D, -2), (2, C, 0), (0, C, 0), (3, C, 2)])
def test_what_the_battery_permits(permission: int, mode: ConverterMode, amps: float) -> None:
    engine = world()
    engine.set_permission(1, permission)
    engine.set_mode(1, mode, 350, 2, 0)
    assert engine.grid_current_a[1] == amps
    assert alarms_of(int(engine.alarm[1])) == ([] if amps else ["permission"])


def test_a_battery_runs_empty_at_the_moment_it_is_and_stops_giving() -> None:
    engine = world(charge=50.0)
    engine.set_state_of_charge(1, 0.5)
    engine.set_mode(1, D, 380, 8, 0)
    engine.advance_to(120)
    assert engine.grid_current_a[1] == 0
    assert engine.state_of_charge_pct.min() >= 0


@pytest.mark.parametrize(
    ("change", "mode", "alarm"),
    [
        ({"line_over_voltage_v": 340}, C, Alarm.LINE_OVER_VOLTAGE),
        ({"line_under_voltage_v": 360}, C, Alarm.LINE_UNDER_VOLTAGE),
        ({"battery_current_a": 5}, C, Alarm.BATTERY_CURRENT),
        ({"battery_over_voltage_v": 47}, C, Alarm.BATTERY_OVER_VOLTAGE),
        ({"battery_under_voltage_v": 49}, C, Alarm.BATTERY_UNDER_VOLTAGE),
    ],
)
def test_thresholds_act_where_they_are_switched_on(change: dict[str, float], mode: ConverterMode, alarm: Alarm) -> None:
    for active in (False, True):
        houses = (House("E001", 0), House("E002", 1, protection=replace(Protection(), active=active, **change)))
        engine = Engine(houses, quiet_profiles(), START, Site(ramp_s=0.0))
        engine.set_mode(0, R, 350, 8.5, 0)
        engine.set_mode(1, mode, 350, 2, 0)
        assert bool(engine.grid_current_a[1] == 0) is active
        assert bool(engine.alarm[1] & alarm) is active
        engine.set_mode(1, mode, 350, 2, 0)
        # A heavy alarm stays until the converter is told to wait.
        assert bool(engine.grid_current_a[1] == 0) is active
        engine.set_mode(1, W, 350, 0, 0)
        assert engine.alarm[1] == 0


def test_no_under_voltage_while_the_line_rises() -> None:
    engine = Engine((House("E001", 0, protection=Protection(active=True)),), quiet_profiles(), START, Site(ramp_s=120.0))
    engine.set_mode(0, R, 350, 2, 0)
    engine.advance_to(60)
    assert engine.line_voltage_v == pytest.approx(175)
    assert engine.alarm[0] == 0


def test_a_leak_is_what_the_currents_do_not_sum_to_and_a_dip_passes() -> None:
    engine = world()
    engine.set_mode(1, C, 350, 2, 0)
    engine.set_leak(0.4)
    assert engine.grid_current_a.sum() == pytest.approx(-0.4)
    engine.set_leak(0.0)
    engine.dip(0.8, 3.0)
    assert engine.unit_voltage_v.tolist() == [280, 280]
    engine.advance_to(10)
    assert engine.unit_voltage_v.tolist() == [350, 350]
