"""The physics: conservation, losses, ramps, and what the device API answers."""

from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from apis_core.emulator.api import BadRequestError, DeviceApi
from apis_core.emulator.engine import Engine
from apis_core.emulator.houses import House
from apis_core.emulator.profiles import bundled, read_load, read_solar, with_files
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import ConfigError
from tests.builders import quiet_profiles

START = datetime(2020, 1, 1)  # noqa: DTZ001 - the emulated houses' local time
W, C, D, R = ConverterMode.WAIT, ConverterMode.CHARGE, ConverterMode.DISCHARGE, ConverterMode.VOLTAGE_REFERENCE


def engine(count: int = 3, charge: float = 50.0, **house: Any) -> Engine:
    houses = tuple(House(f"E{i + 1:03}", i, state_of_charge_pct=charge, **house) for i in range(count))
    return Engine(houses, quiet_profiles(), START)


def answer(world: Engine, target: str) -> Any:
    return DeviceApi(world).answer(target)


def live(count: int = 3, charge: float = 50.0) -> Engine:
    world = engine(count, charge)
    world.set_mode(0, R, 350, 8.5, 0)
    world.advance_to(120)
    return world


def test_a_charger_loses_71_w_a_reference_and_a_giver_55_w_an_idle_one_4_5_w() -> None:
    world = live(4)
    world.set_mode(1, D, 380, 2, 0)
    world.set_mode(2, C, 350, 3, 0)
    assert world.grid_current_a.tolist() == [-1, -2, 3, 0]
    assert world.battery_power_w.tolist() == [-405, -755, 979, -4.5]


@pytest.mark.parametrize(("amps", "percent"), [(1, 68.9), (2, 83.3), (7, 95.0)])
def test_efficiency_from_battery_to_battery(amps: float, percent: float) -> None:
    world = live()
    world.set_mode(1, C, 350, amps, 0)
    given, taken = -world.battery_power_w[0], world.battery_power_w[1]
    assert taken / given * 100 == pytest.approx(percent, abs=0.05)


command = st.tuples(st.integers(0, 3), st.sampled_from([W, C, D, R]), st.floats(300, 380), st.floats(0, 7), st.floats(0, 400))


@settings(deadline=None, max_examples=50)
@given(st.lists(command, max_size=15))
def test_energy_is_conserved_whatever_is_commanded(commands: list[tuple[int, ConverterMode, float, float, float]]) -> None:
    world = engine(4)
    before = world.energy_wh.copy()
    flow_wh = np.zeros(4)
    moment = 0.0
    for unit, mode, volts, amps, seconds in commands:
        world.set_mode(unit, mode, volts, amps, 0)
        assert world.grid_current_a.sum() == pytest.approx(0, abs=1e-9)
        for _ in range(int(seconds // 10) + 1):
            earlier = world.energy_wh.copy()
            moment += 10
            world.advance_to(moment)
            flow_wh += world.energy_wh - earlier
    assert world.energy_wh == pytest.approx(before + flow_wh)
    assert (world.state_of_charge_pct >= 0).all()
    assert (world.state_of_charge_pct <= 100).all()
    assert world.grid_integral_wh.sum() == pytest.approx(0, abs=1e-6)


currents = st.lists(st.tuples(st.integers(0, 3), st.floats(-1, 9), st.sampled_from([0.0, 3.0, 600.0])), max_size=12)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([W, C, D]), min_size=3, max_size=3), st.sampled_from([0.2, 50.0, 100.0]), currents)
def test_a_current_alone_settles_as_the_whole_line_does(
    modes: list[ConverterMode], charge: float, orders: list[tuple[int, float, float]]
) -> None:
    alone, whole = live(4, charge), live(4, charge)
    for world in (alone, whole):
        for unit, mode in enumerate(modes, 1):
            world.set_mode(unit, mode, 350, 2, 0)
    for unit, amps, seconds in orders:
        for world in (alone, whole):
            world.advance_to(world.elapsed_s + seconds)
            world.set_current(unit, amps)
        whole.set_leak(whole.leak_a)
        for name in ("grid_current_a", "grid_power_w", "unit_voltage_v", "flow_w", "solar_w", "alarm", "energy_wh"):
            assert getattr(alone, name).tolist() == getattr(whole, name).tolist(), name


