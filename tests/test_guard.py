"""The guard: what it lets pass, when it stops a converter, and that it outlives the node's process."""

import asyncio
from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any
import urllib.request

from hypothesis import given, strategies as st
import orjson
import pytest

from apis_core.clock import WallClock
from apis_core.drivers.emulator import EmulatorDriver
from apis_core.guard.client import GuardProcess, ProcessUnitGuard, socket_path
from apis_core.guard.dead_man import CURRENT, OFF, REFERENCE, DeadMan, Watched
from apis_core.guard.process import Guard
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import CommandRefusedError, DriverError
from apis_core.ports import GuardOrders, GuardRole
from tests.test_processes import APIS, ENVIRONMENT, ROOT, a_port, apis, emulator, folders

pytestmark = pytest.mark.waits
# More of them in the long runs of the night.
KILLS = int(os.environ.get("APIS_GUARD_KILLS", "8"))

WAIT, REFERENCE_CODE = "0x0000", "0x0014"


def armed(*roles: str) -> DeadMan:
    mind, line = DeadMan(), [f"E{i + 1:03}" for i in range(len(roles))]
    for unit, role in zip(line, roles, strict=True):
        mind.arm(unit, Watched(line, 5.0, 35.0), role, 1, 0.0)
    return mind


def test_current_modes_go_after_five_seconds_and_the_reference_when_all_others_were_read_off() -> None:
    mind = armed(REFERENCE, CURRENT, OFF)
    assert mind.next_s(0.0) == 5.0
    assert mind.due(4.9) == []
    assert mind.due(5.0) == ["E002"]
    assert mind.to_read(5.0) == {"E003"}
    mind.saw("E003", is_off=True, now_s=5.1)
    assert mind.due(5.2) == []
    mind.saw("E002", is_off=True, now_s=5.4)
    assert mind.due(5.5) == ["E001"]
    mind.saw("E001", is_off=True, now_s=5.6)
    assert mind.is_idle()
    assert mind.next_s(6.0) is None


def test_a_reference_waits_its_own_time_where_another_writer_has_the_rest_of_the_line() -> None:
    mind = DeadMan()
    mind.arm("E001", Watched(["E001", "E002"], 5.0, 35.0), REFERENCE, 1, 0.0)
    assert mind.due(34.9) == []
    assert mind.due(35.0) == ["E001"]


def test_after_a_standstill_current_modes_go_first_and_an_overdue_reference_ten_seconds_later() -> None:
    mind = armed(REFERENCE, CURRENT, CURRENT)
    mind.stood_still(160.0)
    assert mind.due(160.0) == ["E002", "E003"]
    assert mind.due(169.9) == ["E002", "E003"]
    assert mind.due(170.0) == ["E001"]
    sooner = armed(REFERENCE, CURRENT)
    sooner.stood_still(160.0)
    assert sooner.due(160.0) == ["E002"]
    sooner.saw("E002", is_off=True, now_s=161.0)
    assert sooner.due(161.1) == ["E001"]


def test_a_wait_that_was_not_read_back_is_sent_again() -> None:
    mind = armed(CURRENT)
    assert mind.due(5.0) == ["E001"]
    assert mind.due(5.5) == []
    assert mind.due(6.0) == ["E001"]
    mind.saw("E001", is_off=False, now_s=6.1)
    assert mind.due(7.0) == ["E001"]


def test_a_trip_latches_until_the_unit_re_arms() -> None:
    mind = armed(CURRENT)
    mind.due(5.0)
    mind.saw("E001", is_off=True, now_s=5.1)
    ask = {"epoch": 1, "deadline_s": 20.0, "now_s": 10.0}
    assert "has not been re-armed" in mind.refusal("E001", active=True, wait=False, **ask)  # type: ignore[arg-type]
    assert mind.refusal("E001", active=False, wait=True, **ask) == ""  # type: ignore[arg-type]
    mind.arm("E001", Watched(["E001"], 5.0, 35.0), OFF, 1, 10.0)
    assert mind.refusal("E001", active=True, wait=False, **ask) == ""  # type: ignore[arg-type]


