"""The integration end to end: a real Home Assistant, a real browser, and a community that shares."""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
import json
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any

import aiohttp
import pytest

from tests.test_processes import a_port, emulator, folders, running

from .homeassistant import HomeAssistant, home_assistant
from .test_pages import HERE

pytestmark = pytest.mark.waits


async def until(look: Callable[[], Awaitable[Any]], limit_s: float, what: str, home: HomeAssistant) -> Any:
    end_s = time.monotonic() + limit_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < end_s, f"{what}\n{home.log[-3000:]}"
        await asyncio.sleep(0.5)


async def shots(home: HomeAssistant, environment: dict[str, str], *wanted: dict[str, Any]) -> dict[str, Any]:
    command = ["node", str(HERE / "homeassistant.mjs"), home.url, str(home.folder), json.dumps(wanted)]
    result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def test_houses_to_try_from_nothing_to_a_completed_deal(tmp_path: Path, browser: dict[str, str]) -> None:
    async with home_assistant(tmp_path) as home:
        begun_s = time.monotonic()
        made = await home.flow({"next_step_id": "trial"}, {"name": "Sea Street", "units": 4})
        assert made["type"] == "create_entry"

        async def loaded() -> bool:
            return [entry["state"] for entry in await home.entries()] == ["loaded"]

        await until(loaded, 120, "the entry does not load", home)
        assert time.monotonic() - begun_s < 120
        states = await home.states()
        assert states["sensor.sea_street_members"]["state"] == "4"
        # A week of history is in the ledger.
        assert float(states["sensor.sea_street_energy_shared"]["state"]) > 1

        async def sharing() -> bool:
            return int((await home.states())["sensor.sea_street_active_deals"]["state"]) > 0

        await until(sharing, 60, "no deal begins within a minute", home)
        devices = {
            next(iter(device["identifiers"]))[1].rpartition("_")[2]: device["id"]
            for device in await home.ask("config/device_registry/list")
            if device["identifiers"] and device["identifiers"][0][0] == "apis"
        }
        # The others finish; this deal is watched from its creation to its completion.
        await home.act("select.select_option", target="select.sea_street_mode", option="heteronomous")

        async def rest() -> bool:
            running = (await home.act("apis.get_deals", answer=True, state="running"))["deals"]
            for deal in running:
                # It may have ended by itself since it was asked for.
                with contextlib.suppress(AssertionError):
                    await home.act("apis.stop_deal", deal_id=deal["deal_id"])
            return not running

        await until(rest, 90, "the deals do not end", home)
        deal = await home.act(
            "apis.create_deal", answer=True, device_id=devices["E001"], partner_device_id=devices["E002"], amount_wh=5, current_a=7
        )
        seen: list[str] = []

        async def completed() -> bool:
            event = (await home.states())["event.house_1_deal"]["attributes"]
            if event.get("deal_id") == deal["deal_id"] and event["event_type"] not in seen:
                seen.append(event["event_type"])
            return "completed" in seen

        await until(completed, 90, "the deal does not end", home)
        assert [kind for kind in seen if kind != "progress"][-2:] == ["started", "completed"]
        # Two houses that are both short would never trade: with other scenarios one gives and the other asks.
        wish = {"E002": ("discharge", 500, 5), "E004": ("charge", 4700, 20)}
        for unit, (direction, limit_wh, price) in wish.items():
            terms = {"all": {direction: {"limitWh": limit_wh, "pointPerWh": price}}}
            day = {"batteryStatus": {"0-": "all"}, "request": terms, "accept": terms}
            scenario = {"acceptSelection": {"strategy": "pointAndAmount"}, "00:00:00-24:00:00": day}
            await home.act("apis.set_scenario", device_id=devices[unit], scenario=scenario)
        await home.act("select.select_option", target="select.sea_street_mode", option="autonomous")

        async def obeyed() -> bool:
            running = (await home.act("apis.get_deals", answer=True, state="running"))["deals"]
            return any((found["from"], found["to"]) == ("E002", "E004") for found in running)

        await until(obeyed, 90, "the scenarios are not obeyed", home)
        pages = await shots(
            home,
            browser,
            {"name": "integration", "path": "/config/integrations/integration/apis"},
            {"name": "house", "path": f"/config/devices/device/{devices['E001']}", "height": 1600},
            {"name": "house-phone-dark", "path": f"/config/devices/device/{devices['E001']}", "width": 412, "height": 1800, "dark": True},
            {"name": "house-japanese", "path": f"/config/devices/device/{devices['E001']}", "height": 1600, "language": "ja"},
            {"name": "community", "path": f"/config/devices/device/{devices[made['result']['entry_id']]}", "height": 1200},
        )
        assert pages["errors"] == []
        assert "Take part in sharing" in pages["texts"]["house"]
        assert "新しい取引を始めない" in pages["texts"]["house-japanese"]
        complaints = [line for line in home.log.splitlines() if ("WARNING" in line or "ERROR" in line) and "custom_components" in line]
        assert complaints == []


