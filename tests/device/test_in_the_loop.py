"""Hardware in the loop without hardware: nodes, device drivers, and converters and batteries on pseudo-terminals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
import contextlib
from dataclasses import dataclass, replace
import os
from pathlib import Path
import pty
import random
import signal
import subprocess
import time
from typing import Any

import aiohttp
from aiohttp import web
import pytest

from apis_core import app
from apis_core.clock import WallClock
from apis_core.device import bench
from apis_core.device.api import application
from apis_core.device.server import service_of
from apis_core.device.service import Service
from apis_core.device.settings import read
from apis_core.device.simulated import LineFault, SimulatedBattery, SimulatedConverter
from apis_core.drivers.modbus_battery import BatteryError, ModbusBattery, Register, RegisterMap
from apis_core.emulator.settings import Settings as EmulatorSettings
from apis_core.emulator.world import World
from apis_core.model.converter import ConverterMode
from apis_core.model.deal import Deal
from apis_core.model.hardware import Range
from apis_core.model.modes import OperationMode
from apis_core.server.client import RemoteCommunity
from apis_core.web import port_of
from tests.builders import a_hardware, a_policy, scenario_json
from tests.model.test_files import CONFIG, change, write
from tests.test_processes import APIS, ENVIRONMENT, ROOT, a_port

pytestmark = pytest.mark.waits
# More of them in the long runs of the night.
UNPLUGS = int(os.environ.get("APIS_UNPLUGS", "10"))

DRIVER_FILE = """
ess_system:
  type: essx_type_oes
  dcdc_dev:
    - name: dcdc1
      config: dcdc_default_eza2500
      class: ESSXRS485
      params: ["{folder}/{unit}-converter", 19200]
      kwparams: {{dir_pin: "not_used"}}
      address1: 0
      address2: 16
  battery_dev:
    - name: battery
      config: battery_emulator
      class: ESSXModbus
      params: []
      kwparams: {{method: rtu, port: "{folder}/{unit}-battery", timeout: 1, baudrate: 9600, dir_pin: "not_used"}}
      unit: 1
      modbus_adr_rsoc: 30030
      modbus_adr_status: 30031
dcdc:
  dcdc_default_eza2500:
    type: tdk_eza2500
    number_of_dcdc_error_retry: 3
    number_of_timeout_retry: 3
    wait_for_retry: 0.1
    config: {{cib: 52, ubv: 40, obv: 59, ugv: 300, ogv: 400, bcf: 0x0003, cvb: 57.6, dlb: 49, cdb: 1.2, ddb: 1.8, drb: 0.0}}
battery:
  battery_emulator:
    type: battery_emulator
    config: {{battery_voltage: 52.0, battery_current: 20.0, force_dcdc_waiting: No}}
"""


@dataclass
class House:
    """A unit's driver and what it drives."""

    service: Service
    runner: web.AppRunner
    port: int
    converter: SimulatedConverter
    battery: SimulatedBattery


@dataclass
class Street:
    """Houses on one emulated line."""

    world: World
    houses: dict[str, House]

    def mode(self, unit: str) -> ConverterMode:
        answer = self.world.ask(f"/get/unit/{unit}")
        assert isinstance(answer, dict)
        return ConverterMode(answer["dcdc"]["status"]["status"])


@contextlib.asynccontextmanager
async def street(tmp_path: Path, charges: Sequence[float] = (80.0, 30.0)) -> AsyncIterator[Street]:
    units = [f"E{i + 1:03}" for i in range(len(charges))]
    emulator = EmulatorSettings(units=len(units), port=0, ramp_s=2.0, charges_pct=tuple(charges))
    async with contextlib.AsyncExitStack() as stack:
        world, port = await stack.enter_async_context(app.open_emulator(emulator))
        url = f"http://127.0.0.1:{port}"
        found = await stack.enter_async_context(bench.devices(url, units, tmp_path / "dev", random.Random(1)))
        houses = {}
        for unit in units:
            path = tmp_path / f"{unit}.yml"
            path.write_text(DRIVER_FILE.format(folder=tmp_path / "dev", unit=unit))
            settings, _ = read(path, {"port": 0})
            made = service_of(settings, WallClock())
            await stack.enter_async_context(made.running())
            # Served apart from its work, so that it can be cut off while it goes on.
            runner = web.AppRunner(application(made, lambda: None), access_log=None, shutdown_timeout=0.1)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            converter, battery = found[f"{unit}-converter"], found[f"{unit}-battery"]
            assert isinstance(converter, SimulatedConverter)
            assert isinstance(battery, SimulatedBattery)
            houses[unit] = House(made, runner, port_of(runner), converter, battery)
        yield Street(world, houses)


