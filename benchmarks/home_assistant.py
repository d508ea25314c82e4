"""Measures a real Home Assistant with a hundred units: `python -m benchmarks.home_assistant [daemon|here] [--units N]`.

Targets: from a daemon, set up in under 5 s, event loop blocked for less than 20 ms, under a tenth of a core with the recorder;
with the units in Home Assistant itself under 30 % of a core. How many rows the recorder writes in an hour is told.
"""

import argparse
import asyncio
import contextlib
from dataclasses import dataclass, field
import os
from pathlib import Path
import sqlite3
import tempfile
import time

import aiohttp

from tests.browser.homeassistant import HomeAssistant, home_assistant
from tests.test_processes import a_port, emulator, folders, running

MEASURE_S, PING_S = 90.0, 0.01


@dataclass
class Pings:
    """How long a websocket's ping took: what the event loop was busy with stood in its way."""

    home: HomeAssistant
    times_ms: list[float] = field(default_factory=list)

    async def run(self) -> None:
        async with self.home.session.ws_connect(f"{self.home.url}/api/websocket") as socket:
            await socket.receive_json()
            await socket.send_json({"type": "auth", "access_token": self.home.tokens["access_token"]})
            await socket.receive_json()
            number = 0
            while True:
                number += 1
                begun_s = time.perf_counter()
                await socket.send_json({"id": number, "type": "ping"})
                await socket.receive_json()
                self.times_ms.append(1000 * (time.perf_counter() - begun_s))
                await asyncio.sleep(PING_S)


def cpu_s(group: int) -> float:
    """Processor time of a process group so far [s]."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def rows(folder: Path) -> int:
    """States that the recorder has written."""
    with contextlib.closing(sqlite3.connect(f"file:{folder}/config/home-assistant_v2.db?mode=ro", uri=True)) as database:
        return int(database.execute("select count(*) from states").fetchone()[0])


async def loaded(home: HomeAssistant, begun_s: float) -> float:
    """Seconds until the entry was set up."""
    while [entry["state"] for entry in await home.entries()] != ["loaded"]:
        assert time.monotonic() < begun_s + 120, home.log[-3000:]
        await asyncio.sleep(0.05)
    return time.monotonic() - begun_s


async def measure(home: HomeAssistant, steps: tuple[dict[str, object], ...]) -> None:
    pings = Pings(home)
    task = asyncio.create_task(pings.run())
    await asyncio.sleep(10)
    quiet_ms = max(pings.times_ms)
    pings.times_ms.clear()
    begun_s = time.monotonic()
    made = await home.flow(*steps)
    assert made["type"] == "create_entry", made
    print(f"set up in {await loaded(home, begun_s):.1f} s")
    await asyncio.sleep(20)
    print(f"longest ping while setting up {max(pings.times_ms):.0f} ms (before: {quiet_ms:.0f} ms)")
    pings.times_ms.clear()
    before, before_cpu_s, before_s = rows(home.folder), cpu_s(home.process.pid), time.monotonic()
    await asyncio.sleep(MEASURE_S)
    spent_s = time.monotonic() - before_s
    share = 100 * (cpu_s(home.process.pid) - before_cpu_s) / spent_s
    times = sorted(pings.times_ms)
    print(f"{share:.1f} % of a core, {(rows(home.folder) - before) * 3600 / spent_s:.0f} recorder rows an hour")
    print(f"pings: median {times[len(times) // 2]:.1f} ms, 99.9 % {times[int(0.999 * len(times))]:.1f} ms, longest {times[-1]:.1f} ms")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def run(way: str, units: int) -> None:
    with tempfile.TemporaryDirectory() as name, emulator(units, 1) as device_port:
        folder = Path(name)
        found = folders(folder, device_port, tuple(f"E{number + 1:03}" for number in range(units)))
        with contextlib.ExitStack() as stack:
            steps: tuple[dict[str, object], ...]
            if way == "daemon":
                port = a_port()
                arguments = [part for each in found for part in ("--config", str(each))]
                stack.enter_context(running("node", *arguments, "--data-dir", str(folder / "data"), "--port", str(port), until="endpoint"))
                steps = ({"next_step_id": "daemon"}, {"name": "Street", "url": f"http://127.0.0.1:{port}"})
            else:
                steps = ({"next_step_id": "node"}, {"name": "Street", "folder": str(folder)})
            async with home_assistant(folder) as home:
                await measure(home, steps)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["daemon", "here"])
    parser.add_argument("--units", type=int, default=100)
    options = parser.parse_args()
    print(f"{options.units} units, {options.way}")
    try:
        asyncio.run(run(options.way, options.units))
    except aiohttp.ClientError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
