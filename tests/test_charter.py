"""Members come and go while others share; the policy changes only when nobody does and everybody agrees."""

from dataclasses import replace

import pytest

from apis_core.model.converter import ConverterMode
from apis_core.model.errors import CommandRefusedError
from apis_core.model.modes import OperationMode
from apis_core.rules.charter import with_members
from tests.builders import VirtualCommunity, a_hardware, a_policy, a_scenario, in_virtual_time
from tests.test_failures import CHARGES, Line, all_in_wait, ended
from tests.test_stories import create, energy_agrees, steer

ANYWHERE = a_policy(grid_master_selection="anywhere", large_capacity_unit_ids=("E001",))


def members(c: VirtualCommunity) -> set[tuple[str, ...]]:
    return {node.settings.policy.member_unit_ids for unit, node in c.community.nodes.items() if unit not in c.community.dead}


def test_a_member_leaves_and_comes_back_while_two_others_share() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        line = Line(c)
        deal = await create(c, "E002", "E003", 50)
        await c.started(1)
        with pytest.raises(CommandRefusedError, match="E002 has a deal that has not ended"):
            await c.community.leave("E002", "test")
        await c.community.leave("E001", "test")
        await c.settle(1)
        assert members(c) == {("E002", "E003", "E004")}
        assert c.community.nodes["E002"].settings.policy.large_capacity_unit_ids == ()
        with pytest.raises(CommandRefusedError, match="unit E001: expected one of"):
            await create(c, "E001", "E004", 5)
        with pytest.raises(CommandRefusedError, match="E001: expected one of"):
            await c.community.leave("E001", "test")
        await c.settle(20)
        assert not c.community.nodes["E001"].role.is_held
        await c.community.join("E001", "test")
        await c.settle(1)
        assert members(c) == {("E001", "E002", "E003", "E004")}
        with pytest.raises(CommandRefusedError, match="a member already"):
            await c.community.join("E001", "test")
        second = await create(c, "E001", "E004", 5)
        found = await ended(c)
        assert found[deal.deal_id].is_completed
        assert found[deal.deal_id].interruptions == ()
        assert found[second.deal_id].is_completed
        for unit in CHARGES:
            energy_agrees(c, unit, tuple(found.values()))
        assert line.longest_unheld_s == 0
        line.task.cancel()

    in_virtual_time(story, CHARGES, ANYWHERE)


def test_a_new_unit_joins() -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        settings = c.community.nodes["E001"].settings
        await c.community.start_unit(c.a_node("E004", a_hardware(), a_scenario()))
        with pytest.raises(CommandRefusedError, match="E009 is not running here"):
            await c.community.join("E009", "test")
        assert "E004 is not a member" in str(c.community.nodes["E004"].unwilling(OperationMode.HETERONOMOUS))
        await c.community.join("E004", "test")
        await c.settle(1)
        assert settings.policy.member_unit_ids == ("E001", "E002", "E003", "E004")
        deal = await create(c, "E002", "E004", 5)
        assert (await ended(c))[deal.deal_id].is_completed

    in_virtual_time(story, CHARGES, a_policy(3, grid_master_selection="anywhere"), units=("E001", "E002", "E003"))


@pytest.mark.parametrize("away", [False, True])
def test_who_does_not_agree_keeps_things_as_they_are(away: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        if away:
            c.hub.faults.freeze("E003")
        else:
            c.engine.set_mode(c.engine.index["E004"], ConverterMode.CHARGE, 350, 0, 0)
            await c.community.nodes["E004"].controller.refresh()
        with pytest.raises(CommandRefusedError, match="E003 .*no answer" if away else "E004: its converter is on"):
            await c.community.leave("E003" if away else "E004", "test")
        assert members(c) == {("E001", "E002", "E003", "E004")}
        c.hub.faults.heal()
        await c.settle(20)
        await c.community.leave("E003", "test")

    in_virtual_time(story, CHARGES, ANYWHERE)


def test_the_policy_changes_in_stop_with_everybodys_word_and_holds_at_once() -> None:
    wanted = replace(ANYWHERE, operation_grid_voltage_v=345.0, times=replace(ANYWHERE.times, current_mode_dead_man_s=4.0))

    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        with pytest.raises(CommandRefusedError, match="a policy is changed only in stop"):
            await c.community.propose(wanted, "test")
        deal = await create(c, "E002", "E003", 50)
        await c.started(1)
        await c.community.set_mode(OperationMode.STOP, None, "test")
        with pytest.raises(CommandRefusedError, match="1 deals have not ended yet"):
            await c.community.propose(wanted, "test")
        await ended(c)
        assert all_in_wait(c)
        with pytest.raises(CommandRefusedError, match="currentModeDeadManMsec"):
            await c.community.propose(replace(wanted, times=replace(wanted.times, current_mode_dead_man_s=1.0)), "test")
        c.hub.faults.cut("E004")
        with pytest.raises(CommandRefusedError, match="not acknowledged by E004"):
            await c.community.propose(wanted, "test")
        c.hub.faults.heal()
        await c.community.propose(wanted, "test")
        await c.settle(1)
        assert all(node.settings.policy == wanted for node in c.community.nodes.values())
        assert c.guard.mind.units["E002"].current_s == 4.0
        await steer(c)
        again = await create(c, "E002", "E003", 5)
        await c.started(1)
        assert [path for path in c.setters("E003") if "mode=0x0014" in path][-1].count("dvg=345") == 1
        found = await ended(c)
        assert found[again.deal_id].is_completed
        assert not found[deal.deal_id].is_completed

    in_virtual_time(story, CHARGES, ANYWHERE)


def test_what_is_said_of_units_that_leave_goes_with_them() -> None:
    policy = a_policy(
        large_capacity_unit_ids=("E001", "E002"),
        branch_units={"b": {"forwardUnitIds": ("E001", "E002"), "backwardUnitIds": ("E003",)}},
    )
    less = with_members(policy, {"E002", "E003"})
    assert less.member_unit_ids == ("E002", "E003")
    assert less.large_capacity_unit_ids == ("E002",)
    assert less.branch_units == {"b": {"forwardUnitIds": ("E002",), "backwardUnitIds": ("E003",)}}
