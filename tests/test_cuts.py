"""Units that are cut off, slow, heard twice or stand still, in virtual time: one Grid Master, one reference, nothing lost."""

from itertools import combinations

import pytest

from apis_core.model.modes import OperationMode
from apis_core.model.safety_times import SafetyTimes
from apis_core.unit.board import LEASE
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_failures import CHARGES, Line, all_in_wait, ended, reference, two_deals
from tests.test_stories import create, energy_agrees, steer

# A unit that lost the reference takes it again after half a minute instead of ten.
ANYWHERE = a_policy(grid_master_selection="anywhere", large_capacity_unit_ids=(), times=SafetyTimes(reference_ban_s=30))


async def master(c: VirtualCommunity) -> str:
    """Who holds the lease, whatever anybody believes of itself."""
    entry = await c.hub.store.get(LEASE)
    assert entry is not None
    assert entry.value is not None
    return str(entry.value["holder"])


async def shares_again(c: VirtualCommunity, line: Line) -> None:
    """Whatever was, the community is one again: what began has ended in order, and the next deal is made as always."""
    await ended(c)
    assert all_in_wait(c)
    assert line.longest_unheld_s == 0
    assert line.two_references_s == 0
    assert [node.role.is_held for node in c.community.nodes.values()].count(True) == 1
    assert c.community.board.mode is OperationMode.HETERONOMOUS
    await c.settle(40)
    deal = await create(c, "E002", "E003", 5)
    assert (await ended(c))[deal.deal_id].is_completed
    line.task.cancel()


@pytest.mark.parametrize("island", [*combinations(CHARGES, 1), *combinations(CHARGES, 2)], ids="-".join)
def test_a_split_network_leaves_one_grid_master_and_a_held_line(island: tuple[str, ...]) -> None:
    async def story(c: VirtualCommunity) -> None:
        await two_deals(c)
        line = Line(c)
        c.hub.faults.cut(*island)
        await c.settle(40)
        masters = [unit for unit, node in c.community.nodes.items() if node.role.is_held]
        assert len(masters) == 1
        assert masters[0] not in island
        # The side without the store has taken its converters off the line by itself.
        assert all(unit in line.off_s for unit in island)
        await c.settle(50)
        c.hub.faults.heal()
        deals = await ended(c)
        for deal in deals.values():
            spared = not set(deal.unit_ids) & set(island)
            assert deal.is_completed or not spared, deal
            assert deal.cumulate_amount_wh < 51
        for unit in CHARGES:
            energy_agrees(c, unit, tuple(deals.values()))
        await shares_again(c, line)

    in_virtual_time(story, CHARGES, ANYWHERE)


@pytest.mark.parametrize("off_the_reference", [True, False])
def test_a_grid_master_that_stood_still_for_90_s_is_a_member_again(off_the_reference: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await two_deals(c)
        line, old, holder = Line(c), await master(c), reference(c)
        if off_the_reference:
            assert old != holder
        victim = old if off_the_reference else holder
        if victim != old:
            await c.community.nodes[old].role._lease.hand_to(victim)
            await c.settle(5)
            assert await master(c) == victim
        epoch = c.community.snapshot_now().epoch
        c.hub.faults.freeze(victim)
        await c.settle(90)
        assert await master(c) != victim
        assert c.community.nodes[await master(c)].role._lease.epoch > epoch
        before = len(c.requests)
        c.hub.faults.heal()
        await c.settle(3)
        # Nothing it was about to command when it stopped is carried out now.
        assert [path for path in c.requests[before:] if "mode=0x00" in path and "0x0000" not in path and victim in path] == []
        deals = await ended(c)
        for unit in set(CHARGES) - {victim}:
            energy_agrees(c, unit, tuple(deals.values()))
        for deal in deals.values():
            assert deal.is_completed or victim in deal.unit_ids, deal
        await shares_again(c, line)

    in_virtual_time(story, CHARGES, ANYWHERE)


def test_slow_and_repeated_messages_change_nothing() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        line = Line(c)
        for unit in CHARGES:
            c.hub.faults.delay(unit, 0.4)
            c.hub.faults.duplicate(unit)
        deals = [await create(c, "E002", "E003", 20), await create(c, "E001", "E004", 20)]
        found = await ended(c)
        assert all(found[deal.deal_id].is_completed for deal in deals), found
        assert sum(c.hub.ends["E002"].dropped.values()) == c.hub.ends["E002"].dropped["repeated"] > 10
        c.hub.faults.heal()
        await shares_again(c, line)

    in_virtual_time(story, CHARGES, ANYWHERE)
