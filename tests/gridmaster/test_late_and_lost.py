"""Orders and answers that come late, words that get lost, and what a line must not do for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from apis_core.emulator.faults import UnitFault
from apis_core.gridmaster.access import Access
from apis_core.gridmaster.hand_over import KEY, hand_over
from apis_core.model.converter import ConverterMode
from apis_core.model.errors import ApisError, Category, ErrorReport, Extent, Level, MessageError, NoAnswerError, StoreConflictError
from apis_core.model.hardware import Range
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.node import Node
from apis_core.ports import DeviceRequest, Entry, Json
from apis_core.rules.reference import HandOver
from apis_core.unit.board import BAN
from apis_core.unit.controller import ACCOUNT
from apis_core.unit.subjects import COMMAND, LEAVING, RECORD
from tests.builders import NOON, VirtualCommunity, a_deal, a_hardware, a_policy, a_scenario, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references

FIXED: dict[str, Any] = {"grid_master_selection": "fixed", "grid_master_fixed_unit_id": "E001", "large_capacity_unit_ids": ()}
ROOM = a_hardware(grid_current_capacity_a=4.0, grid_current_range_a=Range(-4.2, 4.2))


def master(c: VirtualCommunity) -> Node:
    return next(node for node in c.community.nodes.values() if node.role.access is not None)


def access_of(c: VirtualCommunity) -> Access:
    access = master(c).role.access
    assert access is not None
    return access


async def begin(c: VirtualCommunity, *takers: str, amount_wh: int = 300) -> None:
    """E002 gives to each of these."""
    await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
    await c.settle(8)
    for count, taker in enumerate(takers, 1):
        await c.community.create_deal("E002", taker, amount_wh, who="test", requester=taker)
        await c.started(count)
    await c.settle(10)


def silence(request_is: Callable[[DeviceRequest], bool]) -> Callable[[DeviceRequest], Any]:
    async def nothing() -> Any:
        await asyncio.sleep(0.3)
        raise MessageError("no answer")

    return lambda request: nothing() if request_is(request) else None


def test_an_order_is_not_carried_out_after_its_deadline_however_slow_a_disk_is() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.settle(5)
        access, node = access_of(c), c.community.nodes["E002"]
        write_down = node.ledger.set_state

        async def slow(key: str, value: Json) -> None:
            if key == "epoch":
                await c.clock.sleep(20)
            await write_down(key, value)

        # A new Grid Master's epoch has to be on disk before it is obeyed.
        node.controller._durable_epoch = 0
        node.ledger.set_state = slow  # type: ignore[method-assign]
        before = len(c.requests)
        with pytest.raises(ApisError):
            await access.command("E002", CommandKind.WILL_TAKE_OVER, "test", within_s=1.0, grid_voltage_v=350.0)
        await c.settle(25)
        assert not [request for request in c.requests[before:] if "set/dcdc/E002?mode=0x0014" in request]

    in_virtual_time(story, CHARGES, a_policy(4))


def test_an_answer_that_was_held_up_does_not_show_a_converter_off_that_has_been_switched_on() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.MANUAL, None, "test")
        await c.settle(5.3)
        access, holder = access_of(c), master(c).unit_id
        unit = "E002" if holder != "E002" else "E003"
        travel, held = c.hub.faults.travel, list[str]()

        async def slow_once(sender: str, receiver: str) -> None:
            if (sender, receiver) == (unit, holder) and not held:
                held.append(sender)
                await asyncio.sleep(1.5)
            else:
                await travel(sender, receiver)

        c.hub.faults.travel = slow_once  # type: ignore[method-assign]
        collecting = asyncio.create_task(access.collect())
        await c.settle(0.1)
        await access.command(unit, CommandKind.VOLTAGE_REFERENCE, "test")
        await collecting
        assert held
        assert access.may_be_on(unit)
        assert access.readings[unit].converter.mode is ConverterMode.VOLTAGE_REFERENCE
        await c.community.nodes[unit].controller.stop_local("end")

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_second_reference_that_has_deals_takes_their_current_mode_again() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", "E004")
        own = references(c)
        other = "E004" if own == ["E003"] else "E003"
        c.engine.set_mode(list(CHARGES).index(other), ConverterMode.VOLTAGE_REFERENCE, 350, 2, 0)
        await c.until(lambda: references(c) == own, step_s=0.1)
        await c.settle(15)
        assert references(c) == own
        assert c.modes()[list(CHARGES).index(other)] is ConverterMode.CHARGE
        assert not [deal for deal in await c.community.deals() if deal.abort_time is not None]

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_hand_over_stays_open_while_the_order_to_take_over_is_on_its_way() -> None:
    """It is held up on its way, less than a message may be old, and the deal that it was for is stopped meanwhile."""

    async def story(c: VirtualCommunity) -> None:
        await c.hub.store.put(BAN + "E001", {"count": 1, "until": NOON.replace(year=2100).isoformat()})
        await begin(c, "E003", "E001")
        await c.hub.store.delete(BAN + "E001")
        end = c.hub.ends["E001"]
        take, held = end.take, list[str]()

        async def slow_once(sender: str, message: bytes) -> bytes:
            if b"voltageReferenceWillTakeOver" in message and not held:
                held.append(sender)
                await asyncio.sleep(1.7)
            return await take(sender, message)

        end.take = slow_once  # type: ignore[method-assign]
        third = await c.community.create_deal("E002", "E001", 50, who="test", requester="E001")
        await c.until(lambda: bool(held), step_s=0.01)
        await c.settle(0.5)
        await c.community.nodes["E004"].board.ask_to_stop(third.deal_id, "a person has changed their mind")
        two_s = 0.0
        for _ in range(600):
            await c.settle(0.1)
            two_s += 0.1 if len(references(c)) == 2 else 0.0
        assert two_s <= 4
        assert c.community.board.value(KEY) is None

    in_virtual_time(story, CHARGES, a_policy(4, grid_master_selection="fixed", grid_master_fixed_unit_id="E004"), ROOM)


def test_a_lost_reference_and_a_missing_reading_scram_nobody() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", "E004")
        first = next(deal for deal in c.community.board.deals() if deal.is_master)
        reference = references(c)[0]
        other = "E004" if reference == "E003" else "E003"
        lost_s: list[float] = []

        def lose() -> None:
            if not lost_s and "current/E002" in c.requests[-1]:
                lost_s.append(c.clock.monotonic())
                c.engine.set_mode(list(CHARGES).index(reference), ConverterMode.WAIT, 350, 0, 0)
                c.faults[other] = silence(lambda request: "/get/" in request.path and c.clock.monotonic() < lost_s[0] + 4)

        c.after_write = lose
        await c.community.nodes["E004"].board.ask_to_stop(first.deal_id, "test")
        await c.settle(60)
        assert lost_s
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        assert not [deal for deal in await c.community.deals() if deal.scram_time is not None]

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_electrical_danger_takes_converters_off_though_the_store_does_not_answer() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        c.hub.faults.cut("E001", "E002", "E003")
        working = c.community.nodes["E001"].role.master
        assert working is not None
        await working.react(ErrorReport("E001", Category.HARDWARE, Extent.GLOBAL, Level.ERROR, "a leak"))
        assert c.modes() == [ConverterMode.WAIT] * 4
        c.hub.faults.heal()
        await c.settle(30)
        assert c.community.board.mode is OperationMode.STOP

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_new_grid_master_keeps_to_the_alert_of_the_last() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c)
        working = c.community.nodes["E001"].role.master
        assert working is not None
        begun_s = c.clock.monotonic()
        await working.react(ErrorReport("E002", Category.LOGIC, Extent.GLOBAL, Level.ERROR, "trouble of software"))
        await c.settle(0.1)
        await c.community.nodes["E001"].role.step_down()
        await c.until(lambda: c.community.board.alert is None, step_s=0.5)
        lasted_s = c.clock.monotonic() - begun_s
        assert c.policy.grid_master_error_sustaining_s <= lasted_s < c.policy.grid_master_error_sustaining_s + 10

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_nonsense_in_answer_to_an_order_fails_the_order_and_nothing_else() -> None:
    async def nonsense(_sender: str, _message: Json) -> Json:
        return {"reading": {"unitId": "E002", "time": NOON.isoformat(), "dcdc": [], "battery": {}}, "ageS": 0, "released": []}

    async def story(c: VirtualCommunity) -> None:
        await begin(c)
        access = access_of(c)
        c.hub.ends["E002"].handle(COMMAND, nonsense)
        await access.command("E002", CommandKind.WAIT, "test")
        assert access.readings["E002"].converter.mode is ConverterMode.WAIT

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_what_a_unit_has_counted_outlives_it_though_no_record_of_its_deal_had_reached_it() -> None:
    async def story(c: VirtualCommunity) -> None:
        end = c.hub.ends["E003"]

        async def lost(_sender: str, _message: Json) -> Json:
            await asyncio.sleep(3)
            raise MessageError("lost")

        record = c.community.nodes["E003"].answers._on_record
        end.handle(RECORD, lost)
        await begin(c, "E003", amount_wh=200)
        end.handle(RECORD, record)
        await c.settle(600)
        (deal,) = c.community.board.deals()
        before_wh = c.community.nodes["E003"].controller.account.deals[deal.deal_id].battery_wh
        assert before_wh > 40
        assert await c.community.nodes["E003"].ledger.state(ACCOUNT)
        await c.community.kill_unit("E003")
        await c.settle(1)
        await c.revive("E003")
        assert c.community.nodes["E003"].controller.account.deals[deal.deal_id].battery_wh > before_wh - 1

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_reference_that_ends_while_nobody_conducts_tells_its_line_first() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        reference = references(c)[0]
        told: list[str] = []
        for end in c.hub.ends.values():
            hear = end._handlers[LEAVING]

            async def listen(sender: str, message: Json, hear: Any = hear) -> Any:
                told.append(sender)
                return await hear(sender, message)

            end.handle(LEAVING, listen)
        c.hub.faults.freeze("E001")
        alone_s: list[float] = []

        def look() -> None:
            if not references(c) and any(mode.is_current_mode for mode in c.modes()):
                alone_s.append(c.clock.monotonic())

        c.after_write = look
        await c.community.nodes[reference].stop("test", 4.0)
        assert reference in told
        assert not alone_s
        c.hub.faults.heal()
        c.community.dead.add(reference)

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_unit_is_not_armed_as_off_while_it_is_switched_on() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.MANUAL, None, "test")
        await c.settle(10)
        controller = c.community.nodes["E002"].controller
        for delay_s in (0.0, 0.01, 0.02):
            arming = asyncio.create_task(controller.reconcile("a member has joined"))
            await c.settle(delay_s)
            await controller.execute(Command(CommandKind.VOLTAGE_REFERENCE, controller.highest_epoch, 10.0))
            await arming
            assert c.guard.mind.units["E002"].role == "reference"
            await controller.stop_local("again")
            await c.settle(1)

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_the_first_deal_goes_on_though_its_grid_master_dies_as_its_second_side_is_switched_on() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(8)
        killed: list[asyncio.Task[None]] = []

        def die() -> None:
            if not killed and "E002?mode=0x0002" in c.requests[-1]:
                killed.append(asyncio.create_task(c.community.kill_unit("E001")))

        c.after_write = die
        wanted = await c.community.create_deal("E002", "E003", 30, who="test", requester="E003")
        await c.settle(1800)
        assert killed
        (deal,) = (deal for deal in c.database.deals("E003") if deal.deal_id == wanted.deal_id)
        assert deal.is_completed

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_what_was_written_down_but_never_agreed_ends_when_its_unit_is_back() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(8)
        known = await c.community.create_deal("E001", "E002", 30, who="test")
        await c.settle(30)
        assert not known.is_ended
        # The process dies after its ledger has the deal, and before the store has it; another one is of a store that was lost.
        unknown = a_deal("E001", "E003", deal_id="unknown")
        lost = a_deal("E001", "E003", deal_id="lost", activate_time=NOON, cumulate_amount_wh=1.5)
        await c.community.kill_unit("E003")
        for deal in (unknown, lost):
            c.database.record_deal("E003", deal, None)
        assert {deal.deal_id for deal in c.database.open_deals("E003")} == {"unknown", "lost"}
        await c.community.start_unit(c.a_node("E003", a_hardware(), a_scenario()))
        assert c.database.open_deals("E003") == ()
        found = {deal.deal_id: deal for deal in c.database.deals("E003")}
        assert {deal.abort_reason for deal in found.values()} == {"not known to the others after a restart"}
        assert (found["lost"].cumulate_amount_wh, found["lost"].deactivate_time is None) == (1.5, False)
        # What the others know goes on.
        assert {deal.deal_id for deal in c.database.open_deals("E002")} == {known.deal_id}

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_deal_behind_one_that_does_not_let_go_of_the_line_ends_and_says_so() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", amount_wh=5)
        (reference,) = references(c)
        # The voltage's converter follows nobody: the first deal is stopped, and cannot leave the line.
        c.world.set_fault(reference, UnitFault(stuck=True))
        await c.settle(400)
        (held,) = c.community.board.deals()
        assert held.stop_time is not None
        assert held.deactivate_time is None
        behind = await c.community.create_deal("E001", "E004", 30, who="test")
        await c.settle(200)
        assert c.community.board.deal(behind.deal_id) is not None
        await c.settle(200)
        (ended,) = c.database.deals("E004")
        assert ended.abort_reason == f"the line could not be used for 300 s: deal {held.deal_id} holds it"

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_grid_master_that_is_one_no_longer_does_not_replace_the_plan_of_the_next() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        (reference,) = references(c)
        access, sent = access_of(c), len(c.requests)
        theirs: Json = {"oldUnitId": "E001", "newUnitId": "E004"}
        # The next one's plan is in the store, and this one has not heard of it.
        await access.cluster.store.create(KEY, theirs)
        access.board.note(Entry(KEY, None, 10**9))
        with pytest.raises(StoreConflictError):
            await hand_over(access, HandOver(reference, "E001", 350.0, ConverterMode.WAIT, 0.0), "test")
        entry = await access.cluster.store.get(KEY)
        assert entry is not None
        assert entry.value == theirs
        assert len(c.requests) == sent
        await access.cluster.store.delete(KEY)

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_no_second_reference_is_switched_on_while_nobody_knows_whether_the_first_one_is() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(8)
        holder, unit = master(c).unit_id, "E003"
        assert holder != unit
        travel, since_s = c.hub.faults.travel, list[float]()

        async def lossy(sender: str, receiver: str) -> None:
            if {sender, receiver} == {unit, holder}:
                if not since_s and references(c) == [unit]:
                    since_s.append(c.clock.monotonic())
                # Shorter than a silence that is noticed: the answer, and every word that would take the order back.
                if since_s and c.clock.monotonic() < since_s[0] + 3:
                    raise NoAnswerError("lost")
            await travel(sender, receiver)

        c.hub.faults.travel = lossy  # type: ignore[method-assign]
        await c.community.create_deal("E001", unit, 20, who="test", requester=unit)
        await c.community.create_deal("E002", "E004", 20, who="test", requester="E004")
        most = 0
        for _ in range(1200):
            await c.settle(0.05)
            if c.community.board.value(KEY) is None:
                most = max(most, len(references(c)))
        assert since_s
        assert most == 1
        await c.no_deals()
        assert [deal.is_completed for deal in await c.community.deals()].count(True) >= 1

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))
