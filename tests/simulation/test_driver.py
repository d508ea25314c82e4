"""The driver of quiet runs reads what an emulator's answers say, to the digit."""

import asyncio

from hypothesis import given, strategies as st

from apis_core.drivers.emulator import EmulatorDriver
from apis_core.emulator.building import build
from apis_core.emulator.engine import MODES
from apis_core.emulator.protection import Alarm
from apis_core.emulator.settings import Settings
from apis_core.emulator.world import World
from apis_core.model.converter import Battery, Converter, ConverterMode
from apis_core.simulation.driver import DirectDriver

UNITS = ("E001", "E002", "E003")


@given(
    st.lists(st.tuples(st.sampled_from(MODES), st.floats(0, 2.3)), min_size=3, max_size=3),
    st.floats(0, 100),
    st.integers(0, 3),
    st.floats(0, 7200),
    st.booleans(),
)
def test_both_drivers_read_the_same(
    orders: list[tuple[ConverterMode, float]], percent: float, permission: int, elapsed_s: float, trips: bool
) -> None:
    world = World(build(Settings(units=3)), lambda: 0.0)
    engine = world.engine
    for unit, (mode, current_a) in enumerate(orders):
        engine.set_mode(unit, mode, 350.0, current_a, 0.039)
    engine.set_state_of_charge(0, percent)
    engine.set_permission(0, permission)
    if trips:
        engine.trip(1, Alarm.INJECTED)
    engine.advance_to(elapsed_s)

    async def compare() -> None:
        for unit_id in UNITS:
            theirs, ours = await EmulatorDriver(unit_id, world.send).read(), await DirectDriver(unit_id, world).read()
            assert Converter.from_json(theirs.dcdc) == ours.dcdc
            # A battery that allows everything does not say so.
            assert Battery.from_json(theirs.battery) == ours.battery
            assert Converter.from_json(theirs.dcdc).merged(await EmulatorDriver(unit_id, world.send).status()) == ours.dcdc

    asyncio.run(compare())
