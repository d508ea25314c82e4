"""What every face of a community can rely on: the same tests for one in this process and for one behind the endpoint."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC
import json
from pathlib import Path
import shutil
from unittest.mock import AsyncMock

import aiohttp
import pytest

from apis_core import app, kept
from apis_core.cluster.store_file import StoreFile
from apis_core.community import Community
from apis_core.emulator.settings import Settings as EmulatorSettings
from apis_core.emulator.world import World
from apis_core.local_community import LocalCommunity
from apis_core.model.converter import ConverterMode
from apis_core.model.deal import Deal, Direction
from apis_core.model.errors import ApisError, CommandRefusedError, ConfigError, DriverError, LedgerError
from apis_core.model.installation import Address
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.model.rule_change import RuleChange
from apis_core.model.unit_plan import UnitPlan
from apis_core.node import Node
from apis_core.presets import PRESETS, hardware, policy_for, scenario
from apis_core.server.client import RemoteCommunity
from apis_core.server.endpoint import serve
from apis_core.setups import planned_setups
from apis_core.unit.controller import ACCOUNT

ME = "test"


@dataclass
class House:
    """A running community of E001 to E003, as a face sees it, and what stands behind it."""

    face: Community
    local: LocalCommunity
    world: World
    port: int

    def plan(self, unit_id: str, **changes: object) -> UnitPlan:
        address = Address("127.0.0.1", self.port)
        plan = UnitPlan(unit_id, "dcdc_emulator", hardware(), scenario(), address, address, name=f"House {unit_id[-1]}")
        return replace(plan, **changes)  # type: ignore[arg-type]

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """The community's own events are what is waited for."""
        changed = self.local.board.listen()
        async with asyncio.timeout(seconds):
            while not condition():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 0.5)
                changed.clear()

    def deal(self, deal_id: str) -> Deal:
        found = self.local.board.deal(deal_id)
        assert found is not None
        return found