async def test_a_daemons_units(tmp_path: Path) -> None:
    port = a_port()
    with emulator(2, 1) as device_port:
        units = folders(tmp_path, device_port, ("E001", "E002"))
        arguments = ["node", *(part for folder in units for part in ("--config", str(folder)))]
        with running(*arguments, "--data-dir", str(tmp_path / "data"), "--port", str(port), until="endpoint"):
            async with home_assistant(tmp_path) as home:
                form = await home.flow({"next_step_id": "daemon"}, {"name": "Daemon", "url": "http://127.0.0.1:9"})
                assert form["errors"] == {"base": "cannot_connect"}
                made = await home.flow({"next_step_id": "daemon"}, {"name": "Daemon", "url": f"http://127.0.0.1:{port}"})
                assert made["type"] == "create_entry"

                async def there() -> bool:
                    return "sensor.daemon_members" in await home.states()

                await until(there, 30, "the entry does not load", home)
                charge = (await home.states())["sensor.e001_battery_battery"]["state"]
                assert float(charge) == pytest.approx(50, abs=2)
                await home.act("select.select_option", target="select.e001_own_mode", option="stop")
                assert (await home.states())["switch.e001_take_part_in_sharing"]["state"] == "off"
                complaints = [
                    line for line in home.log.splitlines() if ("WARNING" in line or "ERROR" in line) and "custom_components" in line
                ]
                assert complaints == []


async def test_units_within_home_assistant_outlive_its_end(tmp_path: Path) -> None:
    """Killed in mid-deal, nothing restarted: every converter waits in time. Started again: the deal is settled and told right."""
    device_port = a_port()
    (tmp_path / "emulator.yaml").write_text("ramp_s: 2\n")
    arguments = ("emulator", "--units", "4", "--port", str(device_port), "--config", str(tmp_path / "emulator.yaml"))
    with running(*arguments, until=f"127.0.0.1:{device_port}"):
        (tmp_path / "files").mkdir()
        folders(tmp_path / "files", device_port)

        async def modes(session: aiohttp.ClientSession) -> dict[str, str]:
            found = {}
            for unit in ("E001", "E002", "E003", "E004"):
                async with session.get(f"http://127.0.0.1:{device_port}/get/dcdc/status/{unit}") as response:
                    found[unit] = (await response.json())["status"]["status"]
            return found

        async with aiohttp.ClientSession() as session:
            async with home_assistant(tmp_path) as home:
                made = await home.flow({"next_step_id": "node"}, {"name": "Here", "folder": str(tmp_path / "files")})
                assert made["type"] == "create_entry", made

                async def there() -> bool:
                    return "sensor.here_members" in await home.states()

                await until(there, 30, "the entry does not load", home)
                await home.act("select.select_option", target="select.here_mode", option="heteronomous")
                devices = {
                    next(iter(device["identifiers"]))[1].rpartition("_")[2]: device["id"]
                    for device in await home.ask("config/device_registry/list")
                    if device["identifiers"] and device["identifiers"][0][0] == "apis"
                }
                deal = await home.act(
                    "apis.create_deal", answer=True, device_id=devices["E001"], partner_device_id=devices["E002"], amount_wh=50
                )

                async def started() -> bool:
                    found = await modes(session)
                    return "0x0000" not in (found["E001"], found["E002"])

                await until(started, 60, "the deal does not start", home)
                await home.hang_up()
                os.killpg(home.process.pid, signal.SIGKILL)
                killed_s = time.monotonic()
                while set((await modes(session)).values()) != {"0x0000"}:
                    assert time.monotonic() - killed_s < 40, await modes(session)
                    await asyncio.sleep(0.2)
                complaints = [
                    line for line in home.log.splitlines() if ("WARNING" in line or "ERROR" in line) and "custom_components" in line
                ]
                assert complaints == []
            async with home_assistant(tmp_path, known=True) as home:

                async def back() -> bool:
                    found = (await home.states()).get("sensor.here_members", {})
                    return found.get("state") == "4" and [entry["state"] for entry in await home.entries()] == ["loaded"]

                await until(back, 60, "the entry does not load again", home)

                async def settled() -> bool:
                    found = (await home.act("apis.get_deals", answer=True))["deals"]
                    return [each["deal_id"] for each in found] == [deal["deal_id"]] and found[0]["state"] in (
                        "started",
                        "completed",
                        "aborted",
                    )

                await until(settled, 60, "the deal is lost", home)