def test_late_writes_and_older_epochs_are_refused_but_a_wait_in_time_is_not() -> None:
    mind = armed(OFF)
    write: dict[str, Any] = {"active": True, "wait": False, "deadline_s": 10.0}
    assert "too late" in mind.refusal("E001", epoch=1, now_s=10.5, **write)
    assert mind.refusal("E001", epoch=4, now_s=9.0, **write) == ""
    assert "found epoch 3, expected at least 4" in mind.refusal("E001", epoch=3, now_s=9.0, **write)
    assert mind.refusal("E001", active=False, wait=True, epoch=0, deadline_s=10.0, now_s=9.0) == ""
    assert "is not armed" in mind.refusal("E009", epoch=9, now_s=9.0, **write)


@given(beats=st.lists(st.floats(0.1, 12), max_size=12), roles=st.lists(st.sampled_from([CURRENT, REFERENCE, OFF]), min_size=2, max_size=5))
def test_no_current_mode_outlives_its_beats_and_no_reference_leaves_before_it(beats: list[float], roles: list[str]) -> None:
    mind, now_s, last_beat_s = armed(*roles), 0.0, 0.0
    off: dict[str, float] = {unit: 0.0 for unit, role in zip(mind.units, roles, strict=True) if role == OFF}
    moments = sorted({round(sum(beats[: i + 1]), 1) for i in range(len(beats))})
    for tick in range(int((moments[-1] if moments else 0) * 10) + 500):
        now_s = tick / 10
        if now_s in moments and not off.keys() - {u for u, r in zip(mind.units, roles, strict=True) if r == OFF}:
            last_beat_s = now_s
            for unit in mind.units:
                mind.beat(unit, now_s)
        for unit in (*mind.due(now_s), *mind.to_read(now_s)):
            is_off = bool(mind.units[unit].trip) or mind.units[unit].role == OFF
            mind.saw(unit, is_off=is_off, now_s=now_s)
            off.setdefault(unit, now_s)
    currents = [off[unit] for unit, role in zip(mind.units, roles, strict=True) if role == CURRENT]
    references = [off[unit] for unit, role in zip(mind.units, roles, strict=True) if role == REFERENCE]
    assert all(moment <= last_beat_s + 5.2 for moment in currents)
    assert all(reference >= max(currents, default=0.0) for reference in references)
    assert all(reference <= last_beat_s + 35.2 for reference in references)


class Bench:
    """An emulator's converters behind one guard process."""

    def __init__(self, folder: Path, port: int, units: tuple[str, ...]) -> None:
        self.client = GuardProcess(folder, WallClock())
        self.folder, self.port, self.units = folder, port, units

    def orders(self, unit_id: str) -> GuardOrders:
        return GuardOrders(self.units, 1.0, 3.0, EmulatorDriver(unit_id, _never).set_mode(ConverterMode.WAIT, 350, 0, 0))

    def unit(self, unit_id: str) -> ProcessUnitGuard:
        driver = EmulatorDriver(unit_id, _never)
        return self.client.unit(
            unit_id,
            base_url=f"http://127.0.0.1:{self.port}",
            status=driver.ask_status(),
            lock=self.folder / f"{unit_id}.lock",
            timeout_s=2.0,
        )

    @property
    def pid(self) -> int:
        text = subprocess.run(["pgrep", "-f", str(socket_path(self.folder))], capture_output=True, text=True, check=True).stdout
        return int(text.split()[0])


async def _never(_request: object) -> Any:
    raise AssertionError("the guard sends by itself")