def configs(tmp_path: Path, houses: dict[str, House]) -> list[Path]:
    """Configurations of units behind device drivers: 5 Wh at 7 A, so that a deal takes seconds."""
    policy = a_policy(
        max(2, len(houses)), deal_grid_current_a=7.0, deal_amount_min_wh=5, deal_amount_unit_wh=5, sum_of_deal_grid_current_max_a=100
    ).to_json()
    hardware = a_hardware(
        grid_current_capacity_a=7.1,
        grid_current_range_a=Range(-7.4, 7.4),
        battery_current_range_a=Range(-60, 60),
        grid_voltage_range_v=Range(-4, 390),
    ).to_json()
    folders = []
    for unit, house in houses.items():
        config = {**CONFIG, "unitId": unit, "unitName": unit, "communityId": str(tmp_path), "systemType": "dcdc_v2"}
        config = change(config, "connection/dcdc_controller", {"host": "127.0.0.1", "port": house.port})
        config["stateFileFormat"] = str(tmp_path / f"state-{unit}-%s")
        config["dealLogDirFormat"] = f"'{tmp_path}/dealLog/'uuuu"
        folder = tmp_path / unit
        folder.mkdir(exist_ok=True)
        folders.append(write(folder, files={"config": config, "policy": policy, "hwConfig": hardware, "scenario": scenario_json()}))
    return folders


async def until(condition: Callable[[], Awaitable[Any] | Any], limit_s: float, what: str) -> float:
    """Wait for something; how long it took [s]."""
    begun_s = time.monotonic()
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return time.monotonic() - begun_s
        assert time.monotonic() - begun_s < limit_s, what
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def node(tmp_path: Path, folders: list[Path]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A node's process and its endpoint."""
    port = a_port()
    arguments = [*APIS, "node", *(part for folder in folders for part in ("--config", str(folder)))]
    arguments += ["--data-dir", str(tmp_path / "data"), "--port", str(port)]
    with (tmp_path / "node.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)
    try:
        async with aiohttp.ClientSession() as session:

            async def answers() -> bool:
                assert process.returncode is None, (tmp_path / "node.log").read_text()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/api/v1/snapshot"):
                        return True
                return False

            await until(answers, 40, "the node does not answer")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), 40)
            except TimeoutError:
                process.kill()


@contextlib.asynccontextmanager
async def remote(url: str) -> AsyncIterator[RemoteCommunity]:
    """A node's community, steered by hand."""
    community = RemoteCommunity.connect(url)
    try:
        await community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        yield community
    finally:
        await community.close()


async def ended(community: RemoteCommunity, deal_id: str) -> Deal | None:
    return next((deal for deal in await community.deals() if deal.deal_id == deal_id and deal.is_ended), None)


async def started(community: RemoteCommunity, *deal_ids: str) -> bool:
    return {deal.deal_id for deal in await community.deals() if deal.is_started} >= set(deal_ids)


async def test_two_units_complete_a_deal_through_drivers_lines_and_registers(tmp_path: Path) -> None:
    async with street(tmp_path) as here, node(tmp_path, configs(tmp_path, here.houses)) as (_, url), remote(url) as community:
        deal = await community.create_deal("E001", "E002", 5, who="test")
        await until(lambda: ended(community, deal.deal_id), 90, "the deal does not end")
        found = await ended(community, deal.deal_id)
        assert found is not None
        assert found.is_completed, found
        assert found.cumulate_amount_wh == pytest.approx(5, rel=0.2)
        assert {here.mode(unit) for unit in here.houses} == {ConverterMode.WAIT}
        assert all(house.service.keeper.trips == 0 and house.service.keeper.has_heartbeat for house in here.houses.values())


async def test_a_node_that_is_killed_leaves_its_converters_to_their_drivers(tmp_path: Path) -> None:
    async with street(tmp_path) as here, node(tmp_path, configs(tmp_path, here.houses)) as (process, url):
        async with remote(url) as community:
            deal = await community.create_deal("E001", "E002", 50, who="test", current_a=2.0)
            await until(lambda: started(community, deal.deal_id), 60, "the deal does not start")
        modes = {unit: here.mode(unit) for unit in here.houses}
        (reference,) = [unit for unit, mode in modes.items() if mode is ConverterMode.VOLTAGE_REFERENCE]
        (pushing,) = set(modes) - {reference}
        process.kill()
        killed_s = time.monotonic()
        await until(lambda: here.mode(pushing) is ConverterMode.WAIT, 8, "the current mode goes on")
        current_s = time.monotonic() - killed_s
        assert here.mode(reference) is ConverterMode.VOLTAGE_REFERENCE
        await until(lambda: here.mode(reference) is ConverterMode.WAIT, 40, "the reference goes on")
        assert current_s <= 6.5
        assert 30 <= time.monotonic() - killed_s <= 37


