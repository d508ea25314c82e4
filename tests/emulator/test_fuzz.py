"""Requests at random, thousands of them: whatever comes, the answer is one, and the world goes on."""

import json
import math
import os
import random
from typing import Any

import pytest

from apis_core.emulator.v1 import routes
from tests.emulator.test_present_api import Bench

pytestmark = pytest.mark.alone

# A million of them in the long runs of the night.
REQUESTS = int(os.environ.get("APIS_FUZZ_REQUESTS", "20000"))
WORDS = (
    "E001", "E002", "E003", "E999", "", "-", "a b", "..", "%2e%2e", "%00", "é", "x" * 300, "1", "-1", "0", "350", "1e309", "nan", "inf", "0x0014",
    "0x0041", "0x0002", "0x0000", "0x9999", "true", "null", "2", "100", "0.5",
)  # fmt: skip
OLD = (
    "/get/log", "/get/unit/", "/get/dcdc/", "/get/dcdc/status/", "/get/emu/", "/get/acc", "/set/acc/", "/set/emu/", "/set/dcdc/",
    "/set/dcdc/voltage/", "/set/dcdc/current/", "/add/unit", "/remove/unit", "/save", "/get/last", "/restart", "/", "/js/", "/static/../",
)  # fmt: skip
KEYS = (
    "mode", "dvg", "dig", "drg", "p1", "p2", "rsoc", "x", "ups_operation_mode", "battery_voltage", "battery_operation_status", "ups_output_power",
)  # fmt: skip
NAMES = (
    "mode", "line_voltage_v", "current_a", "droop_ratio", "state_of_charge_pct", "battery_wh", "household", "solar_kw", "losses", "protection",
    "active", "silent", "delay_s", "http_error", "noise", "stuck", "lost", "acceleration", "leak_a", "dip_ratio", "dip_s", "permission", "z",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    -1,
    50,
    350,
    1e9,
    0.5,
    "WAIT",
    "CHARGE",
    "VOLTAGE_REFERENCE",
    "x",
    [],
    {},
    {"active": True},
    [1],
    503,
)


def a_request(rng: random.Random) -> tuple[str, str, dict[str, Any]]:
    if rng.random() < 0.5:
        path = rng.choice(OLD)
        path += rng.choice(WORDS) if path.endswith("/") else ""
        return "GET", path, {"params": [(rng.choice(KEYS), rng.choice(WORDS)) for _ in range(rng.randrange(5))]}
    route: Any = rng.choice([route for route in routes() if not route.path.endswith("/events")])  # type: ignore[attr-defined]
    path = route.path.replace("{id}", rng.choice(WORDS) or "E001").replace("{name}", rng.choice(WORDS) or "a")
    method = route.method if rng.random() < 0.9 else rng.choice(["POST", "PUT", "DELETE", "PATCH", "GET"])
    body = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randrange(4))}
    # What makes a unit hang on purpose is for its own tests.
    for name in ("silent", "lost", "delay_s"):
        body.pop(name, None)
    text = json.dumps(body) if rng.random() < 0.95 else rng.choice(["", "{", "[]", "\x00", "1" * 500, "[" * 500])
    return method, path, {} if method == "GET" else {"data": text.encode()}


async def test_thousands_of_requests_at_random() -> None:
    rng = random.Random(7)
    async with Bench() as bench:
        for number in range(REQUESTS):
            method, path, more = a_request(rng)
            response = await bench.client.request(method, path, **more, allow_redirects=False)
            content = await response.read()
            wanted_failure = any(fault.http_error for fault in bench.world.faults.values())
            assert response.status < 500 or (wanted_failure and b"on purpose" in content), (number, method, path, more, content[:300])
            if response.status >= 400 and method != "HEAD":
                assert json.loads(content)["error"], (method, path, more)
            if number % 200 == 199:
                bench.seconds += rng.choice([0.1, 1.0, 30.0])
                await check(bench)
                if len(bench.world.engine.houses) > 40:
                    bench.world.device.restart()
        assert bench.world.engine.elapsed_s > 0


async def check(bench: Bench) -> None:
    engine = bench.world.engine
    before_s = engine.elapsed_s
    bench.world.set_acceleration(1.0)
    bench.seconds += 1.0
    bench.world.faults.clear()
    response = await bench.client.get("/get/log")
    units = json.loads(await response.read())
    assert response.status == 200
    assert engine.elapsed_s >= before_s + 0.99
    for unit in units.values():
        assert 0 <= unit["emu"]["rsoc"] <= 100
        assert math.isfinite(unit["dcdc"]["meter"]["ig"])
    assert abs(engine.grid_current_a.sum() + (engine.leak_a if (engine.mode == 3).any() else 0.0)) < 1e-6
