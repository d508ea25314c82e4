"""A write whose outcome nobody knows, and that the device carries out late: after the converter was read in wait."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apis_core.guard.dead_man import CURRENT, LATE_S, OFF, DeadMan, Watched
from apis_core.guard.process import Guard
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import DriverError
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES
from tests.gridmaster.test_late_and_lost import FIXED


def keep_back(c: VirtualCommunity, unit: str, matches: Callable[[str], bool]) -> list[DeviceRequest]:
    """Matching writes are not answered in time; a test carries them out when it likes."""
    kept: list[DeviceRequest] = []

    async def no_answer(request: DeviceRequest) -> Any:
        kept.append(request)
        await asyncio.sleep(2)
        raise DriverError("no answer")

    c.faults[unit] = lambda request: no_answer(request) if "/set/" in request.path and matches(request.path) else None
    return kept


@pytest.mark.parametrize("lives", [True, False], ids=["its unit lives", "its unit is gone"])
@pytest.mark.parametrize("energised", [True, False], ids=["live line", "dead line"])
def test_a_converter_that_comes_on_late_is_found_within_seconds(energised: bool, lives: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(8)
        if energised:
            await c.community.create_deal("E002", "E003", 300, who="test", requester="E003")
            await c.started(1)
        kept = keep_back(c, "E004", lambda path: "mode=0x0002" in path)
        controller = c.community.nodes["E004"].controller
        on = Command(CommandKind.DISCHARGE, controller.highest_epoch, 10.0, grid_current_a=1.0)
        order = asyncio.create_task(controller.execute(on))
        await c.until(lambda: bool(kept))
        if lives:
            with pytest.raises(DriverError):
                await order
            await controller.stop_local("not activated")
        else:
            order.cancel()
            await c.community.kill_unit("E004")
            await c.settle(8)
        assert c.guard.mind.units["E004"].is_off
        c.faults.clear()
        await c.world.send(kept[0])
        assert c.modes()[3] is ConverterMode.DISCHARGE
        # A unit that lives finds it with its next reading; without one only the guard can.
        await c.settle(10 if lives else 2.5)
        assert c.modes()[3] is ConverterMode.WAIT
        await c.settle(30)
        assert c.community.board.mode is OperationMode.HETERONOMOUS

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_the_dead_man_looks_at_a_converter_that_may_yet_come_on() -> None:
    mind = DeadMan()
    mind.arm("E001", Watched(["E001"], 5.0, 35.0), OFF, 1, 0.0)
    mind.learn("E001", CURRENT, 1.0)
    mind.unanswered("E001", 3.0)
    mind.learn("E001", OFF, 4.0)
    mind.saw("E001", is_off=True, now_s=4.0)
    assert not mind.is_idle(4.0)
    assert mind.next_s(4.0) is not None
    assert mind.to_read(4.0) == {"E001"}
    assert mind.to_read(4.5) == set()
    # Its unit has read it in wait, and arms it anew: the write is still out.
    mind.arm("E001", Watched(["E001"], 5.0, 35.0), OFF, 1, 4.6)
    assert mind.to_read(5.0) == {"E001"}
    mind.saw("E001", is_off=False, now_s=5.0)
    mind.stop("E001", "found on though nobody had switched it on", 5.0)
    assert mind.due(6.0) == ["E001"]
    mind.saw("E001", is_off=True, now_s=6.1)
    assert mind.to_read(3.0 + LATE_S) == set()
    assert mind.is_idle(3.0 + LATE_S)
    assert mind.next_s(3.0 + LATE_S) is None


def test_the_guard_process_stays_and_looks_after_a_write_without_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, shown = Guard(str(tmp_path / "s"), str(tmp_path / "state")), {"status": {"operationMode": "Waiting"}}
    claim = {
        "unit": "E001",
        "base": "http://127.0.0.1:1",
        "status": {"method": "GET", "path": "/status"},
        "waiting": {"path": ["status", "operationMode"], "value": "Waiting"},
        "lock": str(tmp_path / "lock"),
        "wait": [{"method": "GET", "path": "/set?mode=0"}],
        "line": ["E001"],
        "currentS": 5,
        "referenceS": 35,
        "role": "off",
        "epoch": 1,
    }
    guard.do_arm(None, claim)
    device = guard.devices["E001"]

    def ask(request: dict[str, Any], _timeout_s: float) -> tuple[int, str]:
        if request["path"] == "/set?mode=2":
            raise TimeoutError("no answer")
        return 200, str(shown).replace("'", '"')

    monkeypatch.setattr(device, "ask", ask)
    message = {"method": "GET", "path": "/set?mode=2", "epoch": 1, "deadlineS": float("inf"), "timeoutS": 2.0, "role": "current"}
    assert "failed" in guard._write("E001", device, message)
    assert guard._write("E001", device, {**message, "path": "/set?mode=0", "role": "off"})["status"] == 200
    guard.alone_since_s = float("-inf")
    assert not guard._is_done()
    shown["status"]["operationMode"] = "Heteronomy CV"
    guard._look_at("E001")
    assert "nobody had switched it on" in guard.mind.units["E001"].trip
    guard.listener.close()
