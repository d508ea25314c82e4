"""The emulator's step and commands, beside a plain-Python restatement of the original's loops: `python -m benchmarks.emulator`.

The restatement does per unit and step what the original does (hardware reference 1.6 and 1.7), one unit after the other, and
recomputes every unit for each unit at a command. Both run in this process, in turns; the figures are medians.
"""

import asyncio
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from apis_core.emulator.building import build
from apis_core.emulator.settings import Settings
from apis_core.model.converter import ConverterMode


class Plain:
    """The original's way of computing: nested objects, one unit after the other, statistics and a row of each kept."""

    def __init__(self, count: int) -> None:
        self.units: list[dict[str, Any]] = [
            {
                "emu": {"rsoc": 50.0, "charge_discharge_power": 0.0, "battery_current": 0.0, "pvc_charge_power": 0.0, "ups_output_power": 0.0,
                        "ups_operation_mode": {"mode": 2, "parameter": 80, "stop_mode": 2}},
                "dcdc": {"status": {"status": 0}, "meter": {"vg": 0.0, "ig": 0.0, "wg": 0.0, "wb": -4.5, "ib": 0.0}, "vdis": {"dvg": 350.0},
                         "param": {"dig": 0.0}, "powermeter": {"p1": 0.0, "p2": 0.0}},
                "oesunit": {"id": f"E{number + 1:03}"}, "time": "",
            }
            for number in range(count)
        ]  # fmt: skip
        self.flags = [{"bypass": False, "ac": False} for _ in range(count)]
        self.sums: list[dict[str, float]] = [
            dict.fromkeys(("pv", "demand", "acin", "wasted", "acloss", "dcloss", "loss", "wg"), 0.0) for _ in range(count)
        ]
        self.rows: list[dict[str, Any]] = []
        self.demand = [[(h % 24) * 0.03 for h in range(8761)] for _ in range(min(count, 100))]
        self.sun = [max(0.0, 6.0 - abs(12 - h % 24)) * 300 for h in range(8761)]
        self.start, self.seconds = datetime(2020, 1, 1), 0.0  # noqa: DTZ001

    def step(self, seconds: float = 10.0) -> None:
        """One step of the world."""
        part, h = self.seconds / 3600 % 1, int(self.seconds / 3600) % 8760
        for unit in self.units:
            unit["emu"]["pvc_charge_power"] = round((1 - part) * self.sun[h] + part * self.sun[h + 1], 2)
        for number, unit in enumerate(self.units):
            demand = self.demand[number % len(self.demand)]
            unit["emu"]["ups_output_power"] = round(((1 - part) * demand[h] + part * demand[h + 1]) * 1000, 2)
        for number, unit in enumerate(self.units):
            self._ups(number, unit)
            self._flow(number, unit)
        self.seconds += seconds
        for number, unit in enumerate(self.units):
            unit["time"] = (self.start + timedelta(seconds=self.seconds)).strftime("%Y/%m/%d-%H:%M:%S")
            self._charge(unit, seconds)
            self._count(number, unit, seconds / 3600)

    def _ups(self, number: int, unit: dict[str, Any]) -> None:
        flags, percent = self.flags[number], unit["emu"]["rsoc"]
        if percent <= 30:
            flags["bypass"], unit["emu"]["ups_operation_mode"]["mode"] = True, 5
        elif percent >= 35:
            flags["bypass"], unit["emu"]["ups_operation_mode"]["mode"] = False, 2
        if percent <= 20:
            flags["ac"] = True
        elif percent >= 25:
            flags["ac"] = False

    def _flow(self, number: int, unit: dict[str, Any]) -> None:
        meter, emu, flags = unit["dcdc"]["meter"], unit["emu"], self.flags[number]
        meter["wb"] = meter["wg"] - {0: 4.5, 1: 71.0, 2: 55.0, 3: 55.0}[unit["dcdc"]["status"]["status"]]
        meter["ib"] = round(meter["wb"] / 48, 2)
        load, dc, ac = emu["ups_output_power"], 17.5 + meter["wg"] - meter["wb"], 57.0
        if flags["bypass"]:
            ac += 67 + 0.06 * load
            p2 = int(load + ac)
        else:
            dc += 129 + 0.14 * load
            p2 = int(ac)
        if flags["ac"]:
            ac += 10
            p2 += 160
        unit["dcdc"]["powermeter"]["p2"] = p2
        unit["dcloss"], unit["acloss"] = dc, ac
        need = load - meter["wg"] + dc
        if emu["rsoc"] >= 100 and need < emu["pvc_charge_power"]:
            emu["charge_discharge_power"], unit["wasted"] = 0.0, emu["pvc_charge_power"] - need
            emu["pvc_charge_power"] = round(need, 2)
            return
        unit["wasted"] = 0.0
        flow = meter["wg"] + emu["pvc_charge_power"] + p2 - load - ac - dc
        emu["charge_discharge_power"] = round(abs(flow), 2)
        emu["battery_current"] = round(emu["charge_discharge_power"] / 48, 2) * (1 if flow > 0 else -1)

    def _charge(self, unit: dict[str, Any], seconds: float) -> None:
        emu = unit["emu"]
        wh = emu["rsoc"] * 4800 / 100
        moved = seconds * emu["charge_discharge_power"] / 3600
        wh += moved if emu["battery_current"] > 0 else -moved
        emu["rsoc"] = 0.0 if wh < 0 else 100.0 if wh > 4800 else round(100 * wh / 4800, 2)

    def _count(self, number: int, unit: dict[str, Any], hours: float) -> None:
        sums, emu = self.sums[number], unit["emu"]
        sums["pv"] += emu["pvc_charge_power"] * hours
        sums["demand"] += emu["ups_output_power"] * hours
        sums["acin"] += unit["dcdc"]["powermeter"]["p2"] * hours
        sums["wasted"] += unit["wasted"] * hours
        sums["acloss"] += unit["acloss"] * hours
        sums["dcloss"] += unit["dcloss"] * hours
        sums["loss"] += (unit["acloss"] + unit["dcloss"]) * hours
        sums["wg"] += max(0.0, unit["dcdc"]["meter"]["wg"]) * hours
        row = {
            "id": len(self.rows), "time": unit["time"], "oesunit_id": unit["oesunit"]["id"], "emu_rsoc": emu["rsoc"],
            "emu_pvc_charge_power": emu["pvc_charge_power"], "emu_ups_output_power": emu["ups_output_power"],
            "charge_discharge_power": emu["charge_discharge_power"], "dcdc_meter_wg": unit["dcdc"]["meter"]["wg"],
            "dcdc_powermeter_p2": unit["dcdc"]["powermeter"]["p2"],
        }  # fmt: skip
        self.rows.append(row)

    def command(self, number: int, mode: int, dig: float) -> None:
        """Set a converter and recompute: every unit's UPS and flow after each unit's power."""
        self.units[number]["dcdc"]["status"]["status"], self.units[number]["dcdc"]["param"]["dig"] = mode, dig
        master = next((u for u in self.units if u["dcdc"]["status"]["status"] == 3), None)
        for unit in self.units:
            meter = unit["dcdc"]["meter"]
            meter["vg"] = master["dcdc"]["vdis"]["dvg"] if master is not None else 0.0
            sign = {0: 0, 1: 1, 2: -1, 3: 0}[unit["dcdc"]["status"]["status"]]
            meter["ig"] = sign * unit["dcdc"]["param"]["dig"] if master is not None else 0.0
        if master is not None:
            master["dcdc"]["meter"]["ig"] = -sum(u["dcdc"]["meter"]["ig"] for u in self.units if u is not master)
        for unit in self.units:
            meter = unit["dcdc"]["meter"]
            meter["wg"] = meter["ig"] * meter["vg"]
            for other_number, other in enumerate(self.units):
                self._ups(other_number, other)
                self._flow(other_number, other)


