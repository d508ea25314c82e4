"""The recorded requests of the original emulator, asked of ours: the same replies, but for what is named here with its reason."""

import json
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
import pytest

from apis_core.emulator.engine import Engine
from apis_core.emulator.houses import House
from apis_core.emulator.server import application
from apis_core.emulator.world import World
from tests.builders import quiet_profiles
from tests.emulator.test_engine import START

CAPTURES = [json.loads(line) for line in (Path(__file__).parents[1] / "data/emulator/captures.jsonl").read_text().splitlines()]
NORMAL = [item for item in CAPTURES if "fatal" not in item["group"]]
FATAL = [item for item in CAPTURES if "fatal" in item["group"]]

# What differs on purpose, by (url, case): the status that we give, and why.
DIFFERENT = {
    "out of range 250 accepted": (400, "a battery holds 0 to 100 %"),
    "nan accepted (body is not valid JSON)": (400, "no number"),
    "negative dig accepted": (400, "a limit has no direction: the mode has"),
    "huge dig accepted": (400, "above what the converter takes"),
    "negative": (400, "time does not run backwards"),
    "text value": (400, "an error of the request, as JSON"),
    "empty value": (400, "an error of the request, as JSON"),
    "text": (400, "an error of the request, as JSON"),
    "float text": (400, "an error of the request, as JSON"),
    "unknown unit with query": (404, "an error of the request, as JSON"),
}
# Values that come from the made-up load of the recording, from rounding in its state, or from what it did a moment ago.
HOUSES = {"charge_discharge_power", "battery_current", "ups_output_power", "pvc_charge_power", "rsoc", "p2", "time", "ip"}
# What the original keeps in another way: its droop and voltage are cut to whole numbers, a second reference keeps an old
# current, a wait before the first command shows an odd meter, thresholds of its canned houses were measured.
LINE = {"vg", "ig", "wg", "wb", "ib", "dvg", "drg", "dig", "ogv", "ugv", "p1", "obv", "mode"}


def shape(value: Any) -> Any:
    """Keys and kinds: what a client relies on."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: without(inner, names) for key, inner in value.items() if key not in names}
    return value


async def client_of(units: int = 3, acceleration: float = 10) -> TestClient[Any, Any]:
    houses = tuple(House(f"E{i + 1:03}", i) for i in range(units))
    # A clock that stands: what time does to the houses is another test's business.
    world = World(Engine(houses, quiet_profiles(), START), lambda: 0.0, acceleration)
    client = TestClient(TestServer(application(world)))
    await client.start_server()
    return client


def groups() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in NORMAL:
        found.setdefault(item["group"], []).append(item)
    return found


# Asked before a recording's first request, where it was made on a world that was not new, or right before one of them.
BEFORE_CASE = {"after 100": "/set/acc/100"}
BEFORE = {
    "22_get_last": ["/save"],
    "19_set_dcdc_current": ["/set/dcdc/E001?mode=0x0014&dvg=350&dig=7.8", "/set/dcdc/E003?mode=0x0041&dvg=350&dig=3"],
}


@pytest.mark.parametrize("group", sorted(groups()))
async def test_every_recorded_request_has_its_reply(group: str) -> None:
    client = await client_of()
    try:
        for url in BEFORE.get(group, ()):
            assert (await client.get(url)).status == 200
        for item in groups()[group]:
            if item["case"] in BEFORE_CASE:
                await client.get(BEFORE_CASE[item["case"]])
            response = await client.request(item["method"], item["url"])
            body = await response.read()
            status = DIFFERENT.get(item["case"], (item["status"] if item["status"] < 500 else 404, ""))[0]
            assert response.status == status, (item["case"], response.status, body[:200])
            if status >= 400 and item["method"] == "GET":
                assert "error" in json.loads(body)
                continue
            if status >= 400 or item["method"] == "HEAD":
                continue
            assert response.content_type == item["type"], item["case"]
            if "json" in item:
                compare(item, json.loads(body))
            elif "text" in item:
                assert body.decode() == item["text"], item["case"]
    finally:
        await client.close()


def compare(item: dict[str, Any], ours: Any) -> None:
    theirs = item["json"]
    if item["url"].startswith(("/add", "/remove", "/get/last", "/restart", "/save")) or item["url"] == "/get/log":
        # How many units there are depends on what was recorded before.
        assert ours, item["case"]
        theirs, ours = next(iter(theirs.values())), next(iter(ours.values()))
    assert shape(ours) == shape(theirs), item["case"]
    if item["url"] == "/restart":
        # Its houses are canned with odd measured meters, and at another time.
        return
    assert without(ours, HOUSES | LINE | {"status", "statusName", "operationMode", "runningState"}) == without(
        theirs, HOUSES | LINE | {"status", "statusName", "operationMode", "runningState"}
    ), item["case"]


@pytest.mark.parametrize("item", FATAL, ids=lambda item: f"{item['group']}-{item['case']}")
async def test_what_froze_or_killed_the_original_is_answered_and_time_goes_on(item: dict[str, Any]) -> None:
    client = await client_of()
    try:
        response = await client.get(item["url"])
        body = await response.read()
        assert response.status < 500, body
        if response.status >= 400:
            assert json.loads(body)["error"]
        log = await client.get("/get/log")
        assert log.status == 200
        json.loads(await log.read())
        assert (await client.get("/set/acc/60")).status == 200
    finally:
        await client.close()


async def test_a_line_with_a_reference_a_giver_and_a_taker_is_the_recorded_one() -> None:
    client = await client_of()
    try:
        await client.get("/set/acc/3600")
        for url in ("/set/dcdc/E001?mode=0x0014&dvg=350&dig=7.8&drg=0", "/set/dcdc/E002?mode=0x0002&dvg=350&dig=2&drg=0"):
            await client.get(url)
        ours = await (await client.get("/set/dcdc/E003?mode=0x0041&dvg=350&dig=3&drg=0")).json()
        # The line has not risen yet: the clock stands.
        assert ours["meter"]["ig"] == 3
        assert ours["status"] == {"status": "0x0041", "alarmState": "Light alarm", "operationMode": "Heteronomy CV"}
    finally:
        await client.close()
