"""Living with it: pairing, statistics, the Energy dashboard, ends and new beginnings, backups and removal, in a real Home Assistant."""

import asyncio
from datetime import UTC, datetime, timedelta
import itertools
import json
import os
from pathlib import Path
import re
import shutil
import signal
import tarfile
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apis_core import kept, trial
from apis_core.model.converter import ConverterMode
from apis_core.model.hourly import KINDS, by_hour, hour_of
from tests.device.test_in_the_loop import configs, street, until as wait_until
from tests.test_processes import a_port, apis, folders, running

from .homeassistant import HomeAssistant, home_assistant
from .relay import relay
from .test_home_assistant import shots, until

pytestmark = pytest.mark.waits
UNITS = ("E001", "E002", "E003", "E004")


async def hours(home: HomeAssistant, entry_id: str) -> dict[str, list[tuple[datetime, float, float]]]:
    """Every hour's statistic of every unit, by its id: its time, energy [kWh], and the sum."""
    wanted = [f"apis:{entry_id}_{unit}_{kind}".lower() for unit in UNITS for kind in KINDS]
    begin = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    rows = await home.ask(
        "recorder/statistics_during_period", start_time=begin, statistic_ids=wanted, period="hour", types=["state", "sum"]
    )
    return {
        key: [(datetime.fromtimestamp(row["start"] / 1000, UTC), row["state"], row["sum"]) for row in rows.get(key, ())] for key in wanted
    }


def of_ledger(data: Path, entry_id: str) -> dict[str, dict[datetime, float]]:
    """The same from the ledger [kWh], without hours in which nothing flowed."""
    deals, now = kept.stored_deals(data), hour_of(datetime.now(UTC))
    return {
        f"apis:{entry_id}_{unit}_{kind}".lower(): {hour: wh / 1000 for hour, wh in found.items() if hour < now and wh}
        for unit in UNITS
        for kind, found in by_hour(unit, deals).items()
        if kind in KINDS
    }


async def the_same(home: HomeAssistant, data: Path, entry_id: str) -> dict[str, list[tuple[datetime, float, float]]]:
    """The statistics, once they are the ledger's."""
    ledger = await asyncio.to_thread(of_ledger, data, entry_id)

    async def complete() -> bool:
        return all(rows for rows in (await hours(home, entry_id)).values())

    await until(complete, 60, "the hours are not written", home)
    written = await hours(home, entry_id)
    for key, rows in written.items():
        assert {time: state for time, state, _ in rows if state} == pytest.approx(ledger[key]), key
        assert rows[-1][2] == pytest.approx(sum(ledger[key].values())), key
        assert all(after[0] - before[0] == timedelta(hours=1) for before, after in itertools.pairwise(rows)), key
    return written


async def devices_of(home: HomeAssistant) -> dict[str, str]:
    """The devices of the units, by unit."""
    found = await home.ask("config/device_registry/list")
    ours = [device for device in found if device["identifiers"] and device["identifiers"][0][0] == "apis"]
    return {device["identifiers"][0][1].rpartition("_")[2]: device["id"] for device in ours}


def code_of(said: str) -> str:
    return "".join(re.findall(r"\b\d{3}\b", said)[:2])


async def loaded(home: HomeAssistant) -> None:
    async def look() -> bool:
        return [entry["state"] for entry in await home.entries()] == ["loaded"]

    await until(look, 60, "the entry does not load", home)


