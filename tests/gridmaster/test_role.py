"""Who has the role, when several want it and when whoever has it loses it."""

import asyncio

from apis_core.model.errors import Category, DriverError, ErrorReport, Extent, Level
from apis_core.model.modes import OperationMode
from apis_core.ports import Json
from apis_core.rules.role import LeaseRecord
from apis_core.unit.board import LEASE
from apis_core.unit.subjects import CONTACT, EPOCH
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_failures import all_in_wait

CHARGES = {"E001": 70.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}


async def holders(c: VirtualCommunity, seen: list[LeaseRecord]) -> None:
    """Note every change of the lease's holder or epoch, until cancelled."""
    async for entry in c.hub.store.watch(LEASE):
        if entry.value is not None:
            record = LeaseRecord.from_json(entry.value)
            if not seen or (record.holder, record.epoch) != (seen[-1].holder, seen[-1].epoch):
                seen.append(record)


async def working(c: VirtualCommunity) -> str:
    """A Grid Master with a deal that is on."""
    await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
    await c.settle(5)
    await c.community.create_deal("E002", "E003", 50, who="test", requester="E003")
    await c.started(1)
    await c.settle(2)
    master = c.community.snapshot_now().grid_master
    assert master is not None
    return master


def test_one_of_all_who_want_it_takes_the_role_of_a_unit_that_has_gone() -> None:
    seen: list[LeaseRecord] = []

    async def story(c: VirtualCommunity) -> None:
        watching = asyncio.create_task(holders(c, seen))
        await c.settle(5)
        dead = c.community.snapshot_now().grid_master
        assert dead is not None
        await c.community.kill_unit(dead)
        await c.settle(30)
        watching.cancel()
        assert [record.epoch for record in seen] == [1, 2]
        assert c.community.snapshot_now().grid_master == seen[-1].holder != dead

    in_virtual_time(story, CHARGES, a_policy(4))


def test_whoever_learns_that_another_has_the_role_leaves_it_at_once() -> None:
    async def story(c: VirtualCommunity) -> None:
        old = await working(c)
        role = c.community.nodes[old].role
        access = role.access
        entry = await c.hub.store.get(LEASE)
        assert access is not None
        assert entry is not None
        assert entry.value is not None
        await c.hub.store.update(LEASE, LeaseRecord("E004", LeaseRecord.from_json(entry.value).epoch + 1).to_json(), entry.revision)
        # Before it renews, a member's answer tells it.
        await c.until(lambda: access.contacts.message(access.line()).epoch == 0, step_s=0.01)
        await c.settle(0.05)
        assert role.access is not access

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_grid_master_whose_members_were_told_of_a_higher_epoch_goes_on_above_it() -> None:
    """Whoever wanted the role and did not get it had them leave everybody below: no deal ends for that."""

    async def story(c: VirtualCommunity) -> None:
        await working(c)
        epoch = c.community.snapshot_now().epoch
        await c.community.nodes["E004"].cluster.scatter(CHARGES, EPOCH, {"epoch": epoch + 1}, 1.0)
        await c.community.create_deal("E002", "E004", 50, who="test", requester="E004")
        await c.started(2)
        assert c.community.snapshot_now().epoch > epoch + 1
        assert not [deal for deal in await c.community.deals() if deal.abort_time is not None]

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_grid_master_that_ends_in_an_emergency_ends() -> None:
    """Both end the look at the deals that is going on; its own end is not taken for the emergency's."""

    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        unit = c.community.snapshot_now().grid_master
        assert unit is not None
        master = c.community.nodes[unit].role.master
        assert master is not None
        work = next(task for task in asyncio.all_tasks() if task.get_name() == f"grid master {unit}")
        answers = asyncio.Event()

        async def late() -> None:
            await answers.wait()
            raise DriverError("late")

        c.faults["E003"] = lambda request: late() if "/set/" in request.path else None
        await c.community.create_deal("E002", "E003", 50, who="test", requester="E003")
        await c.until(master.turn.locked)
        report = ErrorReport("E003", Category.HARDWARE, Extent.GLOBAL, Level.ERROR, "an emergency")
        emergency = asyncio.create_task(master.react(report))
        work.cancel()
        await c.settle(60)
        assert work.done()
        emergency.cancel()
        c.faults.clear()
        answers.set()

    in_virtual_time(story, CHARGES, a_policy(4))


def test_one_member_that_says_nonsense_bars_nobody() -> None:
    async def nonsense_contact(_sender: str, message: Json) -> Json:
        return {"epoch": message["epoch"], "unspokenS": "for ever", "stopsItself": True}

    async def nonsense_epoch(_sender: str, _message: Json) -> Json:
        return {"epoch": 10**30}

    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(5)
        odd = c.community.nodes["E004"].cluster
        odd.handle(CONTACT, nonsense_contact)
        odd.handle(EPOCH, nonsense_epoch)
        await c.community.create_deal("E002", "E003", 50, who="test", requester="E003")
        await c.started(1)
        first = c.community.snapshot_now()
        assert first.grid_master is not None
        await c.community.kill_unit(first.grid_master)
        await c.settle(40)
        assert c.community.snapshot_now().grid_master not in (None, first.grid_master)
        assert first.epoch < c.community.snapshot_now().epoch < first.epoch + 20

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_grid_master_that_stands_still_is_followed_within_five_seconds() -> None:
    async def story(c: VirtualCommunity) -> None:
        old = await working(c)
        epoch = c.community.snapshot_now().epoch
        c.hub.faults.freeze(old)
        await c.settle(5)
        new = c.community.snapshot_now().grid_master
        assert new not in (None, old)
        await c.settle(30)
        c.hub.faults.heal()
        await c.settle(30)
        assert (c.community.snapshot_now().grid_master, c.community.snapshot_now().epoch) == (new, epoch + 1)
        assert c.community.nodes[old].role.master is None

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_grid_master_that_has_nothing_to_say_is_not_followed() -> None:
    async def story(c: VirtualCommunity) -> None:
        master = await working(c)
        epoch = c.community.snapshot_now().epoch
        await c.until(lambda: all_in_wait(c), 900, 1.0)
        await c.settle(60)
        assert (c.community.snapshot_now().grid_master, c.community.snapshot_now().epoch) == (master, epoch)

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_grid_master_that_only_one_member_does_not_hear_is_not_followed() -> None:
    async def story(c: VirtualCommunity) -> None:
        master = await working(c)
        epoch = c.community.snapshot_now().epoch
        deaf = next(unit for unit in ("E001", "E004") if unit != master)
        asked = 0

        async def not_heard(_sender: str, message: Json) -> Json:
            return {"epoch": message["epoch"]}

        async def unanswered(_sender: str, _message: Json) -> Json:
            nonlocal asked
            asked += 1
            await asyncio.Event().wait()
            return {}

        c.community.nodes[deaf].cluster.handle(CONTACT, not_heard)
        c.community.nodes[master].cluster.handle(EPOCH, unanswered)
        await c.settle(20)
        assert asked > 0
        assert (c.community.snapshot_now().grid_master, c.community.snapshot_now().epoch) == (master, epoch)

    in_virtual_time(story, CHARGES, a_policy(4))
