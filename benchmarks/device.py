"""The device driver's latencies on a pseudo-terminal whose converter answers after 5 ms and at the line's speed.

    python -m benchmarks.device

Beside each figure stands what the original took on the same line and device (hardware reference 2.4).
"""

import asyncio
from pathlib import Path
import random
import statistics
import tempfile
import time

import aiohttp
from rich.console import Console
from rich.table import Table

from apis_core import app
from apis_core.clock import WallClock
from apis_core.device import bench
from apis_core.device.server import service_of, serving
from apis_core.device.settings import LineSettings, Settings
from apis_core.emulator.settings import Settings as EmulatorSettings

ROUNDS = 40
ASKED = (
    ("/dcdc/get/status", 263, 120),
    ("/all/get", 574, 5),
    ("/battery/get", 50, None),
    ("/dcdc/set?mode=0x0000&dvg=350&dig=0&drg=0", 536, None),
    ("/dcdc/set?dvg=350&drg=0", 183, None),
    ("/dcdc/set?dig=0", 190, None),
)


async def measure() -> Table:
    """Each question some times; medians and worst."""
    table = Table("request", "median ms", "worst ms", "original ms", "target ms", title="Device driver, device that answers after 5 ms")
    with tempfile.TemporaryDirectory() as folder:
        async with app.open_emulator(EmulatorSettings(units=1, port=0)) as (_, port):
            dev = Path(folder)
            async with bench.devices(f"http://127.0.0.1:{port}", ["E001"], dev, random.Random(1)):
                settings = Settings(LineSettings(str(dev / "E001-converter"), 19200), LineSettings(str(dev / "E001-battery"), 9600), port=0)
                service = service_of(settings, WallClock())
                async with serving(service, asyncio.Event()) as bound, aiohttp.ClientSession(f"http://127.0.0.1:{bound}") as session:
                    await asyncio.sleep(1.5)
                    for path, original_ms, target_ms in ASKED:
                        took = []
                        for _ in range(ROUNDS):
                            begun_s = time.perf_counter()
                            async with session.get(path) as response:
                                await response.read()
                                response.raise_for_status()
                            took.append(1000 * (time.perf_counter() - begun_s))
                            await asyncio.sleep(0.02)
                        target = "" if target_ms is None else str(target_ms)
                        table.add_row(path, f"{statistics.median(took):.1f}", f"{max(took):.1f}", str(original_ms), target)
    return table


if __name__ == "__main__":
    Console(width=140).print(asyncio.run(measure()))
