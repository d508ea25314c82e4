"""Measures what the product promises about speed: `python -m benchmarks.run [start|cycle|negotiate|process ...]`.

Targets: a deal starts in under 300 ms (policy's check waits and the ramp excluded); a steady Grid Master cycle with 100
running deals on 50 ms drivers takes under 1 s; a node process with one unit stays under 80 MB and 0.5 % of a core.
"""

import asyncio
from collections.abc import Callable, Coroutine
import contextlib
from dataclasses import replace
from datetime import datetime
import os
from pathlib import Path
import random
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from apis_core.clock import WallClock
from apis_core.cluster.embedded import EmbeddedHub
from apis_core.drivers.emulator import EmulatorDriver
from apis_core.emulator.engine import Engine, Site
from apis_core.emulator.houses import House
from apis_core.emulator.profiles import bundled
from apis_core.emulator.world import World
from apis_core.guard.client import socket_path
from apis_core.ledger.database import LedgerDatabase, sqlite_url
from apis_core.ledger.unit_ledger import LedgerWriter, UnitLedger
from apis_core.local_community import LocalCommunity
from apis_core.model.modes import OperationMode
from apis_core.model.negotiation import Offer
from apis_core.model.policy import Policy
from apis_core.node import Node
from apis_core.ports import DeviceRequest
from apis_core.presets import hardware, policy_for, scenario
from apis_core.rules import demand
from apis_core.unit.mediator import wait_until
from apis_core.unit.settings import Settings


class Bench:
    """Units in real time on an emulated line without a ramp, called directly, with a device time that can be set."""

    def __init__(self, units: int, folder: Path, policy: Policy) -> None:
        self.clock = WallClock()
        self.device_s = 0.0
        houses = tuple(House(f"E{i + 1:03}", i, state_of_charge_pct=95.0 if i % 2 == 0 else 45.0) for i in range(units))
        loop = asyncio.get_running_loop()
        self.world = World(Engine(houses, bundled(), datetime(2020, 6, 1, 12), Site(ramp_s=0.0)), loop.time)  # noqa: DTZ001
        self.writer = LedgerWriter(LedgerDatabase(sqlite_url(folder / "bench.sqlite")), threaded=True)
        hub, nodes = EmbeddedHub(), []
        for i, unit in enumerate(policy.member_unit_ids):
            settings = Settings(unit, policy, hardware(), scenario(), self.clock.now().tzinfo, unit_name=unit)  # type: ignore[arg-type]
            driver = EmulatorDriver(unit, self._send)
            nodes.append(Node(settings, driver, hub.join(unit), UnitLedger(self.writer, unit), self.clock, random.Random(i)))
        self.community = LocalCommunity(tuple(nodes), self.clock)

    async def _send(self, request: DeviceRequest) -> Any:
        if self.device_s:
            await asyncio.sleep(self.device_s)
        return await self.world.send(request)

    async def started(self, count: int) -> None:
        await wait_until(self.community.board, lambda: sum(d.is_started for d in self.community.board.deals()) >= count)


@contextlib.asynccontextmanager
async def bench(units: int, **changes: Any) -> Any:
    policy = replace(policy_for(units), operation_mode=OperationMode.STOP, checkpoint_wait_s=0.0, **changes)
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(units, Path(folder), policy)
        await made.community.start()
        await wait_until(made.community.board, lambda: made.community.snapshot_now().grid_master is not None)
        await asyncio.sleep(0.5)
        yield made
        await made.community.set_mode(OperationMode.STOP, None, "bench")
        await wait_until(made.community.board, lambda: all(d.is_ended for d in made.community.board.deals()))
        await made.community.close()
        await made.writer.close()


async def start() -> None:
    """From a unit's look at its battery to the started deal, 4 units; beside the bare device calls of one start."""
    async with bench(4, house_keeping_period_s=3600.0) as made:
        community = made.community
        taken = []
        for _ in range(10):
            await community.set_mode(OperationMode.AUTONOMOUS, None, "bench")
            await wait_until(community.board, lambda: community.board.mode is OperationMode.AUTONOMOUS)
            begun = time.perf_counter()
            while await community.nodes["E001"].user.look() is not None:
                await wait_until(community.nodes["E001"].board, lambda: community.nodes["E001"].board.mode is OperationMode.AUTONOMOUS)
            await made.started(1)
            taken.append(time.perf_counter() - begun)
            await community.set_mode(OperationMode.STOP, None, "bench")
            await wait_until(community.board, lambda: not community.board.deals())
        begun = time.perf_counter()
        for _ in range(30):
            await made.world.send(DeviceRequest("GET", "/get/unit/E001"))
        calls_s = time.perf_counter() - begun
    median = statistics.median(taken)
    print(f"start     request to started: median {median * 1e3:.0f} ms, worst {max(taken) * 1e3:.0f} ms (target 300 ms)")
    print(f"          {median / calls_s:.1f} times the bare device calls of one start ({calls_s * 1e3:.1f} ms)")


