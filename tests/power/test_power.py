"""Power cuts and full disks: what was acknowledged is there afterwards, or it was never acknowledged."""

import asyncio
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from apis_core.cluster.store_file import StoreFile
from apis_core.ledger.database import LedgerDatabase, sqlite_url
from tests.power.disk import Disk
from tests.test_guard import _counted_wh, _deals, a_node, in_wait
from tests.test_processes import ENVIRONMENT, ROOT, a_port, apis, emulator, folders

pytestmark = pytest.mark.waits

WRITER = Path(__file__).with_name("writer.py")


def write_until_killed(disk: Disk, after_s: float, *options: str) -> dict[str, int]:
    """What a process acknowledged last, of each kind, before it was killed."""
    arguments = [sys.executable, str(WRITER), str(disk.folder), *options]
    environment = disk.environment(ENVIRONMENT) | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=30)
    # The last line may have been cut.
    lines += rest.splitlines(keepends=True)
    return {kind: int(number) for kind, number in (line.split() for line in lines if line.endswith("\n"))}


def kept(folder: Path) -> dict[str, int]:
    file = StoreFile(folder / "cluster.sqlite")
    values, _ = file.load()
    database = LedgerDatabase(sqlite_url(folder / "apis.sqlite"))
    found = {key.removeprefix("deal."): _number(value) for key, (value, _) in values.items()}
    found["ledger"] = int((database.state("E001", "count") or {"n": 0})["n"])
    database.close()
    asyncio.run(file.close())
    return found


def _number(value: bytes) -> int:
    return int(value.removeprefix(b'{"n":').removesuffix(b"}"))


@pytest.mark.parametrize("seed", range(5))
def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    disk = Disk(tmp_path / "workshop", tmp_path / "data")
    for _ in range(2):
        acknowledged = write_until_killed(disk, rng.uniform(0.02, 0.6))
        disk.cut_power()
        found = kept(disk.folder)
        for kind, number in acknowledged.items():
            assert found[kind] >= number, (kind, acknowledged, found)


def test_the_disk_really_loses_what_is_not_synced(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "workshop", tmp_path / "data")
    write_until_killed(disk, 0.1)
    disk.cut_power()
    acknowledged = write_until_killed(disk, 0.5, "careless")
    assert disk.cut_power() > 10
    found = kept(disk.folder)
    assert any(found[kind] < number for kind, number in acknowledged.items())


async def test_a_node_whose_machine_loses_power_goes_on_with_its_deals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = ("E001", "E002", "E003", "E004")
    disk = Disk(tmp_path / "workshop", tmp_path / "data")
    with emulator(4, 4) as port:
        configs, endpoint = folders(tmp_path, port, units), a_port()
        url = ("--url", f"http://127.0.0.1:{endpoint}")
        monkeypatch.setattr("tests.test_guard.ENVIRONMENT", disk.environment(ENVIRONMENT))
        with a_node(configs, disk.folder, endpoint) as node:
            await asyncio.to_thread(apis, "mode", "global", "heteronomous", *url)
            made = await asyncio.to_thread(apis, "deal", "create", "E002", "E003", "--energy-wh", "8", *url)
            assert made.returncode == 0, made.stderr
            await _until(lambda: _counted_wh(*url) > 0)
            await asyncio.sleep(3)
            os.kill(node.pid, signal.SIGKILL)
            # The guard goes with the machine's power as well.
            await asyncio.to_thread(subprocess.run, ["pkill", "-9", "-f", str(disk.folder / "guard.json")], check=False)
        disk.cut_power()
        with a_node(configs, disk.folder, endpoint):
            process = await asyncio.to_thread(apis, "mode", "global", *url)
            assert process.stdout.strip() == "heteronomous"
            (deal,) = await _ended(*url)
            assert "abortDateTime" not in deal, deal
            assert 8 <= deal["cumulateAmountWh"] < 8.5
            for unit in units:
                await in_wait(port, unit, 40)


async def test_a_full_disk_ends_sharing_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = ("E001", "E002", "E003", "E004")
    disk = Disk(tmp_path / "workshop", tmp_path / "data")
    with emulator(4, 4) as port:
        configs, endpoint = folders(tmp_path, port, units), a_port()
        url = ("--url", f"http://127.0.0.1:{endpoint}")
        monkeypatch.setattr("tests.test_guard.ENVIRONMENT", disk.environment(ENVIRONMENT))
        with a_node(configs, disk.folder, endpoint):
            await asyncio.to_thread(apis, "mode", "global", "heteronomous", *url)
            await asyncio.to_thread(apis, "deal", "create", "E002", "E003", "--energy-wh", "60", *url)
            await _until(lambda: _counted_wh(*url) > 0)
            disk.fill()
            for unit in units:
                await in_wait(port, unit, 60)
            refused = await asyncio.to_thread(apis, "deal", "create", "E001", "E004", "--energy-wh", "5", *url)
            assert refused.returncode == 1
            assert "full" in refused.stderr or "No space" in refused.stderr, refused.stderr
            disk.make_room()
            (deal,) = await _ended(*url)
            assert 0 < deal["cumulateAmountWh"] < 60
            await asyncio.sleep(40 / 4)
            await _until(lambda: apis("deal", "create", "E001", "E004", "--energy-wh", "2", *url).returncode == 0, 60)
            found = {d["dealId"]: d for d in await _ended(*url)}
            assert any("abortDateTime" not in d for d in found.values()), found


async def _until(condition: Any, limit_s: float = 90) -> None:
    end_s = time.monotonic() + limit_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end_s
        await asyncio.sleep(0.5)


async def _ended(*url: str) -> list[dict[str, Any]]:
    """All deals, once none of them goes on."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = _deals(*url)
        return bool(found) and all("deactivateDateTime" in deal or "abortDateTime" in deal for deal in found)

    await _until(look, 300)
    return found
