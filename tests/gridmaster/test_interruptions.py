"""A step whose answer is lost: whatever was carried out, the line ends with one reference or none, and nobody is forgotten."""

from collections.abc import Callable
import math
from typing import Any

import pytest

from apis_core.gridmaster.hand_over import KEY
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import Category, DriverError, ErrorReport, Extent, Level
from apis_core.model.modes import OperationMode
from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time

CHARGES = {"E001": 70.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}


def lose_once(c: VirtualCommunity, unit: str, matches: Callable[[str], bool], *, applied: bool = True) -> None:
    """The first matching write is (or is not) carried out, and its answer is lost, each try of it."""
    state = {"tries": 0}

    async def lost(request: DeviceRequest) -> Any:
        state["tries"] += 1
        if applied:
            await c.world.send(request)
        raise DriverError("answer lost")

    def fault(request: DeviceRequest) -> Any:
        if state["tries"] < c.policy.request_limit and "/set/" in request.path and matches(request.path):
            return lost(request)
        return None

    c.faults[unit] = fault


def references(c: VirtualCommunity) -> list[str]:
    return [unit for unit, mode in zip(CHARGES, c.modes(), strict=True) if mode == ConverterMode.VOLTAGE_REFERENCE]


async def deal(c: VirtualCommunity, giver: str, taker: str, wh: int) -> None:
    await c.community.create_deal(giver, taker, wh, who="test", requester=taker)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_reading_that_does_not_come_as_a_deal_starts_does_not_end_it(is_first: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        if not is_first:
            await deal(c, "E002", "E003", 100)
            await c.started(1)
        # The reference is silent from the moment that the deal's other unit is switched on.
        reference, other = ("E004", "E002") if is_first else ("E003", "E004")
        silent_until_s = math.inf

        def switched_on(request: DeviceRequest) -> None:
            nonlocal silent_until_s
            if request.expect_mode in {ConverterMode.CHARGE, ConverterMode.DISCHARGE} and silent_until_s == math.inf:
                silent_until_s = c.clock.monotonic() + 0.5

        async def silence() -> Any:
            await c.clock.sleep(0.3)
            raise DriverError("no answer")

        c.faults[other] = switched_on
        c.faults[reference] = lambda _request: silence() if c.clock.monotonic() < silent_until_s < math.inf else None
        second = await c.community.create_deal("E002", "E004", 20, who="test", requester="E004")
        await c.settle(600)
        assert silent_until_s < math.inf
        kept = next(item for item in await c.community.deals() if item.deal_id == second.deal_id)
        assert kept.is_completed, kept.abort_reason

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_unit_that_ends_waits_for_deals_that_cannot_end_once() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await deal(c, "E002", "E003", 100)
        await c.started(1)
        c.hub.faults.cut("E002")
        node, begun_s = c.community.nodes["E002"], c.clock.monotonic()
        await node.end_own_deals("it goes", 3)
        assert c.clock.monotonic() == pytest.approx(begun_s + 3, abs=1)
        await node.stop("it goes")
        c.community.dead.add("E002")
        assert c.clock.monotonic() < begun_s + 10
        assert c.modes()[1] == ConverterMode.WAIT

    in_virtual_time(story, CHARGES, a_policy(4))


STEPS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "will_hand_over": ("old", lambda path: "voltage/" in path and "drg=0.039" in path),
    "will_take_over": ("new", lambda path: "mode=0x0014" in path and "drg=0.039" in path),
    "did_hand_over": ("old", lambda path: "mode=0x00" in path and "drg=0.039" not in path),
    "did_take_over": ("new", lambda path: "voltage/" in path and "drg=0" in path),
}


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("why", ["departure", "activation"])
def test_a_hand_over_with_a_lost_answer_ends_with_one_reference(why: str, step: str, applied: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await deal(c, "E002", "E003", 10 if why == "departure" else 200)
        await c.started(1)
        second = ("E002", "E004", 100) if why == "departure" else ("E001", "E004", 100)
        old, new = ("E003", "E004") if why == "departure" else ("E003", "E001")
        who, matches = STEPS[step]
        lose_once(c, {"old": old, "new": new}[who], matches, applied=applied)
        await deal(c, *second)
        await c.settle(600)
        c.faults.clear()
        assert c.community.board.value(KEY) is None
        assert len(references(c)) <= 1
        active = [d for d in c.community.board.deals() if d.is_active]
        if active:
            assert len(references(c)) == 1
            assert [d.is_master for d in active].count(True) == 1
        await c.community.set_mode(OperationMode.STOP, None, "test")
        await c.no_deals(600)
        assert references(c) == []
        assert set(c.modes()) == {ConverterMode.WAIT}

    in_virtual_time(story, CHARGES, a_policy(4, error_sustaining_s=0.0))


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("unit", ["E002", "E003"])
def test_a_deal_whose_switching_on_fails_leaves_nothing_on(unit: str, applied: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        lose_once(c, unit, lambda path: "mode=0x0000" not in path, applied=applied)
        await deal(c, "E002", "E003", 10)
        await c.no_deals(900)
        c.faults.clear()
        assert set(c.modes()) == {ConverterMode.WAIT}
        (ended,) = await c.community.deals()
        assert ended.abort_time is not None or ended.resets

    in_virtual_time(story, CHARGES, a_policy(4, error_sustaining_s=0.0))


def test_a_scram_takes_the_line_from_whatever_is_done_and_is_latched_first() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await deal(c, "E002", "E003", 200)
        await c.started(1)
        await deal(c, "E001", "E004", 200)
        report = ErrorReport("E001", Category.HARDWARE, Extent.GLOBAL, Level.ERROR, "a leak")
        before, (reference,) = len(c.requests), references(c)
        await c.community.nodes["E002"].cluster.publish("error", report.to_json())
        await c.community.nodes["E002"]._on_error("E002", report.to_json())
        await c.no_deals(60)
        assert c.community.board.mode is OperationMode.STOP
        assert c.community.board.value("mode") == {"mode": "stop", "who": "E001", "reason": "a leak"}
        waits = [path.split("/")[3].split("?")[0] for path in c.requests[before:] if "mode=0x0000" in path]
        assert waits.index(reference) == max(waits.index(unit) for unit in waits)
        deals = await c.community.deals()
        assert any(d.scram_reason is not None and "a leak" in d.scram_reason for d in deals)

    in_virtual_time(story, CHARGES)


def test_a_real_leak_scrams_at_the_second_strike_and_a_person_resumes() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        await deal(c, "E002", "E003", 200)
        await c.started(1)

        async def leak(request: DeviceRequest) -> Any:
            answer = await c.world.send(request)
            converter = answer.get("dcdc", answer)
            if "/get/" in request.path and converter["status"]["status"] == "0x0014":
                converter["meter"]["ig"] -= 0.4
            return answer

        c.faults["E003"] = leak
        await c.settle(60)
        c.faults.clear()
        await c.no_deals(60)
        # What is over leaves the store at once, however long it was foreseen to go on.
        assert not c.community.board.deals()
        (ended,) = await c.community.deals()
        assert "sum to" in str(ended.scram_reason)
        assert c.community.board.mode is OperationMode.STOP
        await c.settle(40)
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "a person")
        await c.settle(1)
        await deal(c, "E002", "E003", 5)
        await c.no_deals()
        assert (await c.community.deals())[-1].is_completed

    in_virtual_time(story, CHARGES)


def test_the_role_moves_on_when_its_unit_is_killed() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.settle(5)
        first = c.community.snapshot_now().grid_master
        assert first is not None
        epoch = c.community.nodes[first].role._lease.epoch
        await c.community.kill_unit(first)
        await c.settle(20)
        second = c.community.snapshot_now()
        assert second.grid_master not in (None, first)
        assert c.community.nodes[str(second.grid_master)].role._lease.epoch > epoch

    in_virtual_time(story, CHARGES)


def test_a_grid_master_that_fails_gives_the_role_back() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.settle(5)
        first = str(c.community.snapshot_now().grid_master)
        master = c.community.nodes[first].role.master
        assert master is not None

        async def broken() -> bool:
            raise RuntimeError("a bug")

        master._pass = broken  # type: ignore[method-assign]
        master._wake.set()
        await c.settle(10)
        holders = [unit for unit, node in c.community.nodes.items() if node.role.is_held]
        assert len(holders) == 1
        assert c.community.nodes[holders[0]].role.master is not master
        assert any("the Grid Master stopped" in e.message for e in c.community.events)

    in_virtual_time(story, CHARGES)


def test_a_grant_that_ran_out_ends_the_deal_before_it_began() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        c.engine.line_voltage_v = 300.0
        c.engine._hold_line = lambda: None  # type: ignore[method-assign]
        c.engine._share_currents()
        await deal(c, "E002", "E003", 10)
        await c.no_deals(900)
        (ended,) = await c.community.deals()
        assert "ran out" in str(ended.abort_reason)
        assert not [path for path in c.requests if "0x0014" in path]

    in_virtual_time(story, CHARGES)