@pytest.fixture(params=["local", "remote"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """The batteries stand where nobody wishes for anything."""
    options = EmulatorSettings(units=4, port=0, acceleration=30, charges_pct=(70.0,))
    async with app.open_emulator(options) as (world, port):
        policy = replace(policy_for(3), operation_mode=OperationMode.HETERONOMOUS)
        address = Address("127.0.0.1", port)
        plans = [UnitPlan(f"E00{i}", "dcdc_emulator", hardware(), scenario(), address, address) for i in (1, 2, 3)]
        setups = planned_setups(plans, policy, UTC, "test")
        async with app.open_community(setups, tmp_path, guarded=False) as local:
            if request.param == "local":
                yield House(local, local, world, port)
                return
            runner = await serve(local, "127.0.0.1", 0)
            remote = RemoteCommunity.connect(f"http://127.0.0.1:{runner.addresses[0][1]}")
            yield House(remote, local, world, port)
            await remote.close()
            await runner.cleanup()


async def test_a_ledger_that_does_not_open_keeps_nothing_from_a_second_try(tmp_path: Path) -> None:
    policy, address = policy_for(3), Address("127.0.0.1", 1)
    setups = planned_setups([UnitPlan("E001", "dcdc_emulator", hardware(), scenario(), address, address)], policy, UTC, "test")
    (tmp_path / kept.DATABASE_NAME).write_bytes(b"this is no database" * 100)
    refused = None
    try:
        async with app.open_community(setups, tmp_path, guarded=False):
            raise AssertionError
    except LedgerError as error:
        # Kept as a caller would that says later why: what it holds on to must not be the folder's lock.
        refused = error
    (tmp_path / kept.DATABASE_NAME).unlink()
    with pytest.raises(DriverError):
        async with app.open_community(setups, tmp_path, guarded=False):
            raise AssertionError
    assert refused is not None


async def test_a_deal_that_the_line_cannot_carry_is_refused_before_it_is_made(house: House) -> None:
    face = house.face
    await face.set_mode(OperationMode.STOP, None, ME)
    await face.propose(replace(await face.policy(), sum_of_deal_grid_current_max_a=1.5), ME)
    await face.set_mode(OperationMode.HETERONOMOUS, None, ME)
    first = await face.create_deal("E001", "E002", 30, who=ME)
    with pytest.raises(CommandRefusedError, match=r"all deals together would take 2 A, the line carries 1\.5 A"):
        await face.create_deal("E003", "E002", 30, who=ME)
    assert [deal.deal_id for deal in house.local.board.deals()] == [first.deal_id]


async def test_units_come_change_and_go_while_others_share(house: House) -> None:
    face = house.face
    deal = await face.create_deal("E001", "E002", 30, who=ME)
    await house.until(lambda: house.deal(deal.deal_id).is_running)
    first = house.local.nodes["E001"]

    await face.add_unit(house.plan("E004"), ME)
    assert {unit.unit_id for unit in (await face.snapshot()).units} == {"E001", "E002", "E003", "E004"}
    assert (await face.policy()).member_unit_ids == ("E001", "E002", "E003", "E004")
    with pytest.raises(CommandRefusedError, match="runs here already"):
        await face.add_unit(house.plan("E004"), ME)

    await face.update_unit(house.plan("E003", name="Mill"), ME)
    assert {unit.unit_id: unit.name for unit in (await face.snapshot()).units}["E003"] == "Mill"
    await face.remove_unit("E003", ME)
    assert (await face.policy()).member_unit_ids == ("E001", "E002", "E004")
    with pytest.raises(CommandRefusedError, match="expected one of"):
        await face.remove_unit("E003", ME)

    # Nothing of that has touched the deal of the other two.
    assert house.local.nodes["E001"] is first
    await house.until(lambda: all(item.is_ended for item in house.local.board.deals()))
    ended = next(item for item in await face.deals() if item.deal_id == deal.deal_id)
    assert ended.is_completed
    # What a unit gave stays given when it goes.
    given_wh = (await face.snapshot()).shared_wh
    assert given_wh == ended.side_energy("E001").grid_wh > 0
    await face.remove_unit("E001", ME)
    assert (await face.snapshot()).shared_wh == given_wh


async def test_what_cannot_be_is_refused_and_nothing_has_changed(house: House) -> None:
    face, before = house.face, dict(house.local.nodes)
    weak = replace(hardware(), grid_current_capacity_a=0.5)
    with pytest.raises(CommandRefusedError, match="at least one deal's current"):
        await face.update_unit(house.plan("E003", hardware=weak), ME)
    with pytest.raises(CommandRefusedError, match="expected one of"):
        await face.update_unit(house.plan("E009"), ME)
    assert house.local.nodes == before
    assert not house.local.dead
    assert [sentence.split(":")[1].strip() for sentence in await face.check_limits(weak)] == ["gridCurrentCapacityA"]
    assert await face.check_limits(hardware()) == ()


async def test_a_change_that_fails_half_way_leaves_the_unit_as_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    start, failures = Node.start, [DriverError("the device fell silent")]

    async def fail_first(self: Node) -> None:
        if failures:
            raise failures.pop()
        await start(self)

    monkeypatch.setattr(Node, "start", fail_first)
    with pytest.raises(ApisError, match="the device fell silent"):
        await house.face.update_unit(house.plan("E003", name="Mill"), ME)
    assert not house.local.dead
    assert {unit.unit_id: unit.name for unit in (await house.face.snapshot()).units}["E003"] == "E003"
    # Where even that fails, it is absent, and started again with its old settings as soon as it answers.
    failures.extend([DriverError("silent"), DriverError("still silent")])
    with pytest.raises(ApisError, match="still silent"):
        await house.face.update_unit(house.plan("E003", name="Mill"), ME)
    assert house.local.absent == {"E003"}
    deal = await house.face.create_deal("E001", "E002", 5, who=ME)
    await house.until(lambda: not house.local.board.deals())
    assert next(each for each in await house.face.deals() if each.deal_id == deal.deal_id).is_completed


async def test_whoever_comes_while_the_community_ends_is_not_left_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    start, reached, may_go_on = Node.start, asyncio.Event(), asyncio.Event()

    async def slow(self: Node) -> None:
        reached.set()
        await may_go_on.wait()
        await start(self)

    monkeypatch.setattr(Node, "start", slow)
    coming = asyncio.create_task(house.local.add_unit(house.plan("E004"), ME))
    await reached.wait()
    closing = asyncio.create_task(house.local.close())
    # It has begun to end, and waits for whoever is coming.
    await asyncio.sleep(0)
    may_go_on.set()
    await closing
    with pytest.raises(CommandRefusedError, match="the community ends"):
        await coming
    assert house.local.nodes["E004"].controller.converter.mode is ConverterMode.WAIT
    with pytest.raises(CommandRefusedError, match="the community ends"):
        await house.local.remove_unit("E003", ME)
    house.local.absent.add("E005")
    with pytest.raises(CommandRefusedError, match="the community ends"):
        await house.local.try_again("E005", AsyncMock())


async def test_a_converter_has_one_unit_whatever_it_is_called(house: House) -> None:
    its_driver = house.plan("E004", system_type="dcdc_v2")
    with pytest.raises(CommandRefusedError, match=rf"E004: E001 drives the converter at 127\.0\.0\.1:{house.port} already"):
        await house.face.add_unit(its_driver, ME)
    with pytest.raises(CommandRefusedError, match="E003: E001 drives the converter"):
        await house.face.update_unit(house.plan("E003", system_type="dcdc_v2"), ME)
    assert set(house.local.nodes) == {"E001", "E002", "E003"}
    assert not house.local.dead


async def test_a_unit_that_could_not_even_be_opened_can_be_changed_and_removed(house: House) -> None:
    face, local = house.face, house.local
    await face.remove_unit("E003", ME)
    # As it is after a start at which its device did not answer: known, and nowhere to be seen.
    local.absent.add("E003")
    local.plans["E003"] = house.plan("E003", device=Address("127.0.0.1", 9))
    with pytest.raises(ApisError):
        await face.update_unit(house.plan("E003", device=Address("127.0.0.1", 9)), ME)
    assert local.absent == {"E003"}
    await face.update_unit(house.plan("E003", name="Mill"), ME)
    assert local.absent == set()
    assert {unit.unit_id: unit.name for unit in (await face.snapshot()).units}["E003"] == "Mill"
    await face.remove_unit("E003", ME)
    local.absent.add("E003")
    await face.remove_unit("E003", ME)
    assert local.absent == set()


async def test_a_converter_that_was_not_read_in_wait_is_not_left_for_another_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(self: Node, reason: str, within_s: float | None = None) -> None:
        """Its driver hangs: nothing it is told arrives."""
        await self.kill()

    deal = await house.face.create_deal("E001", "E002", 200, who=ME)
    await house.until(lambda: house.deal(deal.deal_id).is_running)
    on = next(unit.unit_id for unit in (await house.face.snapshot()).units if unit.converter_mode not in (None, "WAIT"))
    monkeypatch.setattr(Node, "stop", stop)
    elsewhere = house.plan(on, device=Address("localhost", house.port))
    with pytest.raises(CommandRefusedError, match="was not read in wait"):
        await house.face.update_unit(elsewhere, ME)
    monkeypatch.undo()
    assert house.local.plans[on].device == Address("127.0.0.1", house.port)
    assert on not in house.local.dead


async def test_a_unit_that_is_taken_out_in_mid_deal_ends_its_own_in_order(house: House) -> None:
    deal = await house.face.create_deal("E001", "E002", 200, who=ME)
    await house.until(lambda: house.deal(deal.deal_id).is_running)
    await house.face.remove_unit("E002", ME)
    ended = next(item for item in await house.face.deals() if item.deal_id == deal.deal_id)
    assert ended.is_ended
    assert "removed by test" in (ended.abort_reason or "")
    modes = {unit.unit_id: unit.converter_mode for unit in (await house.face.snapshot()).units}
    assert modes == {"E001": "WAIT", "E003": "WAIT"}


async def test_a_unit_that_nobody_reaches_goes_only_on_the_word_that_its_converter_is_off(house: House) -> None:
    face, local = house.face, house.local
    await local.kill_unit("E003")
    with pytest.raises(CommandRefusedError, match="not acknowledged by E003"):
        await face.remove_unit("E003", ME)
    assert (await face.policy()).member_unit_ids == ("E001", "E002", "E003")
    await face.declare_isolated("E003", ME)
    await face.remove_unit("E003", ME)
    assert (await face.policy()).member_unit_ids == ("E001", "E002")


async def test_who_has_seen_an_event_gets_what_came_after_it(house: House) -> None:
    face = house.face
    await face.set_mode(OperationMode.AUTONOMOUS, None, ME)
    await house.until(lambda: any(event.message == "mode autonomous" for event in house.local.events))
    seen = house.local.events[-1]
    await face.set_mode(OperationMode.HETERONOMOUS, None, ME)
    deal = await face.create_deal("E001", "E002", 5, who=ME)
    await house.until(lambda: all(item.is_ended for item in house.local.board.deals()))
    missed = []
    async with asyncio.timeout(10), contextlib.aclosing(face.subscribe(seen.sequence)) as events:  # type: ignore[type-var]
        async for event in events:
            missed.append(event)
            if event.data.get("state") == "ended":
                break
    assert [event.sequence for event in missed] == sorted({event.sequence for event in missed})
    assert missed[0].sequence > seen.sequence
    story = [event for event in missed if event.data.get("deal", {}).get("dealId") == deal.deal_id]
    assert [event.data["state"] for event in story if event.kind == "deal"][-1] == "ended"
    percents = [event.data["percent"] for event in story if event.kind == "progress"]
    assert percents == sorted(set(percents))
    assert set(percents) <= {25, 50, 75}


async def test_one_line_of_a_scenario_is_changed_and_the_change_is_kept(house: House) -> None:
    face = house.face
    price = RuleChange("00:00:00-24:00:00", "excess", "request", Direction.DISCHARGE, point_per_wh=25.0)
    await face.update_scenario_rule("E001", price, ME)
    found = (await face.scenario("E001")).bands[0].requests["excess"][Direction.DISCHARGE]
    assert (found.limit_wh, found.point_per_wh) == (4080, 25.0)
    await face.update_scenario_rule("E001", RuleChange("00:00:00-24:00:00", "short", "request", Direction.CHARGE, remove=True), ME)
    assert "short" not in (await face.scenario("E001")).bands[0].requests
    assert [version["who"] for version in await face.scenario_versions("E001")][-2:] == [ME, ME]
    for change, words in (
        (RuleChange("06:00:00-07:00:00", "excess", "request", Direction.DISCHARGE), "time band"),
        (RuleChange("00:00:00-24:00:00", "rich", "request", Direction.DISCHARGE), "status"),
        (RuleChange("00:00:00-24:00:00", "scarce", "request", Direction.CHARGE), "no limit"),
    ):
        with pytest.raises(CommandRefusedError, match=words):
            await face.update_scenario_rule("E001", change, ME)


async def test_a_hand_that_lets_go_after_a_while_and_faults_on_purpose(house: House) -> None:
    face, local = house.face, house.local
    await face.set_mode(OperationMode.MANUAL, None, ME)
    await house.until(lambda: local.nodes["E001"].mode is OperationMode.MANUAL)
    command = Command(CommandKind.VOLTAGE_REFERENCE, 0, 30.0, grid_voltage_v=350.0, reason="by hand")
    await face.control_converter("E001", command, 60.0)
    controller = local.nodes["E001"].controller
    assert controller.converter.mode is ConverterMode.VOLTAGE_REFERENCE
    await house.until(lambda: controller.converter.mode is ConverterMode.WAIT)

    # Who holds the line's voltage comes first and leaves last.
    charge = Command(CommandKind.CHARGE, 0, 30.0, grid_current_a=1.0, reason="by hand")
    with pytest.raises(CommandRefusedError, match="no converter holds the line's voltage"):
        await face.control_converter("E002", charge)
    await face.control_converter("E001", command)
    await house.until(lambda: (local.nodes["E002"].controller.converter.meter.grid_voltage_v or 0) > 340)
    with pytest.raises(CommandRefusedError, match="E001 holds the line's voltage already"):
        await face.control_converter("E003", command)
    await face.control_converter("E002", charge)
    with pytest.raises(CommandRefusedError, match="E002 would lose the line's voltage"):
        await face.control_converter("E001", Command(CommandKind.WAIT, 0, 30.0))
    assert await face.stop_all(ME) == {}
    modes = {unit.unit_id: unit.converter_mode for unit in (await face.snapshot()).units}
    assert modes == {"E001": "WAIT", "E002": "WAIT", "E003": "WAIT"}
    assert (await face.snapshot()).mode == "stop"

    await face.inject_fault("E002", {"silent": True}, None, ME)
    assert house.world.faults["E002"].silent
    await face.inject_fault("E002", {}, None, ME)
    assert "E002" not in house.world.faults
    with pytest.raises(CommandRefusedError, match="fault"):
        await face.inject_fault("E002", {"haunted": True}, None, ME)
    await face.inject_fault("E002", {"delay_s": 0.01}, 30.0, ME)
    await house.until(lambda: "E002" not in house.world.faults)


async def test_with_no_unit_left_nothing_is_done_and_everything_can_be_read(house: House) -> None:
    face = house.face
    for unit_id in list(house.local.nodes):
        await house.local.kill_unit(unit_id)
    wishes = (
        face.set_mode(OperationMode.STOP, None, ME),
        face.create_deal("E001", "E002", 10, who=ME),
        face.propose(await face.policy(), ME),
        face.declare_isolated("E001", ME),
    )
    for wish in wishes:
        with pytest.raises(CommandRefusedError, match="no unit runs here"):
            await wish
    assert not any(unit.alive for unit in (await face.snapshot()).units)
    assert (await face.diagnostics())["units"].keys() == {"E001", "E002", "E003"}
    assert set(await face.stop_all(ME)) == {"E001", "E002", "E003"}


async def test_stopping_everything_reaches_every_unit_whatever_becomes_of_one(house: House) -> None:
    face = house.face
    deal = await face.create_deal("E001", "E003", 100, who=ME)
    await house.until(lambda: house.deal(deal.deal_id).is_running)
    await house.local.kill_unit("E002")
    assert await face.stop_all(ME) == {"E002": "it does not run"}
    ended = next(item for item in await face.deals() if item.deal_id == deal.deal_id)
    assert ended.is_ended
    modes = {unit.unit_id: unit.converter_mode for unit in (await face.snapshot()).units}
    assert (modes["E001"], modes["E003"]) == ("WAIT", "WAIT")


async def test_a_stopped_community_resumes_on_a_persons_word_only_once(house: House) -> None:
    face = house.face
    with pytest.raises(CommandRefusedError, match="nothing to resume"):
        await face.resume(ME)
    assert await face.presets() == tuple(PRESETS)
    found = await face.diagnostics()
    assert set(found["units"]) == {"E001", "E002", "E003"}
    assert found["policy"]["memberUnitIds"] == ["E001", "E002", "E003"]


async def test_whoever_waits_for_the_end_waits_no_longer_than_was_said(tmp_path: Path) -> None:
    async with app.open_emulator(EmulatorSettings(units=2, port=0, acceleration=1, ramp_s=1.0, charges_pct=(70.0,))) as (world, port):
        address = Address("127.0.0.1", port)
        plans = [UnitPlan(f"E00{i}", "dcdc_emulator", hardware(), scenario(), address, address) for i in (1, 2)]
        # Deals of this policy may take a minute to end, and nobody ends them: who leads is cut off.
        policy = replace(policy_for(2), operation_mode=OperationMode.HETERONOMOUS, stop_me_timeout_s=60.0)
        async with app.open_planned_community(plans, policy, UTC, "test", tmp_path, end_within_s=4.0) as local:
            house = House(local, local, world, port)
            deal = await local.create_deal("E001", "E002", 100, who=ME)
            await house.until(lambda: house.deal(deal.deal_id).is_running)
            for node in local.nodes.values():
                if node.role.master is not None:
                    await node.role.leave()
                node.role.reachable = lambda: ()
            begun_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun_s < 6
        assert not world.engine.mode.any()


async def test_an_emulators_units_as_they_could_run_here(tmp_path: Path) -> None:
    async with app.open_emulator(EmulatorSettings(units=2, port=0)) as (_, port), aiohttp.ClientSession() as session:
        plans = await app.emulated_units(session, f"http://127.0.0.1:{port}")
        assert [(plan.unit_id, plan.device.port) for plan in plans] == [("E001", port), ("E002", port)]
        policy = app.sample_policy()
        for plan in plans:
            assert UnitPlan.from_json(plan.to_json()) == plan
            assert (await app.probe_unit(session, plan, policy)).simulated
        with pytest.raises(DriverError):
            await app.probe_unit(session, replace(plans[0], device=Address("127.0.0.1", 9)), policy)
        with pytest.raises(ConfigError, match="at least one deal's current"):
            await app.probe_unit(session, replace(plans[0], hardware=replace(plans[0].hardware, grid_current_capacity_a=0.5)), policy)
        with pytest.raises(DriverError):
            await app.emulated_units(session, "http://127.0.0.1:9")
        async with app.open_planned_community(plans, policy, UTC, "test", tmp_path, end_within_s=4.0) as local:
            assert {unit.unit_id for unit in local.snapshot_now().units} == {"E001", "E002"}


async def test_a_copy_of_the_files_knows_every_deal_once_they_were_brought_up_to_date(house: House, tmp_path: Path) -> None:
    deal = await house.face.create_deal("E001", "E002", 5, who=ME)
    # A deal leaves the board once both ledgers have its end.
    await house.until(lambda: not house.local.board.deals())
    await house.local.checkpoint()
    await house.face.checkpoint()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (kept.DATABASE_NAME, kept.STORE_NAME):
        shutil.copy(tmp_path / name, copy / name)
    (found,) = await asyncio.to_thread(kept.stored_deals, copy)
    assert (found.deal_id, found.is_completed) == (deal.deal_id, True)
    assert await asyncio.to_thread(kept.stored_deals, tmp_path / "nowhere") == ()


async def test_a_deal_that_ran_when_a_backup_was_made_does_not_go_on(house: House, tmp_path: Path) -> None:
    deal = await house.face.create_deal("E001", "E002", 500, who=ME)
    await house.until(lambda: house.deal(deal.deal_id).start_time is not None)
    await house.local.checkpoint()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (kept.DATABASE_NAME, kept.STORE_NAME):
        shutil.copy(tmp_path / name, copy / name)
    await kept.settle_restored(copy)
    store = StoreFile(copy / kept.STORE_NAME)
    entries, _ = store.load()
    await store.close()
    assert json.loads(entries[f"stop.{deal.deal_id}"][0]) == {"reasons": ["restored from a backup"]}
    # How long it went on since nobody knows: nothing is counted for it.
    ledger = kept.open_ledger(copy)
    accounts = [ledger.state(unit_id, ACCOUNT) for unit_id in ledger.unit_ids()]
    ledger.close()
    assert [account for account in accounts if account is not None]
    assert not any("flow" in account for account in accounts if account is not None)
    # Where nothing was kept, nothing is made.
    await kept.settle_restored(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