async def test_a_driver_that_is_cut_off_ends_its_own_deal_only(tmp_path: Path) -> None:
    async with (
        street(tmp_path, (80.0, 30.0, 75.0, 35.0)) as here,
        node(tmp_path, configs(tmp_path, here.houses)) as (_, url),
        remote(url) as community,
    ):
        first = await community.create_deal("E001", "E002", 50, who="test", current_a=2.0)
        second = await community.create_deal("E003", "E004", 5, who="test", current_a=2.0)
        await until(lambda: started(community, first.deal_id, second.deal_id), 90, "the deals do not start")
        references = [unit for unit in here.houses if here.mode(unit) is ConverterMode.VOLTAGE_REFERENCE]
        # One whose loss is the harder case: the reference, if it is in the first deal.
        victim = next((unit for unit in references if unit in {"E001", "E002"}), "E001")
        limit_s = 37 if victim in references else 7
        await here.houses[victim].runner.cleanup()
        await until(lambda: here.mode(victim) is ConverterMode.WAIT, limit_s, "the unit that is cut off goes on")
        await until(lambda: ended(community, first.deal_id), 60, "the deal of the unit that is cut off does not end")
        lost = await ended(community, first.deal_id)
        assert lost is not None
        assert not lost.is_completed
        assert lost.abort_reason, lost
        await until(lambda: ended(community, second.deal_id), 300, "the other deal does not end")
        other = await ended(community, second.deal_id)
        assert other is not None
        assert other.is_completed, other


async def test_a_port_that_is_pulled_out_again_and_again_is_used_again_within_two_seconds(tmp_path: Path) -> None:
    rng = random.Random(2)
    async with street(tmp_path, (50.0,)) as here:
        house = here.houses["E001"]
        await until(lambda: house.service.snapshot, 5, "nothing is read")
        slowest_s = 0.0
        for _ in range(UNPLUGS):
            house.converter.set_fault(LineFault.UNPLUG)
            if rng.random() < 0.3:
                house.battery.set_fault(LineFault.UNPLUG)
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            house.converter.set_fault(None)
            house.battery.set_fault(None)
            back_s = house.service.clock.wall()
            slowest_s = max(slowest_s, await until(lambda s=back_s: read_since(house.service, s), 2.0, "it is not read again"))  # type: ignore[misc]
        assert house.service.health.restarts == {}
        await until(lambda: not house.service.health.battery_error, 5, "the battery is not read again")


def read_since(service: Service, moment_s: float) -> bool:
    return service.snapshot is not None and service.snapshot.taken_s >= moment_s


@pytest.mark.parametrize("fault", [fault for fault in LineFault if fault is not LineFault.UNPLUG])
async def test_every_fault_of_a_line_passes_without_a_trace(tmp_path: Path, fault: LineFault) -> None:
    async with street(tmp_path, (50.0,)) as here:
        house = here.houses["E001"]
        await until(lambda: house.service.snapshot and house.service.battery().reading, 5, "nothing is read")
        house.converter.set_fault(fault)
        house.battery.set_fault(fault)
        await asyncio.sleep(1.5)
        house.converter.set_fault(None)
        house.battery.set_fault(None)
        back_s = house.service.clock.wall()
        await until(lambda: read_since(house.service, back_s), 2.0, "it is not read again")
        await until(lambda: not house.service.health.battery_error, 5, "the battery is not read again")
        assert house.service.health.restarts == {}
        reading = house.service.battery().reading
        assert reading is not None
        assert reading.state_of_charge_pct == pytest.approx(50, abs=0.2)


async def test_who_is_to_end_while_a_battery_is_silent_ends() -> None:
    ours, theirs = pty.openpty()
    battery = ModbusBattery(os.ttyname(theirs), 9600, timeout_s=30)
    try:
        reading = asyncio.create_task(battery.read())
        await asyncio.to_thread(os.read, ours, 256)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    finally:
        await battery.close()
        os.close(ours)
        os.close(theirs)


async def test_a_batterys_own_registers_and_what_cannot_be(tmp_path: Path) -> None:
    charge_pct = 41.5

    async def ask(_path: str) -> Any:
        return {"emu": {"rsoc": charge_pct, "battery_operation_status": 0}}

    apart = RegisterMap(30030, 30040, 0.1, (Register("temperature_c", 30030, 0.01, 0, 10, signed=True),))
    device = SimulatedBattery(tmp_path / "battery", "E001", ask, random.Random(1), apart)
    running = asyncio.create_task(device.run())
    await asyncio.sleep(0.05)
    battery = ModbusBattery(str(tmp_path / "battery"), 9600, registers=apart, timeout_s=0.5)
    found = await battery.read()
    assert (found.state_of_charge_pct, found.is_permitted) == (41.5, False)
    assert found.others["temperature_c"] == pytest.approx(4.15)
    charge_pct = 120.0
    with pytest.raises(BatteryError, match="120 %, expected 0 to 100"):
        await battery.read()
    charge_pct = 100.0
    await battery.close()
    narrow = replace(apart, others=(Register("temperature_c", 30030, 0.1, 0, 10),))
    other = ModbusBattery(str(tmp_path / "battery"), 9600, registers=narrow, timeout_s=0.5)
    with pytest.raises(BatteryError, match="temperature_c is 100, expected 0 to 10"):
        await other.read()
    await other.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(BatteryError, match="cannot be opened"):
        await other.read()