def timed(work: Callable[[], object], rounds: int) -> float:
    """Median seconds of one call."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def steps() -> None:
    """One step at several sizes, and one command at 300 units."""
    for count in (3, 20, 100, 300, 10_000):
        engine, plain = build(Settings(units=count)), Plain(count)

        def ours(engine: Any = engine) -> None:
            engine.advance_to(engine.elapsed_s + 10)

        ratio_rounds = 3 if count >= 10_000 else 30
        theirs_s, ours_s = timed(plain.step, ratio_rounds), timed(ours, 100)
        say(f"step, {count:>6} units: {ours_s * 1e3:8.3f} ms; plain loops {theirs_s * 1e3:9.3f} ms; {theirs_s / ours_s:7.1f} times faster")
    engine, plain = build(Settings(units=300)), Plain(300)
    engine.set_mode(0, ConverterMode.VOLTAGE_REFERENCE, 350, 8, 0)
    plain.command(0, 3, 8)
    ours_s = timed(lambda: engine.set_mode(1, ConverterMode.CHARGE, 350, 1, 0), 200)
    theirs_s = timed(lambda: plain.command(1, 1, 1.0), 3)
    say(f"command, 300 units: {ours_s * 1e3:.3f} ms (target 1); plain loops {theirs_s * 1e3:.1f} ms; {theirs_s / ours_s:.0f} times faster")


async def requests() -> None:
    """HTTP: all of 100 units, and one unit by 100 clients at once; the server is a process of its own, as in a house."""
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:
        taken = await asked(port, ["/get/log"] * 3000, clients=4)
        say(f"/get/log, 100 units: {taken.per_second:.0f} requests a second (target 5 x 538)")
        taken = await asked(port, [f"/get/unit/E{number % 100 + 1:03}" for number in range(5000)], clients=100)
        say(f"/get/unit, 100 clients: p99 {taken.p99_s * 1e3:.1f} ms (target 50), {taken.per_second:.0f} requests a second")


@contextlib.contextmanager
def server(folder: Path) -> Iterator[int]:
    """`apis emulator` with 100 units; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "apis_core", "emulator", "--units", "100", "--port", str(port), "--data-dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


@dataclass
class Asked:
    """What a round of requests took."""

    per_second: float
    p99_s: float


async def asked(port: int, paths: list[str], clients: int) -> Asked:
    """All paths asked by so many clients, each on one open connection; a bare client, so that it is the server that is measured."""
    taken: list[float] = []

    async def client(own: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        for path in own:
            begun = time.perf_counter()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(length)
            taken.append(time.perf_counter() - begun)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(paths[number::clients]) for number in range(clients)))
    return Asked(len(paths) / (time.perf_counter() - begun), sorted(taken)[int(len(taken) * 0.99)])


def say(line: str) -> None:
    """One line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    steps()
    asyncio.run(requests())
