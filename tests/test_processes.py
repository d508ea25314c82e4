"""Real processes on loopback: the demo, the emulator, nodes, and the command line that speaks to them."""

import asyncio
import atexit
from collections.abc import AsyncIterator, Callable, Iterator
import contextlib
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from apis_core import app, kept, setups as setups_of
from apis_core.emulator.settings import Settings as EmulatorSettings
from apis_core.ledger import schema
from apis_core.ledger.database import sqlite_url
from apis_core.local_community import LocalCommunity
from apis_core.model.deal import Deal
from apis_core.model.errors import CommandRefusedError
from apis_core.server.client import RemoteCommunity
from tests.builders import scenario_json
from tests.model.test_files import CONFIG, a_policy_file, change, write

pytestmark = pytest.mark.alone

APIS = [sys.executable, "-m", "apis_core"]
ROOT = Path(__file__).parents[1]
# Compiled modules are kept for the run, so that only the first process compiles them.
CACHE = tempfile.mkdtemp(prefix="apis-pycache-")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
    "COLUMNS": "200",
    "NO_COLOR": "1",
    "PYTHONPYCACHEPREFIX": CACHE,
}
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def apis(*arguments: str, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `more`: of its environment."""
    env = {**ENVIRONMENT, **more}
    return subprocess.run([*APIS, *arguments], capture_output=True, text=True, timeout=timeout, cwd=ROOT, env=env, check=False)


@contextlib.contextmanager
def running(*arguments: str, until: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended when the block is left; entered once it has printed `until`."""
    process = subprocess.Popen([*APIS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until in line:
                break
        else:
            raise AssertionError("".join(lines))
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@contextlib.contextmanager
def emulator(units: int = 4, acceleration: int = 60) -> Iterator[int]:
    port = a_port()
    arguments = ("emulator", "--units", str(units), "--port", str(port), "--acceleration", str(acceleration))
    with running(*arguments, until=f"127.0.0.1:{port}"):
        yield port


def folders(tmp_path: Path, port: int, units: tuple[str, ...] = ("E001", "E002", "E003", "E004")) -> list[Path]:
    found = []
    for unit in units:
        folder = tmp_path / unit
        folder.mkdir()
        config: dict[str, Any] = {**CONFIG, "unitId": unit, "unitName": unit, "communityId": str(tmp_path), "timeZone": "Asia/Tokyo"}
        config["stateFileFormat"] = str(folder / "state-%s")
        config["dealLogDirFormat"] = f"'{folder}/dealLog/'uuuu'/'MM'/'dd"
        policy = a_policy_file(max(4, len(units)))
        write(folder, files={"config": change(config, "connection/emulator/port", port), "policy": policy})
        found.append(folder)
    return found


def wait_until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_the_demo_trades_records_and_drains(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ("--units", "4", "--acceleration", "60", "--duration", "25", "--json", str(out), "--data-dir", str(tmp_path))
    result = apis("demo", *arguments, timeout=120)
    assert result.returncode == 0, result.stderr
    record = json.loads(out.read_text())
    deals = [Deal.from_json(item) for item in record["deals"]]
    completed = [deal for deal in deals if deal.is_completed]
    assert len(completed) >= 3
    for deal in completed:
        assert deal.amount_wh <= deal.cumulate_amount_wh < 1.02 * deal.amount_wh
    for unit in record["units"].values():
        assert unit["converter_mode"] == "WAIT"
        assert unit["recorded_wh"] == pytest.approx(unit["emulator_wh"], rel=0.01)
    engine = sa.create_engine(sqlite_url(tmp_path / kept.DATABASE_NAME))
    with engine.connect() as ledger:
        rows = {(row.unit_id, row.deal_id): json.loads(row.record) for row in ledger.execute(sa.select(schema.deals))}
    engine.dispose()
    assert set(rows) == {(unit, deal.deal_id) for deal in deals for unit in deal.unit_ids}
    for deal in deals:
        for unit in deal.unit_ids:
            assert Deal.from_json(rows[unit, deal.deal_id]).cumulate_amount_wh == deal.cumulate_amount_wh


def test_the_demo_drains_at_ctrl_c(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with running("demo", "--units", "3", "--acceleration", "60", "--json", str(out), until="started") as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    record = json.loads(out.read_text())
    assert all(Deal.from_json(deal).is_ended for deal in record["deals"])
    assert {unit["converter_mode"] for unit in record["units"].values()} == {"WAIT"}


def test_a_cut_driver_and_a_killed_node_do_not_end_the_demo(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    faults = ("--fault", "driver:E002@4", "--fault", "node:master@5")
    result = apis("demo", "--units", "4", "--duration", "8", "--json", str(out), *faults, timeout=240)
    assert result.returncode == 0, result.stderr
    record = json.loads(out.read_text())
    assert sum(not unit["alive"] for unit in record["units"].values()) >= 1


def test_a_demo_says_before_it_begins_what_it_could_not_do_at_its_end(tmp_path: Path) -> None:
    for wrong, words in (
        (("--fault", "driver:E009@1"), "expected E001 to E002, or master"),
        (("--json", str(tmp_path / "no/such.json")), "a file in a folder that is there"),
    ):
        refused = apis("demo", "--units", "2", "--duration", "2", *wrong)
        assert refused.returncode == 2
        assert words in " ".join(refused.stderr.split())


def test_what_was_done_is_no_failure_because_a_letter_is_missing() -> None:
    shown = apis("demo", "--units", "2", "--duration", "1", PYTHONIOENCODING="latin-1")
    assert (shown.returncode, "Traceback" in shown.stderr) == (0, False)


def test_an_installation_runs_and_is_steered_from_the_command_line(tmp_path: Path) -> None:
    with emulator() as port:
        units = folders(tmp_path, port)
        api = a_port()
        (units[1] / "state-operationMode").write_text("heteronomous\n")
        url = ("--url", f"http://127.0.0.1:{api}")
        arguments = ["node", *(part for folder in units for part in ("--config", str(folder)))]
        with running(*arguments, "--data-dir", str(tmp_path / "data"), "--port", str(api), until="endpoint http"):
            wait_until(lambda: "Grid Master" in apis("units", *url).stdout)
            assert apis("mode", *url).stdout.strip() == "stop"
            refused = apis("deal", "create", "E001", "E002", "--energy-wh", "5", *url)
            assert refused.returncode == 1
            assert "the community's mode is stop" in refused.stderr
            assert apis("mode", "global", "heteronomous", *url).stdout.strip() == "heteronomous"
            assert apis("mode", "E002", *url).stdout.strip() == "heteronomous (own: heteronomous)"
            assert apis("mode", "E002", "none", *url).stdout.strip() == "heteronomous (own: none)"
            made = apis("deal", "create", "E001", "E002", "--energy-wh", "5", "--point-per-wh", "3", *url)
            assert "E001 → E002" in made.stdout, made.stderr

            def listed() -> list[dict[str, Any]]:
                return json.loads(apis("deals", "--format", "json", *url).stdout)  # type: ignore[no-any-return]

            wait_until(lambda: Deal.from_json(listed()[0]).is_completed)
            assert "completed" in apis("deals", *url).stdout
            table = apis("deals", "--format", "csv", "--unit", "E002", *url).stdout.splitlines()
            assert table[0].startswith("deal,created,from,to,state,agreed_wh")
            assert len(table) == 2
            assert apis("deals", "--format", "json", "--to", "2019-01-01", *url).stdout.strip() == "[]"
            deal_id = listed()[0]["dealId"]
            assert apis("deal", "stop", deal_id, *url).returncode == 1
            (log,) = (units[0] / "dealLog").rglob(deal_id)
            logged = json.loads(log.read_text())
            assert logged["createDateTime"].startswith("2020/01/0")
            assert logged["deactivateDateTime"] != "--"
            second = apis(*arguments, "--data-dir", str(tmp_path / "other"), "--port", "0")
            assert second.returncode == 2
            assert "expected one process on this machine" in second.stderr
            # Neither another place for temporary files nor another community may share what this one keeps.
            elsewhere = apis(*arguments, "--data-dir", str(tmp_path / "data"), "--port", "0", TMPDIR=str(tmp_path))
            assert elsewhere.returncode == 2
            assert "data directory" in elsewhere.stderr
            # A node that could not be reached touches nothing.
            deaf = apis(*arguments, "--data-dir", str(tmp_path / "third"), "--port", str(api))
            assert deaf.returncode == 1
            assert "the endpoint cannot listen on" in deaf.stderr
        gone = apis("units", *url)
        assert gone.returncode == 1
        assert "is a node running there?" in gone.stderr


def test_a_changed_scenario_file_is_taken_over_and_a_bad_one_is_not(tmp_path: Path) -> None:
    async def story(port: int) -> None:
        setups = setups_of.load_setups(folders(tmp_path, port, ("E001",)))
        object.__setattr__(setups[0].settings.scenario, "refreshing_period_s", 0.1)
        async with app.open_community(setups, tmp_path / "data", guarded=False) as community:
            node = community.nodes["E001"]
            path = tmp_path / "E001" / "scenario.json"
            for content, price in (("{", 10.0), (json.dumps({**scenario_json(7.0), "refreshingPeriodMsec": 100}), 7.0)):
                path.write_text(content)
                os.utime(path, (time.time() + price, time.time() + price))
                await community.reloaded.wait()
                community.reloaded.clear()
                found = node.settings.scenario.bands[0].accepts["excess"]
                assert [condition.point_per_wh for condition in found.values()] == [price]
            # No laxer than at the start: what the policy or the device cannot have is not taken over while it runs either.
            path, before = tmp_path / "E001" / "hwConfig.json", node.settings.hardware
            content = json.loads(path.read_text())
            content["gridCurrentCapacityA"] = 0.5
            path.write_text(json.dumps(content))
            os.utime(path, (time.time() + 99, time.time() + 99))
            await community.reloaded.wait()
            assert node.settings.hardware == before

    with emulator(1) as port:
        asyncio.run(story(port))


@pytest.fixture
async def community(tmp_path: Path) -> AsyncIterator[tuple[LocalCommunity, str]]:
    from apis_core.presets import hardware, policy_for, scenario
    from apis_core.server.endpoint import serve

    options = EmulatorSettings(units=2, port=0, acceleration=60)
    async with app.open_emulator(options) as (_, port):
        setups = setups_of.demo_setups(2, port, policy_for(2), hardware(), scenario())
        async with app.open_community(setups, tmp_path, guarded=False) as community:
            runner = await serve(community, "127.0.0.1", 0)
            yield community, f"http://127.0.0.1:{runner.addresses[0][1]}"
            await runner.cleanup()


async def test_the_endpoint_answers_to_this_machine_only_and_refuses_what_is_wrong(community: tuple[LocalCommunity, str]) -> None:
    _, url = community
    good = {"from": "E001", "to": "E002", "energyWh": 5}
    async with aiohttp.ClientSession() as session:

        async def status(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            async with session.request(method, f"{url}/api/v1{path}", data=data, headers=headers) as response:
                return response.status, await response.text()

        assert (await status("GET", "/snapshot"))[0] == 200
        nothings: tuple[Any, ...] = (None, 7, "rule", [])
        for nothing in nothings:
            assert (await status("PUT", "/units/E001/scenario/rule", {"rule": nothing}))[0] == 400, nothing
            assert (await status("POST", "/units", {"unit": nothing}))[0] == 400, nothing
        assert (await status("GET", "/snapshot", Origin="http://evil.example"))[0] == 403
        assert (await status("GET", "/snapshot", Host="evil.example"))[0] == 403
        assert (await status("GET", "/snapshot", Host="[::1"))[0] in (400, 403)
        assert (await status("GET", "/snapshot", Origin="http://localhost:8123"))[0] == 200
        for body in (
            b"{",
            b"[]",
            {},
            {**good, "energyWh": 0},
            {**good, "energyWh": "5"},
            {**good, "energyWh": 10**18},
            {**good, "pointPerWh": "nan"},
        ):
            assert (await status("POST", "/deals", body))[0] == 400, body
        code, text = await status("POST", "/deals", {**good, "energyWh": 100000})
        assert (code, "more than the battery holds" in text) == (409, True)
        assert (await status("POST", "/deals", {**good, "to": "E009"}))[0] == 409
        assert (await status("PUT", "/mode", {"mode": "party"}))[0] == 400
        assert (await status("PUT", "/mode", {"mode": None}))[0] == 409
        assert (await status("PUT", "/units/E001/mode", {"mode": "manual"}))[0] == 409
        assert (await status("PUT", "/units/E009/mode", {"mode": "stop"}))[0] == 409
        assert (await status("PUT", "/units/E001/scenario", {"scenario": {"a": 1}}))[0] == 400
        high = json.loads(json.dumps(scenario_json()).replace("4320}", "10000000}").replace('"limitWh": 4320', '"limitWh": 10000000'))
        assert (await status("PUT", "/units/E001/scenario", {"scenario": high}))[0] == 400
        assert (await status("PUT", "/units/E001/scenario", {"scenario": scenario_json()}))[0] == 200
        assert (await status("POST", "/units/E001/command", {"command": "WAIT", "epoch": 10**15}))[0] == 409
        assert (await status("GET", "/deals?from=soon"))[0] == 400
        assert (await status("GET", "/deals?from=0001-01-01T00:00:00%2B05:00"))[0] == 400


async def test_a_remote_community_is_the_same_as_a_local_one(community: tuple[LocalCommunity, str]) -> None:
    from apis_core.model.errors import CommandRefusedError
    from apis_core.model.modes import Command, CommandKind, OperationMode
    from apis_core.model.scenario import Scenario
    from apis_core.server.client import RemoteCommunity
    from apis_core.unit.mediator import wait_until as until

    local, url = community
    remote = RemoteCommunity.connect(url)
    events = remote.subscribe()
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.2)
    await remote.set_mode(OperationMode.MANUAL, None, "test")
    assert (await first).message == "mode manual"
    await events.aclose()  # type: ignore[attr-defined]
    assert (await remote.snapshot()).mode == "manual"
    await remote.control_converter("E001", Command(CommandKind.WAIT, 0, 1.0))
    await remote.set_scenario("E001", Scenario.from_json(scenario_json(3.0))[0], "test")
    assert local.nodes["E001"].settings.scenario.bands[0].accepts["short"]
    await remote.set_mode(OperationMode.HETERONOMOUS, None, "test")
    deal = await remote.create_deal("E001", "E002", 5, who="test", current_a=0.5)
    assert deal.grid_current_a == 0.5
    assert [d.deal_id for d in (await remote.snapshot()).deals] == [deal.deal_id]
    await remote.stop_deal(deal.deal_id, "test")
    async with asyncio.timeout(30):
        await until(local.board, lambda: all(d.is_ended for d in local.board.deals()))
    with pytest.raises(CommandRefusedError, match="no such deal"):
        await remote.stop_deal(deal.deal_id, "test")
    assert await remote.deals(unit_id="E002") == await local.deals(unit_id="E002")
    await remote.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "/nowhere.json"), "/nowhere.json: found No such file or directory, expected a readable file"),
        (("node", "--config", "/nowhere"), "/nowhere: found No such file or directory"),
        (("demo", "--fault", "cosmic:ray"), "--fault: found cosmic:ray, expected driver:UNIT@SECONDS"),
        (("demo", "--scenario", "/nowhere.yaml"), "/nowhere.yaml: found No such file"),
        (("emulator", "--load", "/nowhere.csv"), "/nowhere.csv"),
        (("emulator", "--units", "0"), "greater than or equal to 1"),
        (("deals", "--from", "soon"), "--from: found 'soon', expected a day or time"),
        (("mode", "global", "party"), "mode: found 'party', expected one of autonomous"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(arguments: tuple[str, ...], words: str) -> None:
    result = apis(*arguments)
    assert result.returncode == 2
    assert words in result.stderr.replace("\n", "")
    assert "Traceback" not in result.stderr


def test_check_tells_problems_notes_and_what_is_good(tmp_path: Path) -> None:
    (folder,) = folders(tmp_path, 4390, ("E001",))
    good = apis("check", str(folder), *(str(folder / f"{name}.json") for name in ("config", "policy", "hwConfig", "scenario")))
    assert good.returncode == 0, good.stderr
    assert good.stdout.count("good ") == 5
    assert "note " in good.stdout
    (folder / "policy.json").write_text('{"memberUnitIds": ["[/x]"], "[bold]": 1}')
    bad = apis("check", str(folder / "policy.json"), str(folder / "scenario.json"))
    assert bad.returncode == 2
    assert "[bold]: found an unknown key, expected no such key" in bad.stderr
    assert "operationGridVoltageV: found nothing, expected a value" in bad.stderr
    deep = tmp_path / "deep.json"
    deep.write_text('{"a":' * 2000 + "1" + "}" * 2000)
    assert apis("check", str(deep)).returncode == 2


def test_two_units_with_different_policies_do_not_start(tmp_path: Path) -> None:
    one, two = folders(tmp_path, 4390, ("E001", "E002"))
    policy = json.loads((two / "policy.json").read_text())
    (two / "policy.json").write_text(json.dumps({**policy, "gridUvloMaskV": 11}))
    result = apis("node", "--config", str(one), "--config", str(two))
    assert result.returncode == 2
    assert "found another policy, expected the policy of E001: all units share one" in result.stderr
    twice = apis("node", "--config", str(one), "--config", str(one))
    assert "unitId: found E001 twice" in twice.stderr
    config = json.loads((one / "config.json").read_text())
    (one / "config.json").write_text(json.dumps({**config, "systemType": "dcdc_v2"}))
    assert "/version/get: Cannot connect" in apis("node", "--config", str(one), "--data-dir", str(tmp_path / "data"), "--port", "0").stderr


def test_a_node_without_its_device_says_so_and_ends(tmp_path: Path) -> None:
    (folder,) = folders(tmp_path, a_port(), ("E001",))
    result = apis("node", "--config", str(folder), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert result.returncode == 1
    assert "/get/acc" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_node_loads_neither_arrays_nor_emulator_nor_migrations() -> None:
    script = "import sys, apis_core.daemon; print(sorted(n for n in sys.modules if n.split('.')[0] in ('numpy', 'alembic', 'typer', 'rich', 'pydantic') or n.startswith(('apis_core.emulator', 'apis_core.simulation'))))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


async def test_the_emulator_answers_errors_as_json_and_goes_on() -> None:
    options = EmulatorSettings(units=2, port=0, acceleration=60)
    async with app.open_emulator(options) as (world, port), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for path, status in (
            ("/set/dcdc/E001?mode=0x0014&dvg=0&dig=0&drg=0", 200),
            ("/set/dcdc/E009?mode=0x0000&dvg=0&dig=0", 404),
            ("/set/dcdc/E001?mode=1", 400),
            ("/set/acc/-1", 400),
            ("/set/acc/999999", 400),
            ("/set/acc/10", 200),
            ("/get/log", 200),
            ("/nothing", 404),
        ):
            async with session.get(path) as response:
                assert response.status == status, path
                if status != 200:
                    assert "error" in await response.json()
        async with session.get("/get/acc") as response:
            assert await response.text() == "10"
        before = world.engine.elapsed_s
        await asyncio.sleep(0.3)
        assert world.engine.elapsed_s > before
        async with session.post("/set/acc/10") as response:
            assert response.status == 405


async def test_scenarios_presets_and_statements_are_the_same_from_afar(community: tuple[LocalCommunity, str]) -> None:
    local, url = community
    remote = RemoteCommunity.connect(url)
    try:
        assert await remote.scenario("E001") == await local.scenario("E001")
        assert (await remote.preview_scenario("E001"))["now"] == (await local.preview_scenario("E001"))["now"]
        assert await remote.statement("E001") == tuple(await local.statement("E001"))
        await remote.set_preset("E001", "storm", "afar")
        units = {unit.unit_id: unit for unit in (await remote.snapshot()).units}
        assert (units["E001"].preset, units["E001"].request_below_pct) == ("storm", 90)
        await remote.move_edges("E001", request_below_pct=None, offer_above_pct=99, who="afar")
        assert [version["who"] for version in await remote.scenario_versions("E001")][-2:] == ["afar", "afar"]
        with pytest.raises(CommandRefusedError, match="expected one of balanced"):
            await remote.set_preset("E001", "party", "afar")
        assert (await remote.preview_scenario("E001", await local.scenario("E002")))["hours"]
    finally:
        await remote.close()
