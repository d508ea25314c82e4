"""A hand-over in which a node ends after each of its four steps: the commander's, the old reference's or the new one's."""

import asyncio
from typing import Any

import pytest

from apis_core.gridmaster.hand_over import KEY
from apis_core.model.modes import OperationMode
from apis_core.model.safety_times import SafetyTimes
from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import STEPS
from tests.test_failures import Line, all_in_wait, ended
from tests.test_stories import create, energy_agrees, steer

CHARGES = {"E001": 70.0, "E002": 80.0, "E003": 50.0, "E004": 50.0, "E005": 60.0}
# The voltage moves when a deal leaves (E003 to E004), or when one with a large unit joins (E003 to E001).
WHY = {"departure": ("E003", "E004"), "activation": ("E003", "E001")}


@pytest.mark.parametrize("dies", ["commander", "old", "new"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("why", WHY)
def test_whoever_ends_in_a_hand_over_the_line_is_held_or_falls_in_order(why: str, step: str, dies: str) -> None:
    old, new = WHY[why]
    victim = {"commander": "E005", "old": old, "new": new}[dies]
    who, matches = STEPS[step]
    actor = {"old": old, "new": new}[who]

    async def story(c: VirtualCommunity) -> None:
        killing: list[asyncio.Task[None]] = []

        async def and_kill(request: DeviceRequest) -> Any:
            answer = await c.world.send(request)
            killing.append(asyncio.create_task(c.community.kill_unit(victim)))
            await c.clock.sleep(0.05)
            return answer

        def at_the_step(request: DeviceRequest) -> Any:
            opened = c.community.board.value(KEY) is not None
            return and_kill(request) if opened and not killing and matches(request.path) else None

        await steer(c)
        assert c.community.snapshot_now().grid_master == "E005"
        line = Line(c)
        deals = [await create(c, "E002", "E003", 10 if why == "departure" else 30, requester="E003")]
        await c.started(1)
        giver = "E002" if why == "departure" else "E001"
        deals.append(await create(c, giver, "E004", 30, requester="E004"))
        c.faults[actor] = at_the_step
        end_s = c.clock.monotonic() + 900
        while not killing:
            assert c.clock.monotonic() < end_s
            await c.settle(0.05)
        await c.settle(90)
        assert c.community.board.value(KEY) is None
        found = await ended(c)
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        assert line.two_references_s == 0
        for deal in found.values():
            assert deal.is_completed or victim in deal.unit_ids, deal
            assert deal.cumulate_amount_wh < deal.amount_wh + 0.5
        for unit in set(CHARGES) - {victim}:
            energy_agrees(c, unit, tuple(found.values()))
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        await c.revive(victim)
        await c.settle(40)
        again = await create(c, "E002", "E004", 5)
        assert (await ended(c))[again.deal_id].is_completed
        line.task.cancel()

    policy = a_policy(5, grid_master_selection="fixed", grid_master_fixed_unit_id="E005", times=SafetyTimes(reference_ban_s=30))
    in_virtual_time(story, CHARGES, policy)