async def test_a_node_is_paired_with_counted_and_shown(tmp_path: Path, browser: dict[str, str]) -> None:
    data, port = tmp_path / "data", a_port()
    # What four houses did in the last 26 hours, while no Home Assistant was there.
    await asyncio.to_thread(trial.make_past, tmp_path / "past", 4, datetime.now(UTC), ZoneInfo("Asia/Tokyo"), 26 / 24)
    data.mkdir()
    shutil.copy(tmp_path / "past" / trial.LEDGER, data / kept.DATABASE_NAME)
    assert len(kept.stored_deals(data)) > 20
    own = f"http://127.0.0.1:{port}"
    # The houses' clock is that of the day, in the units' own zone.
    start = datetime.now(ZoneInfo("Asia/Tokyo"))
    (tmp_path / "emulator.yaml").write_text(f'start: "{start:%Y-%m-%d %H:%M:%S}"\n')
    device_port = a_port()
    arguments = ["emulator", "--units", "4", "--port", str(device_port), "--config", str(tmp_path / "emulator.yaml")]
    with running(*arguments, until=f"127.0.0.1:{device_port}"):
        units = folders(tmp_path, device_port)
        arguments = ["node", *(part for folder in units for part in ("--config", str(folder))), "--data-dir", str(data)]
        with running(*arguments, "--port", str(port), until="endpoint"):
            async with relay(own) as url, home_assistant(tmp_path) as home:
                form = await home.flow({"next_step_id": "daemon"}, {"name": "Street", "url": url})
                assert form["step_id"] == "pair", form
                path = f"/api/config/config_entries/flow/{form['flow_id']}"
                said = await asyncio.to_thread(apis, "pair", "--url", own)
                wrong = await home.post(path, {"code": "000000" if code_of(said.stdout) != "000000" else "111111"})
                assert wrong["errors"] == {"code": "wrong_code"}
                made = await home.post(path, {"code": code_of(said.stdout)})
                assert made["type"] == "create_entry", made
                entry_id = made["result"]["entry_id"]
                await loaded(home)
                first = await the_same(home, data, entry_id)

                # The owner of the node takes the pairing back, and Home Assistant asks for another one.
                (pair_id,) = json.loads((data / "pairs.json").read_text())
                await asyncio.to_thread(apis, "unpair", pair_id, "--url", own)
                found: list[dict[str, Any]] = []

                async def asked() -> bool:
                    found[:] = [each for each in await home.ask("config_entries/flow/progress") if each["context"]["source"] == "reauth"]
                    return bool(found)

                await until(asked, 60, "nobody is asked to pair again", home)
                said = await asyncio.to_thread(apis, "pair", "--url", own)
                done = await home.post(f"/api/config/config_entries/flow/{found[0]['flow_id']}", {"code": code_of(said.stdout)})
                assert done["reason"] == "reauth_successful", done
                await loaded(home)

                # The Energy dashboard, filled on request.
                flow = await home.post("/api/config/config_entries/options/flow", {"handler": entry_id})
                path = f"/api/config/config_entries/options/flow/{flow['flow_id']}"
                for answer in ({"next_step_id": "energy"}, {"units": ["E001"]}, {}):
                    flow = await home.post(path, answer)
                assert flow["reason"] == "added", flow
                kinds = [source["type"] for source in (await home.ask("energy/get_prefs"))["energy_sources"]]
                assert kinds == ["battery", "grid"]
                complaints = await home.ask("energy/validate")
                assert complaints["energy_sources"] == [[], []], complaints
                pages = await shots(
                    home,
                    browser,
                    {"name": "energy", "path": "/energy/electricity", "height": 1100, "wait": 6000},
                    {"name": "paired", "path": "/config/integrations/integration/apis"},
                )
                assert pages["errors"] == []

                # Killed while a deal runs.
                await home.act("select.select_option", target="select.street_mode", option="heteronomous")
                devices = await devices_of(home)
                deal = await home.act(
                    "apis.create_deal", answer=True, device_id=devices["E001"], partner_device_id=devices["E002"], amount_wh=50
                )
                await home.hang_up()
                os.killpg(home.process.pid, signal.SIGKILL)
            async with relay(own) as url:
                store = tmp_path / "config/.storage/core.config_entries"
                text = await asyncio.to_thread(store.read_text)
                await asyncio.to_thread(store.write_text, re.sub(r"http://127\.0\.0\.1:\d+(?=\")", url, text))
                async with home_assistant(tmp_path, known=True) as home:
                    await loaded(home)
                    again = await the_same(home, data, entry_id)
                    # The second start has changed nothing of what was written.
                    assert all(again[key][: len(rows)] == rows for key, rows in first.items())
                    running_now = (await home.act("apis.get_deals", answer=True, state="running"))["deals"]
                    assert [each["deal_id"] for each in running_now] == [deal["deal_id"]]


