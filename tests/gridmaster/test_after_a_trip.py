"""What a unit can be ordered after its dead-man has stopped it: a wait at once, and whatever begins after that."""

import asyncio
from typing import Any

import pytest

from apis_core.model.converter import ConverterMode
from apis_core.model.errors import CommandRefusedError, DriverError
from apis_core.model.modes import Command, CommandKind, OperationMode
from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES
from tests.gridmaster.test_late_and_lost import FIXED, access_of, begin


@pytest.mark.parametrize("who", ["the Grid Master", "the unit"])
def test_a_wait_in_steps_goes_out_though_the_dead_man_refuses_the_steps(who: str) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        (deal,) = c.community.board.deals()
        # It has just tripped; its own wait is not out yet.
        c.guard.mind.stop("E002", "no sign of its unit", c.clock.wall())
        if who == "the unit":
            await c.community.nodes["E002"].controller.let_go({deal.deal_id}, "its amount has been exchanged")
        else:
            await access_of(c).command("E002", CommandKind.WAIT, "test")
        assert c.modes()[1] is ConverterMode.WAIT

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


@pytest.mark.parametrize("trips_ago_s", [0.0, 0.3])
def test_a_stopped_deal_is_not_told_as_not_followed_because_the_dead_man_was_faster(trips_ago_s: float) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        (deal,) = c.community.board.deals()
        c.guard.mind.stop("E002", "no sign of its unit", c.clock.wall())
        c.guard.wake()
        await c.settle(trips_ago_s)
        await c.community.nodes["E004"].board.ask_to_stop(deal.deal_id, "a person has changed their mind")
        await c.no_deals()
        (ended,) = await c.community.deals()
        assert [mark.reason for mark in ended.aborts] == ["a person has changed their mind"]

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_deal_does_not_fail_for_a_trip_that_was_over_long_before() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(8)

        async def no_answer(_request: DeviceRequest) -> Any:
            await asyncio.sleep(2)
            raise DriverError("no answer")

        # The device is silent for as long as it is to be switched on: the unit lives, but has nothing to speak for.
        c.faults["E002"] = lambda request: no_answer(request) if "mode=0x0002" in request.path else None
        await c.community.create_deal("E002", "E003", 10, who="test", requester="E003")
        await c.no_deals()
        c.faults.clear()
        await c.settle(600)
        again = await c.community.create_deal("E002", "E003", 10, who="test", requester="E003")
        await c.no_deals()
        ended = next(deal for deal in await c.community.deals() if deal.deal_id == again.deal_id)
        assert ended.is_completed, ended.abort_reason

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_what_is_refused_for_its_epoch_stays_refused_after_a_trip() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        controller = c.community.nodes["E002"].controller
        c.guard.mind.stop("E002", "test", c.clock.wall())
        with pytest.raises(CommandRefusedError, match="another Grid Master is in charge"):
            await controller.execute(Command(CommandKind.CHARGE, controller.highest_epoch - 1, 10.0, grid_current_a=1.0))

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))