def test_integrals_are_exact_across_a_command_at_any_moment() -> None:
    world = live()
    before = world.battery_integral_wh.copy()
    world.advance_to(123.4)
    world.set_mode(1, C, 350, 1, 0)
    world.advance_to(3723.4)
    world.set_mode(1, W, 350, 0, 0)
    world.advance_to(3733.4)
    gained = world.battery_integral_wh - before
    assert gained[1] == pytest.approx(279 - 4.5 * 13.4 / 3600)
    assert gained[0] == pytest.approx(-405 - 55 * 13.4 / 3600)


def test_the_line_rises_in_two_minutes_and_falls_with_its_reference() -> None:
    world = engine()
    world.set_mode(0, R, 350, 2, 0)
    world.advance_to(60)
    assert world.line_voltage_v == pytest.approx(175)
    world.set_mode(0, W, 350, 0, 0)
    world.advance_to(180)
    assert world.line_voltage_v == 0


def test_a_command_to_another_unit_does_not_disturb_the_ramp() -> None:
    world = engine()
    world.set_mode(0, R, 350, 2, 0)
    world.advance_to(60)
    world.set_mode(1, W, 350, 0, 0)
    world.advance_to(90)
    assert world.line_voltage_v == pytest.approx(262.5)


def test_small_raises_of_a_live_line_are_immediate() -> None:
    world = live()
    for volts in (330, 370, 340, 350, 310):
        world.set_voltage(0, volts, None)
        assert world.line_voltage_v == volts


def test_two_references_in_a_hand_over_share_the_current() -> None:
    world = live()
    world.set_mode(1, D, 380, 1, 0)
    world.set_mode(2, R, 350, 2, 0.039)
    assert world.grid_current_a.tolist() == [0.5, -1, 0.5]
    world.set_mode(0, W, 350, 0, 0)
    assert world.grid_current_a.tolist() == [0, -1, 1]


def test_a_full_battery_takes_no_more_sun_than_it_needs() -> None:
    houses = (House("E001", 0, state_of_charge_pct=100, solar_kw=10),)
    world = Engine(houses, bundled(), datetime(2020, 6, 1, 11))  # noqa: DTZ001
    assert world.flow_w[0] == 0
    world.advance_to(3600)
    assert world.state_of_charge_pct[0] == pytest.approx(100, abs=0.01)


def test_the_ups_goes_to_bypass_when_the_battery_is_low_and_charges_from_the_mains_when_it_is_empty() -> None:
    world = engine(1, charge=29.0)
    assert world.bypass[0]
    assert not world.ac_charging[0]
    world.set_state_of_charge(0, 19.0)
    assert world.ac_charging[0]
    assert world.flow_w[0] > 100
    world.set_state_of_charge(0, 32.0)
    assert world.bypass[0]
    world.set_state_of_charge(0, 36.0)
    assert not world.bypass[0]


def test_more_units_than_houses_repeat_them_a_week_later() -> None:
    houses = tuple(House(f"E{i:03}", i) for i in range(34))
    world = Engine(houses, bundled(), START)
    later = Engine(houses[:17], bundled(), START.replace(day=8))
    assert world.load_w[17:] == pytest.approx(later.load_w)


def test_the_year_wraps_around() -> None:
    world = Engine((House("E001", 0),), bundled(), datetime(2020, 12, 30, 23))  # noqa: DTZ001
    world.advance_to(3 * 24 * 3600)
    assert world.now == datetime(2021, 1, 2, 23)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/set/dcdc/E009?mode=0x0000&dvg=350&dig=0", 404, "unit 'E009'"),
        ("/set/dcdc/E001", 400, "mode"),
        ("/set/dcdc/E001?mode=0x14&dvg=350&dig=0", 400, "mode"),
        ("/set/dcdc/E001?mode=0x9999&dvg=350&dig=0", 400, "mode"),
        ("/set/dcdc/E001?mode=0x0014&dig=0", 400, "dvg"),
        ("/set/dcdc/E001?mode=0x0014&dvg=350", 400, "dig"),
        ("/set/dcdc/E001?mode=0x0014&dvg=abc&dig=0", 400, "dvg"),
        ("/set/dcdc/E001?mode=0x0014&dvg=nan&dig=0", 400, "dvg"),
        ("/set/dcdc/E001?mode=0x0014&dvg=350&dig=-1", 400, "dig"),
        ("/set/dcdc/E001?mode=0x0014&dvg=350&dig=0&drg=x", 400, "drg"),
        ("/set/dcdc/voltage/E001", 400, "dvg"),
        ("/set/dcdc/current/E001?dig=inf", 400, "dig"),
        ("/set/emu/E001?rsoc=250", 400, "rsoc"),
        ("/set/emu/E001?ups_operation_mode=3", 400, "ups_operation_mode"),
        ("/nothing", 404, "/nothing"),
    ],
)
def test_inputs_that_kill_the_original_are_refused_and_change_nothing(target: str, status: int, words: str) -> None:
    world = live()
    before = answer(world, "/get/log")
    with pytest.raises(BadRequestError, match=words) as caught:
        answer(world, target)
    assert caught.value.status == status
    assert answer(world, "/get/log") == before