async def test_a_backup_is_restored_and_removal_leaves_the_archive(tmp_path: Path) -> None:
    device_port = a_port()
    (tmp_path / "emulator.yaml").write_text("ramp_s: 2\n")
    arguments = ("emulator", "--units", "2", "--port", str(device_port), "--config", str(tmp_path / "emulator.yaml"))
    with running(*arguments, until=f"127.0.0.1:{device_port}"):
        (tmp_path / "files").mkdir()
        folders(tmp_path / "files", device_port, ("E001", "E002"))
        async with home_assistant(tmp_path) as home:
            made = await home.flow({"next_step_id": "node"}, {"name": "Here", "folder": str(tmp_path / "files")})
            entry_id = made["result"]["entry_id"]
            await loaded(home)
            await home.act("select.select_option", target="select.here_mode", option="heteronomous")
            devices = await devices_of(home)

            async def a_deal(amount_wh: int) -> str:
                deal = await home.act(
                    "apis.create_deal", answer=True, device_id=devices["E001"], partner_device_id=devices["E002"], amount_wh=amount_wh
                )
                return str(deal["deal_id"])

            async def state(deal_id: str) -> str:
                found = (await home.act("apis.get_deals", answer=True))["deals"]
                return next((str(each["state"]) for each in found if each["deal_id"] == deal_id), "")

            first = await a_deal(2)
            await until(lambda: _is(state(first), "completed"), 120, "the first deal does not complete", home)
            second = await a_deal(50)
            await until(lambda: _is(state(second), "started"), 60, "the second deal does not start", home)
            # A backup in mid-deal.
            backup = await home.ask("backup/generate", agent_ids=["backup.local"], include_database=False, include_homeassistant=True)
            assert backup["backup_job_id"]
            archives = tmp_path / "config/backups"

            async def written() -> list[Path]:
                info = await home.ask("backup/info")
                return list(archives.glob("*.tar")) if info["state"] == "idle" else []

            (file,) = await until(written, 60, "the backup is not written", home)
            await home.act("apis.stop_deal", deal_id=second)
            await until(lambda: _is(state(second), "aborted"), 60, "the second deal does not end", home)
            third = await a_deal(2)
            await until(lambda: _is(state(third), "completed"), 120, "the third deal does not complete", home)
        restored = tmp_path / "restored"
        await asyncio.to_thread(_restore, file, restored, tmp_path / "config")
        async with home_assistant(tmp_path, known=True) as home:
            await loaded(home)

            async def settled() -> bool:
                found = {each["deal_id"]: each["state"] for each in (await home.act("apis.get_deals", answer=True))["deals"]}
                # What came after the backup is not known any more; what ran then is settled, and what had ended stays so.
                return found.keys() == {first, second} and found[first] == "completed" and found[second] in ("aborted", "completed")

            await until(settled, 90, "the deals of the backup are not settled", home)
            async with home.session.get(f"http://127.0.0.1:{device_port}/get/dcdc/status/E001") as answer:
                assert (await answer.json(content_type=None))["status"]["status"] == "0x0000"
            headers = {"Authorization": f"Bearer {home.tokens['access_token']}"}
            async with home.session.delete(f"{home.url}/api/config/config_entries/entry/{entry_id}", headers=headers) as answer:
                assert answer.status == 200
            assert await home.entries() == []
            left = [path.relative_to(tmp_path / "config/apis").parts for path in (tmp_path / "config/apis").rglob("*") if path.is_file()]
            assert [parts[0] for parts in left] == ["archive"], left
            assert len(json.loads((tmp_path / "config/apis/archive" / left[0][1]).read_text())) == 2
            issues = (await home.ask("repairs/list_issues"))["issues"]
            assert [issue for issue in issues if issue["domain"] == "apis"] == []


async def _is(state: Any, wanted: str) -> bool:
    return bool(await state == wanted)


def _restore(file: Path, unpacked: Path, config: Path) -> None:
    """Put a community's data back as a restored backup would: Home Assistant is off."""
    with tarfile.open(file) as outer:
        outer.extractall(unpacked, filter="data")
    (inner,) = unpacked.glob("homeassistant.tar*")
    with tarfile.open(inner) as archive:
        # Beside it there are links of this checkout, which no home has.
        ours = [member for member in archive.getmembers() if member.name.startswith("data/apis/")]
        archive.extractall(unpacked / "homeassistant", ours, filter="data")
    shutil.rmtree(config / "apis")
    shutil.copytree(unpacked / "homeassistant/data/apis", config / "apis")


async def test_home_assistant_is_killed_while_the_drivers_run_elsewhere(tmp_path: Path) -> None:
    """Nothing is started again: each driver puts its converter to wait, the current first, and says that it did."""
    async with street(tmp_path) as here, home_assistant(tmp_path) as home:
        (tmp_path / "files").mkdir()
        for folder in configs(tmp_path, here.houses):
            shutil.move(folder, tmp_path / "files" / folder.name)
        made = await home.flow({"next_step_id": "node"}, {"name": "Here", "folder": str(tmp_path / "files")})
        assert made["type"] == "create_entry", made
        await loaded(home)
        await home.act("select.select_option", target="select.here_mode", option="heteronomous")
        states = await home.states()
        assert states["binary_sensor.e001_converter_driver_problem"]["state"] == "off"
        assert states["update.e001_converter_driver"]["state"] == "off"
        devices = await devices_of(home)
        await home.act("apis.create_deal", device_id=devices["E001"], partner_device_id=devices["E002"], amount_wh=50, current_a=2)
        both = {ConverterMode.VOLTAGE_REFERENCE}

        def share() -> bool:
            modes = {here.mode(unit) for unit in here.houses}
            return both < modes and ConverterMode.WAIT not in modes

        await wait_until(share, 60, "the deal does not start")
        (reference,) = [unit for unit in here.houses if here.mode(unit) is ConverterMode.VOLTAGE_REFERENCE]
        (pushing,) = set(here.houses) - {reference}
        await home.hang_up()
        os.killpg(home.process.pid, signal.SIGKILL)
        assert await wait_until(lambda: here.mode(pushing) is ConverterMode.WAIT, 8, "the current mode goes on") <= 6.5
        assert here.mode(reference) is ConverterMode.VOLTAGE_REFERENCE
        await wait_until(lambda: here.mode(reference) is ConverterMode.WAIT, 37, "the reference goes on")
        assert [house.service.keeper.trips for house in here.houses.values()] == [1, 1]