def mode_of(port: int, unit: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/get/dcdc/status/{unit}", timeout=5) as answer:
        return str(orjson.loads(answer.read())["status"]["status"])


async def in_wait(port: int, unit: str, within_s: float) -> float:
    begun_s = time.monotonic()
    while await asyncio.to_thread(mode_of, port, unit) != WAIT:
        assert time.monotonic() - begun_s < within_s, f"{unit} is still on after {within_s} s"
        await asyncio.sleep(0.05)
    return time.monotonic() - begun_s


async def test_the_guard_process_writes_watches_and_latches(tmp_path: Path) -> None:
    with emulator(2, 1) as port:
        bench, clock = Bench(tmp_path, port, ("E001", "E002")), WallClock()
        first, second = bench.unit("E001"), bench.unit("E002")
        with pytest.raises(DriverError):
            await first.write(EmulatorDriver("E001", _never).set_current(1), epoch=1, deadline_s=clock.wall() + 2, role=None)
        await first.arm(GuardRole.OFF, 1, bench.orders("E001"))
        await second.arm(GuardRole.OFF, 1, bench.orders("E002"))
        drivers = [EmulatorDriver(unit, _never) for unit in bench.units]
        on = drivers[0].set_mode(ConverterMode.VOLTAGE_REFERENCE, 350, 2, 0)
        answer = await first.write(on, epoch=1, deadline_s=clock.wall() + 2, role=GuardRole.REFERENCE)
        assert answer["status"]["status"] == REFERENCE_CODE
        charge = drivers[1].set_mode(ConverterMode.CHARGE, 350, 1, 0)
        await second.write(charge, epoch=2, deadline_s=clock.wall() + 2, role=GuardRole.CURRENT)
        with pytest.raises(CommandRefusedError, match="too late"):
            await second.write(charge, epoch=2, deadline_s=clock.wall() - 1, role=GuardRole.CURRENT)
        with pytest.raises(CommandRefusedError, match="found epoch 1, expected at least 2"):
            await second.write(charge, epoch=1, deadline_s=clock.wall() + 2, role=GuardRole.CURRENT)
        for _ in range(4):
            await asyncio.sleep(0.5)
            await first.beat()
            await second.beat()
        assert mode_of(port, "E002") == "0x0041"
        await in_wait(port, "E002", 2.0)
        await in_wait(port, "E001", 2.0)
        report = await second.report("E002")
        assert report is not None
        assert (report.role, report.is_off) == (GuardRole.OFF, True)
        assert "no sign of its unit for 1 s" in report.trip
        with pytest.raises(CommandRefusedError, match="has not been re-armed"):
            await second.write(charge, epoch=2, deadline_s=clock.wall() + 2, role=GuardRole.CURRENT)
        await second.arm(GuardRole.OFF, 2, bench.orders("E002"))
        await second.write(charge, epoch=2, deadline_s=clock.wall() + 2, role=GuardRole.CURRENT)
        # A guard of another folder does not get the converter, and says why.
        (tmp_path / "other").mkdir()
        stranger = Bench(tmp_path / "other", port, bench.units)
        stranger.folder = bench.folder
        with pytest.raises(DriverError, match="another guard watches over E002; it lets go 15 s after"):
            await stranger.unit("E002").arm(GuardRole.OFF, 9, bench.orders("E002"))
        await stranger.client.close()
        # Another node takes the running guard over, and told to end it takes the converter off at once.
        pid = bench.pid
        await bench.client.close()
        again = Bench(tmp_path, port, bench.units)
        assert (await again.unit("E002").report("E002")) is not None
        assert again.pid == pid
        os.kill(pid, signal.SIGTERM)
        assert await in_wait(port, "E002", 2.0) < 2
        await again.client.close()


async def test_the_guard_follows_a_unit_to_another_device_once_the_old_one_is_in_wait(tmp_path: Path) -> None:
    with emulator(2, 1) as one, emulator(2, 1) as two:
        here, clock = Bench(tmp_path, one, ("E001",)), WallClock()
        there = Bench(tmp_path, two, ("E001",))
        there.client = here.client
        driver = EmulatorDriver("E001", _never)
        on = driver.set_mode(ConverterMode.VOLTAGE_REFERENCE, 350, 2, 0)
        first, second = here.unit("E001"), there.unit("E001")
        await first.arm(GuardRole.OFF, 1, here.orders("E001"))
        await first.write(on, epoch=1, deadline_s=clock.wall() + 2, role=GuardRole.REFERENCE)
        # A converter that is on is not let go of.
        with pytest.raises(DriverError, match="was not read in wait: it is not let go of"):
            await second.arm(GuardRole.OFF, 1, there.orders("E001"))
        await in_wait(one, "E001", 6.0)
        await second.arm(GuardRole.OFF, 2, there.orders("E001"))
        await second.write(on, epoch=2, deadline_s=clock.wall() + 2, role=GuardRole.REFERENCE)
        assert (mode_of(one, "E001"), mode_of(two, "E001")) == (WAIT, REFERENCE_CODE)
        # What stops the unit is what watches over its present device.
        await in_wait(two, "E001", 6.0)
        await here.client.close()


@contextlib.contextmanager
def a_node(configs: list[Path], data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A node in a process group of its own, ready; whatever is left of it is killed."""
    arguments = [part for config in configs for part in ("--config", str(config))]
    process = subprocess.Popen(
        [*APIS, "node", *arguments, "--data-dir", str(data), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "endpoint http" in line:
                break
        else:
            raise AssertionError("".join(seen))
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


def reference_and_currents(port: int, units: tuple[str, ...]) -> tuple[list[str], list[str]]:
    modes = {unit: mode_of(port, unit) for unit in units}
    return [u for u, m in modes.items() if m == REFERENCE_CODE], [u for u, m in modes.items() if m not in (WAIT, REFERENCE_CODE)]


@pytest.mark.parametrize(("how", "count"), [("kill", KILLS), ("term and kill", 8)])
async def test_a_node_that_is_killed_leaves_a_safe_line_and_takes_its_deals_up_again(tmp_path: Path, how: str, count: int) -> None:
    units = tuple(f"E{i:03}" for i in range(1, count + 1))
    with emulator(count, 4) as port:
        configs, endpoint, data = folders(tmp_path, port, units), a_port(), tmp_path / "data"
        url = ("--url", f"http://127.0.0.1:{endpoint}")
        with a_node(configs, data, endpoint) as node:
            await asyncio.to_thread(apis, "mode", "global", "heteronomous", *url)
            for pair in (("E002", "E003"), ("E004", "E005")):
                made = await asyncio.to_thread(apis, "deal", "create", *pair, "--energy-wh", "8", *url)
                assert made.returncode == 0, made.stderr
            begun_s = time.monotonic()
            while not all(deal.get("cumulateAmountWh", 0) for deal in await asyncio.to_thread(_deals, *url)):
                assert time.monotonic() - begun_s < 90
                await asyncio.sleep(0.5)
            await asyncio.sleep(4)
            ((holder,), currents) = reference_and_currents(port, units)
            assert len(currents) == 3
            before_wh = await asyncio.to_thread(_counted_wh, *url)
            if how == "kill":
                os.kill(node.pid, signal.SIGKILL)
            else:
                os.killpg(node.pid, signal.SIGTERM)
                await asyncio.sleep(3)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(node.pid, signal.SIGKILL)
            for unit in currents:
                await in_wait(port, unit, 5 + 2.5)
            assert mode_of(port, holder) in (REFERENCE_CODE, WAIT)
            await in_wait(port, holder, 35 + 2.5)
        if how == "term and kill":
            return
        await asyncio.sleep(2)
        with a_node(configs, data, endpoint):
            begun_s = time.monotonic()
            deals = await asyncio.to_thread(_deals, *url)
            while not all("deactivateDateTime" in deal or "abortDateTime" in deal for deal in deals):
                assert time.monotonic() - begun_s < 300
                await asyncio.sleep(1)
                deals = await asyncio.to_thread(_deals, *url)
            assert sum(deal["cumulateAmountWh"] for deal in deals) > before_wh
            for deal in deals:
                assert "abortDateTime" not in deal, deal
                assert 8 <= deal["cumulateAmountWh"] < 8.6
                assert len(deal["interruption"]) == 1
                assert deal["energy"][deal["chargeUnitId"]]["estimatedWh"] > 0


async def test_a_node_that_stood_still_finds_its_converters_off_and_goes_on(tmp_path: Path) -> None:
    units = ("E001", "E002", "E003", "E004")
    with emulator(4, 4) as port:
        configs, endpoint, data = folders(tmp_path, port, units), a_port(), tmp_path / "data"
        url = ("--url", f"http://127.0.0.1:{endpoint}")
        with a_node(configs, data, endpoint) as node:
            await asyncio.to_thread(apis, "mode", "global", "heteronomous", *url)
            await asyncio.to_thread(apis, "deal", "create", "E002", "E003", "--energy-wh", "6", *url)
            begun_s = time.monotonic()
            while not await asyncio.to_thread(_counted_wh, *url):
                assert time.monotonic() - begun_s < 90
                await asyncio.sleep(0.5)
            ((holder,), currents) = reference_and_currents(port, units)
            os.kill(node.pid, signal.SIGSTOP)
            for unit in (*currents, holder):
                await in_wait(port, unit, 12)
            await asyncio.sleep(3)
            os.kill(node.pid, signal.SIGCONT)
            deal: dict[str, Any] = {}
            while "deactivateDateTime" not in deal and "abortDateTime" not in deal:
                assert time.monotonic() - begun_s < 300
                await asyncio.sleep(1)
                deal = (await asyncio.to_thread(_deals, *url))[0]
            assert "abortDateTime" not in deal, deal
            assert 6 <= deal["cumulateAmountWh"] < 6.4
            assert len(deal["interruption"]) == 1
            process = await asyncio.to_thread(apis, "mode", "global", *url)
            assert process.stdout.strip() == "heteronomous"


def _deals(*url: str) -> list[dict[str, Any]]:
    return list(orjson.loads(apis("deals", "--format", "json", *url).stdout or "[]"))


def _counted_wh(*url: str) -> float:
    return sum(float(deal.get("cumulateAmountWh", 0)) for deal in _deals(*url))


async def test_a_guard_that_was_started_anew_says_that_it_watches_nobody_until_it_is_armed(tmp_path: Path) -> None:
    with emulator(1, 1) as port:
        bench, clock = Bench(tmp_path, port, ("E001",)), WallClock()
        unit, driver = bench.unit("E001"), EmulatorDriver("E001", _never)
        await unit.arm(GuardRole.OFF, 1, bench.orders("E001"))
        on = driver.set_mode(ConverterMode.VOLTAGE_REFERENCE, 350, 2, 0)
        await unit.write(on, epoch=1, deadline_s=clock.wall() + 2, role=GuardRole.REFERENCE)
        assert await unit.beat()
        os.kill(bench.pid, signal.SIGKILL)
        for _ in range(100):
            if not await unit.beat():
                break
            await asyncio.sleep(0.05)
        await unit.arm(GuardRole.REFERENCE, 1, bench.orders("E001"))
        assert await unit.beat()
        # Nobody beats any more: the new one stops the converter as the old one would have.
        await in_wait(port, "E001", 6.0)
        await bench.client.close()


@pytest.mark.parametrize("kept", ['{"E001": {}}', '{"E001": {"role": "x", "boot": "?"}}', "[1]", "null", "{"])
async def test_a_damaged_memory_of_the_guard_is_none(tmp_path: Path, kept: str) -> None:
    (tmp_path / "guard.json").write_text(kept)
    with emulator(1, 1) as port:
        bench = Bench(tmp_path, port, ("E001",))
        unit = bench.unit("E001")
        assert await unit.report("E001") is None
        await unit.arm(GuardRole.OFF, 1, bench.orders("E001"))
        assert (await unit.report("E001")) is not None
        await bench.client.close()


def test_the_wait_that_is_sent_is_the_one_that_was_armed_last(tmp_path: Path) -> None:
    guard = Guard(str(tmp_path / "s"), str(tmp_path / "state"))
    for voltage in (350, 48):
        claim = {
            "unit": "E001",
            "base": "http://127.0.0.1:1",
            "status": {"method": "GET", "path": "/status"},
            "waiting": {"path": ["status"], "value": "Waiting"},
            "lock": str(tmp_path / "lock"),
            "wait": [{"method": "GET", "path": f"/set?mode=0&dvg={voltage}"}],
            "line": ["E001"],
            "currentS": 5,
            "referenceS": 35,
            "role": "off",
            "epoch": 1,
        }
        guard.do_arm(None, claim)
    assert guard.devices["E001"].wait == claim["wait"]
