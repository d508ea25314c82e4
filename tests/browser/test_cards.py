"""The cards and the dashboard in a real Home Assistant: what a resident sees and does."""

import asyncio
import json
import os
from pathlib import Path
import shutil
import subprocess
from typing import Any

import pytest

from .homeassistant import home_assistant
from .test_home_assistant import until
from .test_living import devices_of, loaded
from .test_pages import HERE

pytestmark = pytest.mark.waits
# What the documentation shows, by the page it is of.
PICTURES = {"overview-light": "community", "overview-phone": "overview-phone", "scenario": "scenario", "houses": "houses", "hand": "hand"}


async def test_a_dashboard_from_nothing(tmp_path: Path, browser: dict[str, str]) -> None:
    async with home_assistant(tmp_path) as home:
        made = await home.flow({"next_step_id": "trial"}, {"name": "Sea Street", "units": 4})
        assert made["type"] == "create_entry"
        await loaded(home)
        await home.ask("lovelace/dashboards/create", url_path="sea-street", title="Sea Street", mode="storage")
        await home.ask("lovelace/config/save", url_path="sea-street", config={"strategy": {"type": "custom:apis"}})

        async def sharing() -> bool:
            running = (await home.act("apis.get_deals", answer=True, state="running"))["deals"]
            return any(deal["state"] == "started" for deal in running)

        await until(sharing, 90, "no deal begins", home)
        # Whoever says nothing for minutes is hung up on.
        await home.hang_up()
        command = ["node", str(HERE / "cards.mjs"), home.url, str(tmp_path), "/sea-street"]
        result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=420, check=False, env=browser)
        assert result.returncode == 0, result.stderr[-3000:]
        seen: dict[str, Any] = json.loads(result.stdout)
        assert seen["errors"] == [], "\n".join(seen["errors"])
        assert seen["axe"] == [], "\n".join(seen["axe"])
        assert "Grid Master" in seen["overview-light"]
        assert "グリッドマスター" in seen["overview-japanese"]
        assert "Set the community's mode to Manual" in seen["handBefore"]
        assert seen["preview"].startswith("Now this house would:")
        assert "overlap" in seen["wrong"]
        assert "Resident" in seen["versions"]
        assert seen["moved"]
        assert seen["stays"]
        assert "Agreed" in seen["detail"]
        assert seen["csv"].startswith("deal_id,created,")
        assert "Completed" in seen["completed"]
        assert "holds the line" in seen["byHand"]
        for page, name in PICTURES.items() if "APIS_SCREENSHOTS" in os.environ else ():
            shutil.copy(tmp_path / f"{page}.png", Path(os.environ["APIS_SCREENSHOTS"]) / f"{name}.png")
        # What was saved is what the house lives by.
        devices = await devices_of(home)
        scenario = (await home.act("apis.get_scenario", answer=True, device_id=devices["E001"]))["scenario"]
        (day,) = [value for key, value in scenario.items() if "-" in key]
        assert day["request"]["short"]["charge"]["limitWh"] == 2500
