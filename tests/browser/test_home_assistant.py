"""The integration end to end: a real Home Assistant, a real browser, and a community that shares."""

import asyncio
from collections.abc import Awaitable, Callable
import json
from pathlib import Path
import subprocess
import time
from typing import Any

import pytest

from .homeassistant import HomeAssistant, home_assistant
from .test_pages import HERE

pytestmark = pytest.mark.alone


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
        assert seen[-2:] == ["started", "completed"]
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
        assert "融通に参加" in pages["texts"]["house-japanese"]
        complaints = [line for line in home.log.splitlines() if ("WARNING" in line or "ERROR" in line) and "apis" in line]
        assert [line for line in complaints if "custom integration apis which has not been tested" not in line] == []
