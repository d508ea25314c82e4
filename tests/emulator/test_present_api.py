"""The present API, its settings, who may use it, and what it leaves behind."""

import asyncio
import csv
from dataclasses import replace
import json
from pathlib import Path
from typing import Any, Self

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings as hypothesis_settings, strategies as st
from pyarrow import parquet
import pytest
import sqlalchemy as sa

from apis_core.announcement import announced, properties
from apis_core.clock import run_virtual
from apis_core.emulator import settings as emulator_settings
from apis_core.emulator.building import build, recorder_for
from apis_core.emulator.documents import openapi
from apis_core.emulator.faults import UnitFault
from apis_core.emulator.server import application
from apis_core.emulator.settings import Settings
from apis_core.emulator.v1 import routes
from apis_core.emulator.world import World
from apis_core.model.errors import ConfigError, DriverError
from apis_core.ports import DeviceRequest


class Bench:
    """An emulator behind HTTP whose clock a test sets."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.seconds = 0.0
        self.settings = settings or Settings(units=3, start=Settings().start.replace(month=6, hour=9))
        self.world = World(build(self.settings), lambda: self.seconds, 1.0, folder=self.settings.data_dir)
        self.client: TestClient[Any, Any] = TestClient(TestServer(application(self.world, self.settings)))

    async def __aenter__(self) -> Self:
        await self.client.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def ask(self, method: str, path: str, body: Any = ..., **headers: str) -> tuple[int, Any]:
        data = None if body is ... else json.dumps(body)
        response = await self.client.request(method, path, data=data, headers=headers)
        content = await response.read()
        return response.status, json.loads(content) if content[:1] in (b"{", b"[") else content.decode()


async def test_units_come_and_go_and_keep_what_they_are() -> None:
    async with Bench() as bench:
        status, unit = await bench.ask("PUT", "/api/v1/units/attic", {"battery_wh": 9600, "solar_kw": 2.5, "losses": {"charge_w": 50}})
        assert status == 201
        assert unit["house"]["losses"]["charge_w"] == 50
        assert unit["house"]["losses"]["wait_w"] == 4.5
        assert unit["energy_wh"] == 4800
        assert (await bench.ask("PUT", "/api/v1/units/attic", {}))[0] == 409
        assert [u["id"] for u in (await bench.ask("GET", "/api/v1/units"))[1]] == ["E001", "E002", "E003", "attic"]
        # What is taken away in the middle leaves the others as they are.
        before = (await bench.ask("GET", "/api/v1/units/E003"))[1]
        assert (await bench.ask("DELETE", "/api/v1/units/E002"))[0] == 204
        assert (await bench.ask("GET", "/api/v1/units/E003"))[1] == before
        assert (await bench.ask("GET", "/api/v1/units/E002"))[0] == 404
        assert (await bench.ask("GET", "/get/unit/attic"))[1]["emu"]["rsoc"] == 50


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("PUT", "units/x y", {}, "unit id"),
        ("PUT", "units/new", {"battery_wh": -1}, "unit new.battery_wh: found -1, expected a number from 1 to 1e+07"),
        ("PUT", "units/new", {"colour": 1}, "unit new.colour: expected one of household"),
        ("PUT", "units/new", [], "unit new: found list, expected an object"),
        ("PUT", "units/new", {"losses": {"charge_w": "x"}}, "losses.charge_w: found 'x'"),
        ("PUT", "units/E001/converter", {"mode": "WAIT"}, "converter.current_a: expected a value"),
        ("PUT", "units/E001/converter", {"mode": "FLY", "line_voltage_v": 1, "current_a": 1}, "converter.mode: found 'FLY'"),
        (
            "PUT",
            "units/E001/converter",
            {"mode": "WAIT", "line_voltage_v": 350, "current_a": 9},
            "current_a: found 9, expected 0 to 8.5162",
        ),
        ("PATCH", "units/E001", {"state_of_charge_pct": 101}, "found 101"),
        ("PUT", "units/E001/fault", {"noise": -1}, "fault.noise: found -1, expected a number from 0 to 60"),
        ("PUT", "units/E001/fault", {"http_error": 200}, "expected null or a status from 400 to 599"),
        ("PATCH", "state", {"acceleration": -1}, "state.acceleration"),
        ("PATCH", "state", {"dip_ratio": 0.5}, "one of dip_ratio and dip_s"),
        ("PUT", "snapshots/a", ..., "no data folder"),
    ],
)
async def test_what_is_refused_names_the_parameter_and_changes_nothing(method: str, path: str, body: Any, words: str) -> None:
    async with Bench() as bench:
        before = (await bench.ask("GET", "/api/v1/units"))[1]
        status, answer = await bench.ask(method, f"/api/v1/{path}", body)
        assert 400 <= status < 500
        assert words in answer["error"]
        assert (await bench.ask("GET", "/api/v1/units"))[1] == before


async def test_a_snapshot_goes_on_exactly_where_it_was_made(tmp_path: Path) -> None:
    async with Bench(Settings(units=3, data_dir=tmp_path)) as bench:
        await bench.ask("PUT", "/api/v1/units/E001/converter", {"mode": "VOLTAGE_REFERENCE", "line_voltage_v": 350, "current_a": 5})
        bench.seconds = 500.0
        await bench.ask("PUT", "/api/v1/units/E002/converter", {"mode": "DISCHARGE", "line_voltage_v": 380, "current_a": 1.5})
        assert (await bench.ask("PUT", "/api/v1/snapshots/noon"))[1] == {"name": "noon", "units": 3}
        kept = (await bench.ask("GET", "/api/v1/units"))[1]
        bench.seconds = 5000.0
        await bench.ask("PUT", "/api/v1/units/E004", {})
        assert (await bench.ask("GET", "/api/v1/snapshots"))[1] == ["noon"]
        assert (await bench.ask("POST", "/api/v1/snapshots/noon/load"))[1]["elapsed_s"] == 500
        found = (await bench.ask("GET", "/api/v1/units"))[1]
        for unit in (*found, *kept):
            del unit["battery_integral_wh"], unit["grid_integral_wh"]
        assert found == kept
        assert (await bench.ask("POST", "/api/v1/snapshots/none/load"))[0] == 404
        assert (await bench.ask("POST", "/api/v1/snapshots/..%2Fnoon/load"))[0] == 400
        (tmp_path / "bad.snapshot.json").write_text('{"format": "apis-emulator-1", "elapsed_s": 1, "line_voltage_v": 0, "units": [{}]}')
        status, answer = await bench.ask("POST", "/api/v1/snapshots/bad/load")
        assert (status, "snapshot.units" in answer["error"]) == (400, True)
        assert len((await bench.ask("GET", "/api/v1/units"))[1]) == 3


async def test_saved_units_come_back_from_the_originals_file(tmp_path: Path) -> None:
    async with Bench(Settings(units=2, data_dir=tmp_path)) as bench:
        await bench.ask("GET", "/set/emu/E002?rsoc=81.5")
        await bench.ask("GET", "/save")
        await bench.ask("GET", "/add/unit")
        await bench.ask("GET", "/set/emu/E002?rsoc=5")
        units = (await bench.ask("GET", "/get/last"))[1]
        assert {unit_id: unit["emu"]["rsoc"] for unit_id, unit in units.items()} == {"E001": 50, "E002": 81.5}
        (tmp_path / "lastSave.json").write_text('{"E000": {"emu": {"rsoc": 400}}}')
        assert "E000" in (await bench.ask("GET", "/get/last"))[1]["error"]
        assert len((await bench.ask("GET", "/get/log"))[1]) == 2


async def test_changes_are_pushed(tmp_path: Path) -> None:
    async with Bench() as bench, bench.client.ws_connect("/api/v1/events") as socket:
        first = json.loads((await socket.receive()).data)
        assert len(first["units"]) == 3
        await bench.ask("PATCH", "/api/v1/units/E002", {"state_of_charge_pct": 12})
        second = json.loads((await socket.receive(timeout=5)).data)
        assert [unit["id"] for unit in second["units"]] == ["E002"]
        await bench.ask("DELETE", "/api/v1/units/E003")
        assert json.loads((await socket.receive(timeout=5)).data)["removed"] == ["E003"]


async def test_metrics_health_and_documents() -> None:
    async with Bench() as bench:
        assert (await bench.ask("GET", "/api/v1/health"))[1]["units"] == 3
        metrics = (await bench.ask("GET", "/metrics"))[1]
        assert 'apis_emulator_unit_state_of_charge_ratio{unit="E002"} 0.5' in metrics
        document = (await bench.ask("GET", "/api/v1/openapi.json"))[1]
        served = {(route.method.lower(), route.path) for route in routes() if route.path.startswith("/api/v1/")}  # type: ignore[attr-defined]
        written = {(method, path) for path, operations in document["paths"].items() for method in operations}
        assert served - written == {("get", "/api/v1/openapi.json")}
        assert written <= served
        assert document == openapi()


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"http_error": 503}, lambda status, _: status == 503),
        ({"stuck": True}, lambda status, unit: status == 200 and unit["dcdc"]["status"]["status"] == "0x0000"),
        ({"heavy_alarm": True}, lambda status, unit: status == 200 and unit["dcdc"]["status"]["alarmState"] == "Heavy alarm"),
        ({"offset_a": 0.5, "offset_v": 3}, lambda status, unit: (unit["dcdc"]["meter"]["ig"], unit["dcdc"]["meter"]["vg"]) == (0.5, 353)),
        ({"noise": 0.01}, lambda status, unit: 330 < unit["dcdc"]["meter"]["vg"] < 370 and unit["dcdc"]["meter"]["vg"] != 350),
    ],
)
async def test_a_fault_shows_in_the_device_api_and_ends_with_it(fault: dict[str, Any], check: Any) -> None:
    async with Bench() as bench:
        await bench.ask("GET", "/set/dcdc/E001?mode=0x0014&dvg=350&dig=5&drg=0")
        bench.seconds = 200.0
        await bench.ask("PUT", "/api/v1/units/E002/fault", fault)
        await bench.ask("GET", "/set/dcdc/E002?mode=0x0041&dvg=350&dig=0&drg=0")
        assert check(*await bench.ask("GET", "/get/unit/E002"))
        await bench.ask("PUT", "/api/v1/units/E002/fault", {})
        await bench.ask("GET", "/set/dcdc/E002?mode=0x0041&dvg=350&dig=0&drg=0")
        status, unit = await bench.ask("GET", "/get/unit/E002")
        assert (status, unit["dcdc"]["status"]["status"], unit["dcdc"]["meter"]["vg"]) == (200, "0x0041", 350)


def test_silence_delay_and_frozen_readings_without_a_network() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        world = World(build(Settings(units=2)), loop.time)
        world.set_fault("E001", UnitFault(silent=True))
        with pytest.raises(DriverError, match="no answer"):
            await world.send(DeviceRequest("GET", "/get/unit/E001"))
        assert loop.time() >= 60
        world.set_fault("E001", UnitFault(delay_s=3, frozen=True))
        before_s = loop.time()
        first = await world.send(DeviceRequest("GET", "/get/unit/E001"))
        assert loop.time() - before_s == pytest.approx(3)
        await asyncio.sleep(7200)
        assert await world.send(DeviceRequest("GET", "/get/unit/E001")) == first
        world.set_fault("E001", UnitFault(no_ramp=True))
        await world.send(DeviceRequest("GET", "/set/dcdc/E001?mode=0x0014&dvg=350&dig=5&drg=0"))
        await asyncio.sleep(300)
        assert (await world.send(DeviceRequest("GET", "/get/unit/E001")))["dcdc"]["meter"]["vg"] == 0

    run_virtual(main)


paths = st.sampled_from(
    ["/get/unit/", "/get/emu/", "/get/dcdc/", "/set/emu/", "/set/dcdc/", "/set/dcdc/voltage/", "/set/dcdc/current/", "/set/acc/", "/"]
)
words = st.sampled_from(["E001", "E002", "E999", "", "1", "-1", "abc", "nan", "1e309", "0x0014", "0x0041", "%00", "350", "é", "9" * 400])
queries = st.lists(
    st.tuples(st.sampled_from(["mode", "dvg", "dig", "drg", "p1", "p2", "rsoc", "x", "ups_operation_mode", "battery_voltage"]), words),
    max_size=5,
)


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(paths, words, queries), min_size=1, max_size=50))
def test_no_request_stops_or_corrupts_it(requests: list[tuple[str, str, list[tuple[str, str]]]]) -> None:
    async def main() -> None:
        async with Bench() as bench:
            for path, word, query in requests:
                response = await bench.client.get(path + word, params=query)
                content = await response.read()
                assert response.status < 500, (path, word, query, content)
                if response.status >= 400:
                    assert json.loads(content)["error"]
            bench.seconds += 30.0
            status, units = await bench.ask("GET", "/get/log")
            assert status == 200
            assert all(0 <= unit["emu"]["rsoc"] <= 100 for unit in units.values())
            assert bench.world.engine.elapsed_s >= 0

    asyncio.run(main())


async def test_who_comes_from_elsewhere_needs_a_token_or_an_address() -> None:
    settings = Settings(units=1, token="secret")
    async with Bench(settings) as bench:
        assert (await bench.ask("GET", "/get/log"))[0] == 200
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert (await bench.ask("GET", "/set/acc/5", **cross))[0] == 403
        assert (await bench.ask("GET", "/get/log", **{"Sec-Fetch-Site": "same-origin", "Host": "evil.example"}))[0] == 403
    assert [p.where for p in Settings(host="0.0.0.0").problems()] == ["host"]
    assert Settings(host="0.0.0.0", allow=("192.168.1.0/24",)).problems() == ()
    assert [p.where for p in Settings(allow=("nowhere",)).problems()] == ["allow"]


def test_settings_from_the_originals_names_a_file_and_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "emulator.json"
    path.write_text(
        json.dumps({"b_port": 4391, "acc": 10, "sleeptime": 0.5, "DCChargeLoss": 60, "UPS_TRIGGER_BATT_OFF": 25, "r": 0.19, "units": 7})
    )
    found, notices = emulator_settings.read(path, {"APIS_EMULATOR_UNITS": "9", "APIS_EMULATOR_ALLOW": "10.0.0.1, 10.0.0.2", "HOME": "/"})
    assert (found.port, found.acceleration, found.units, found.allow) == (4391, 20, 9, ("10.0.0.1", "10.0.0.2"))
    assert (found.losses.charge_w, found.triggers.bypass_on_pct, found.losses.discharge_w) == (60, 25, 55)
    assert [notice.where for notice in notices] == [f"{path}: r"]
    path.write_text('{"b_port": "x", "nonsense": 1}')
    with pytest.raises(ConfigError, match="b_port") as caught:
        emulator_settings.read(path, {})
    assert len(caught.value.problems) == 2
    assert emulator_settings.read(None, {}) == (Settings(), ())


def test_a_month_is_written_down_day_by_day(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'units.sqlite'}"
    settings = Settings(units=2, summary=tmp_path / "summary.csv", individual=str(tmp_path / "units.csv"), record_interval_s=3600)
    for individual in (settings.individual, url):
        engine = build(settings)
        recorder = recorder_for(engine, replace(settings, individual=individual))
        assert recorder is not None
        engine.advance_to(3 * 86400.0 + 3600)
        recorder.close()
    rows = list(csv.DictReader((tmp_path / "summary.csv").read_text().splitlines()))
    assert [row["time"] for row in rows] == ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04", "sum", "avg"]
    for row in rows[:3]:
        pv, demand, acin, loss, wasted = (float(row[key]) for key in ("pv", "demand", "acin", "loss", "wasted"))
        # What came in is what was used, lost or kept.
        assert pv + acin - demand - loss == pytest.approx(float(row["deltaBatt"]), abs=0.01 * demand + 10)
        assert float(row["r_utility"]) == pytest.approx((acin - float(row["deltaBatt"])) / demand, abs=0.001)
        assert wasted >= 0
    assert sum(float(row["demand"]) for row in rows[:4]) == pytest.approx(float(rows[4]["demand"]))
    units = list(csv.DictReader((tmp_path / "units.csv").read_text().splitlines()))
    assert len(units) == 2 * 74
    assert units[0]["time"] == "2020/01/01-00:00:10"
    database = sa.create_engine(url)
    with database.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from emulator_units")) == len(units)
    database.dispose()


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    for name in ("units.csv", "units.parquet"):
        settings = Settings(units=3, individual=str(tmp_path / name), record_interval_s=600)
        engine = build(settings)
        recorder = recorder_for(engine, settings)
        assert recorder is not None
        engine.advance_to(7200.0)
        recorder.close()
    rows = list(csv.DictReader((tmp_path / "units.csv").read_text().splitlines()))
    table = parquet.read_table(tmp_path / "units.parquet").to_pylist()
    assert [{key: str(value) for key, value in row.items()} for row in table] == rows
    assert len(rows) == 3 * 13


async def test_it_is_announced_only_where_it_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Any] = []

    class Quiet:
        """The network's edge: nothing is sent."""

        def __init__(self, **_: Any) -> None:
            registered.append("open")

        async def async_register_service(self, info: Any) -> None:
            registered.append(info)

        async def async_unregister_service(self, _info: Any) -> None:
            registered.append("gone")

        async def async_close(self) -> None:
            registered.append("closed")

    monkeypatch.setattr("zeroconf.asyncio.AsyncZeroconf", Quiet)
    async with announced("emulator", "127.0.0.1", 4390, "a" * 32):
        assert registered == []
    async with announced("emulator", "192.168.1.7", 4390, "a" * 32):
        info = registered[1]
        assert (info.type, info.port, info.parsed_addresses()) == ("_apis._tcp.local.", 4390, ["192.168.1.7"])
        assert info.decoded_properties == properties("emulator", "a" * 32)
    assert registered[-2:] == ["gone", "closed"]
