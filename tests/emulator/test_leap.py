"""Long strides are the same physics as many steps."""

from datetime import datetime
from typing import Any

from hypothesis import example, given, settings, strategies as st
import numpy as np
import pytest

from apis_core.emulator.engine import STEP_S, Engine
from apis_core.emulator.houses import House
from apis_core.emulator.leap import LeapingEngine
from apis_core.emulator.profiles import bundled
from apis_core.model.converter import ConverterMode

START = datetime(2020, 6, 1)  # noqa: DTZ001 - the emulated houses' local time
PROFILES = bundled()
HOUSES = tuple(House(f"E{i + 1:03}", i, solar_kw=1.0 + i, state_of_charge_pct=10.0 + 15 * i) for i in range(6))

moves = st.lists(
    st.tuples(
        st.sampled_from([3.3, 17.0, 260.0, 3000.0, 7200.5, 40_000.0]),
        st.integers(0, 5),
        st.sampled_from(list(ConverterMode)),
        st.sampled_from([0.5, 1.0, 2.0]),
    ),
    max_size=12,
)


# A battery that comes to exactly nothing with a step: sums in another order are the last bit above it.
EXACTLY_EMPTY = [
    (3.3, 0, ConverterMode.WAIT, 0.5),
    (3.3, 4, ConverterMode.DISCHARGE, 2.0),
    (40_000.0, 0, ConverterMode.WAIT, 0.5),
    (40_000.0, 0, ConverterMode.VOLTAGE_REFERENCE, 1.0),
    (3.3, 1, ConverterMode.VOLTAGE_REFERENCE, 0.5),
    (40_000.0, 0, ConverterMode.WAIT, 0.5),
]


@settings(max_examples=25, deadline=None)
@given(moves)
@example(EXACTLY_EMPTY)
def test_any_commands_lead_to_the_same_state(commands: list[tuple[float, int, ConverterMode, float]]) -> None:
    steps, strides = Engine(HOUSES, PROFILES, START), LeapingEngine(HOUSES, PROFILES, START)
    moment_s = 0.0
    for ahead_s, unit, mode, current_a in [*commands, (20_000.0, 0, ConverterMode.WAIT, 0.0)]:
        moment_s += ahead_s
        for engine in (steps, strides):
            engine.advance_to(moment_s)
            engine.set_mode(unit, mode, 350.0, current_a, 0.0)
        for name in ("energy_wh", "grid_integral_wh", "battery_integral_wh", "wasted_wh", "flow_w", "load_w", "solar_w"):
            np.testing.assert_allclose(getattr(strides, name), getattr(steps, name), rtol=0, atol=1e-6, err_msg=name)
        for name in ("bypass", "ac_charging", "alarm", "mode"):
            np.testing.assert_array_equal(getattr(strides, name), getattr(steps, name), err_msg=name)


def test_totals_are_the_sums_over_all_steps() -> None:
    steps, strides = Engine(HOUSES, PROFILES, START), LeapingEngine(HOUSES, PROFILES, START)
    sums: dict[str, Any] = dict.fromkeys(("load", "solar", "curtailed", "mains", "ac_loss", "dc_loss"), 0.0)
    for _ in range(round(2 * 86_400 / STEP_S)):
        for name, before_wh in sums.items():
            sums[name] = before_wh + getattr(steps, f"{name}_w") * (STEP_S / 3600)
        steps.advance_to(steps.elapsed_s + STEP_S)
    strides.advance_to(2 * 86_400)
    sums["solar"], sums["curtailed"] = sums["solar"] - steps.wasted_wh, sums["curtailed"] + steps.wasted_wh
    for name, total_wh in sums.items():
        np.testing.assert_allclose(strides.totals_wh[name], total_wh, atol=1e-6, err_msg=name)


def test_energy_is_conserved_over_a_year() -> None:
    engine = LeapingEngine(HOUSES, PROFILES, START)
    before_wh = engine.energy_wh.copy()
    engine.advance_to(365 * 86_400)
    totals = engine.totals_wh
    bought_and_made = totals["solar"] + totals["mains"]
    used_and_lost = totals["load"] + totals["ac_loss"] + totals["dc_loss"]
    assert bought_and_made - used_and_lost == pytest.approx(engine.energy_wh - before_wh, rel=1e-6, abs=0.1)


@pytest.mark.parametrize("row", [0, 1])
def test_the_moment_of_a_crossing_is_foreseen(row: int) -> None:
    engine, nobody = LeapingEngine(HOUSES, PROFILES, START), np.full((2, len(HOUSES)), np.inf)
    low_wh = np.full((2, len(HOUSES)), -np.inf)
    low_wh[row, 5] = engine.energy_wh[5] - 10

    def energy_wh() -> float:
        return float((engine.energy_wh, engine.without_exchange_wh())[row][5])

    while energy_wh() > low_wh[row, 5]:
        foreseen_s = engine.first_outside_s(low_wh, nobody)
        engine.advance_to(foreseen_s - STEP_S)
        assert energy_wh() > low_wh[row, 5]
        engine.advance_to(foreseen_s)
    assert 0 < engine.elapsed_s < 86_400