async def cycle() -> None:
    """A steady cycle with 100 running deals: readings of 200 units, accounting, safety; beside reading them one by one."""
    async with bench(200, house_keeping_period_s=3600.0) as made:
        community = made.community
        await community.set_mode(OperationMode.HETERONOMOUS, None, "bench")
        await wait_until(community.board, lambda: community.board.mode is OperationMode.HETERONOMOUS)
        units = list(community.nodes)
        for giver, taker in zip(units[::2], units[1::2], strict=True):
            await community.create_deal(giver, taker, 500, who="bench")
        await made.started(100)
        made.device_s = 0.05
        master = next(node.role for node in community.nodes.values() if node.role.is_held)
        taken = []
        for _ in range(5):
            begun = time.perf_counter()
            await master.access.read(*units)
            await master.master.watch_once()
            taken.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        for unit in units[:20]:
            await community.nodes[unit].controller.refresh()
        one_by_one_s = (time.perf_counter() - begun) * 10
        made.device_s = 0.0
    median = statistics.median(taken)
    print(
        f"cycle     100 running deals, 50 ms a device: {median:.2f} s (target 1 s), {one_by_one_s / median:.0f} times faster than one by one"
    )


async def negotiate() -> None:
    """Negotiations of 100 units, to the deal in the store; beside bare rounds of messages to all."""
    async with bench(100, house_keeping_period_s=3600.0) as made:
        community = made.community
        node = community.nodes["E001"]
        for member in community.nodes.values():
            member.settings.hardware = replace(member.settings.hardware, grid_current_capacity_a=100.0)
        await community.set_mode(OperationMode.AUTONOMOUS, None, "bench")
        await wait_until(community.board, lambda: community.board.mode is OperationMode.AUTONOMOUS)
        standing = node.user.standing()
        assert isinstance(standing, demand.Standing)
        offer = demand.request(node.settings.scenario, standing, node.settings.policy, node.settings.hardware)
        assert isinstance(offer, Offer)
        count = 50
        begun = time.perf_counter()
        for _ in range(count):
            await node.mediator.negotiate(replace(offer, amount_wh=51))
        each_s = (time.perf_counter() - begun) / count
        others = set(community.nodes) - {"E001"}
        begun = time.perf_counter()
        for _ in range(count):
            await node.cluster.scatter(others, "unit.snapshot", {}, 5.0)
        round_s = (time.perf_counter() - begun) / count
        await wait_until(community.board, lambda: True)
    print(f"negotiate 100 units: {1 / each_s:.0f} negotiations a second, each {each_s / round_s:.1f} bare rounds of messages")


async def process() -> None:
    """Memory and CPU of a node process with one unit, read every 5 s; beside an interpreter that does nothing."""
    from tests.test_processes import a_port, apis, emulator, folders, running

    with tempfile.TemporaryDirectory() as name, emulator(1, 1) as port:
        folder = Path(name)
        units = folders(folder, port, ("E001",))
        policy = units[0] / "policy.json"
        policy.write_text(policy.read_text().replace('"E001", "E002", "E003", "E004"', '"E001"'))
        arguments = ("node", "--config", str(units[0]), "--data-dir", str(folder / "data"), "--port", str(a_port()))
        apis("node", "--config", "/nowhere")  # so that, as in any house, the modules are compiled
        idle = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
        with running(*arguments, until="endpoint http") as node:
            await asyncio.sleep(10)
            before, begun = _cpu_s(node.pid), time.perf_counter()
            await asyncio.sleep(60)
            share = (_cpu_s(node.pid) - before) / (time.perf_counter() - begun)
            memory, bare = _resident_mb(node.pid), _resident_mb(idle.pid)
            guard = _resident_mb(_guard_pid(folder / "data"))
        idle.kill()
        await idle.wait()
    print(f"process   {memory:.0f} MB (target 80, a bare interpreter has {bare:.0f}), {share:.2%} of a core (target 0.5 %)")
    print(f"guard     {guard:.0f} MB (target 20)")


def _guard_pid(data_dir: Path) -> int:
    found = subprocess.run(["pgrep", "-f", str(socket_path(data_dir))], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


ALL: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"start": start, "cycle": cycle, "negotiate": negotiate, "process": process}


def main() -> None:
    """Run the named benchmarks, or all."""
    for name in sys.argv[1:] or ALL:
        asyncio.run(ALL[name]())


if __name__ == "__main__":
    main()