def test_unknown_units_are_empty_objects_where_nodes_expect_that() -> None:
    world = live()
    assert answer(world, "/get/unit/E009") == {}
    assert answer(world, "/get/dcdc/status/E009") == {}


def test_a_unit_is_shown_reduced_to_nodes_and_whole_in_the_log() -> None:
    world = live()
    unit = answer(world, "/get/unit/E001")
    assert set(unit) == {"emu", "dcdc", "oesunit", "time"}
    assert set(unit["dcdc"]) == {"status", "meter", "vdis", "param"}
    assert unit["dcdc"]["param"] == {"dig": 8.5}
    assert unit["time"] == "2020/01/01-00:02:00"
    whole = answer(world, "/get/log")["E001"]
    assert {"powermeter"} == set(whole["dcdc"]) - set(unit["dcdc"])
    set_ = answer(world, "/set/dcdc/E002?mode=0x0041&dvg=350.0&dig=1.0&drg=0")
    assert set_["meter"] == {"vg": 350.0, "ig": 1.0, "wg": 350.0, "vb": 48.0, "ib": 5.81, "wb": 279.0, "tmp": 26.59}
    assert set(answer(world, "/set/dcdc/current/E002?dig=2")) == {"meter", "param"}
    assert set(answer(world, "/set/dcdc/voltage/E001?dvg=340&drg=0.039")) == {"meter", "vdis"}
    assert set(answer(world, "/get/dcdc/status/E002")) == {"status", "meter"}
    assert answer(world, "/set/emu/E003?rsoc=70")["E003"]["emu"]["rsoc"] == 70


def load_file(path: Path, cell: str = "0.5", days: int = 2) -> Path:
    rows = ["header"] + [",".join([str(d), "7", *["x"] * 4, *[cell] * 48]) for d in range(days)]
    path.write_text("\n".join(rows))
    return path


def test_files_in_the_originals_formats(tmp_path: Path) -> None:
    load = read_load(load_file(tmp_path / "load.csv"))
    assert load.values_w.shape == (1, 96)
    assert load.values_w[0, 0] == 500
    solar = tmp_path / "solar.csv"
    solar.write_text("\n".join([",".join(str(h) for h in range(24))] * 365))
    assert read_solar(solar).values_w.shape == (1, 8760)
    profiles = with_files(bundled(), tmp_path / "load.csv", solar)
    world = Engine((House("E001", 0, solar_kw=9),), profiles, START.replace(hour=5))
    assert world.solar_w[0] == 5
    assert world.load_w[0] == 500


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("load", "h\n1,7,x,x,x,x," + ",".join(["1"] * 47 + ["many"]), "line 2, column 53: found 'many', expected a number >= 0"),
        ("load", "h\n1,7,2", "line 2: found 3 columns, expected 54 columns"),
        ("load", "h", "found no household"),
        ("load", None, "No such file"),
        ("solar", "1,2", "line 1, column 2: found '', expected a number >= 0"),
        ("solar", ",".join(["1"] * 24), "found 1 lines, expected 365 lines"),
        ("solar", "\n".join([",".join(["1"] * 48)] * 365), "line 1: found 48 columns, expected 24 columns, one an hour"),
        ("solar", ",".join(["1"] * 24) + ", ", "found 1 lines, expected 365 lines"),
    ],
)
def test_bad_data_files_are_told_with_their_place(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    path = tmp_path / "file.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        (read_load if name == "load" else read_solar)(path)


def test_households_need_the_same_days(tmp_path: Path) -> None:
    path = load_file(tmp_path / "load.csv")
    path.write_text(path.read_text() + "\n" + ",".join(["0", "8", *["x"] * 4, *["1"] * 48]))
    with pytest.raises(ConfigError, match="household 8: found 1 days, expected 2 days"):
        read_load(path)
