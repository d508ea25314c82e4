"""A deal goes on though one reading of a unit was wrong, or an old answer came late: what is true now decides."""

import asyncio
from typing import Any

from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES
from tests.gridmaster.test_late_and_lost import FIXED, begin


def test_one_reading_in_wait_that_the_next_one_does_not_confirm_interrupts_no_deal() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        wrong: list[DeviceRequest] = []

        async def in_wait(request: DeviceRequest) -> Any:
            wrong.append(request)
            answer = await c.world.send(request)
            answer["dcdc"]["status"] |= {"status": "0x0000", "operationMode": "Waiting"}
            return answer

        c.faults["E002"] = lambda request: in_wait(request) if request.path.startswith("/get/unit") and not wrong else None
        await c.until(lambda: bool(wrong))
        before = len(c.setters("E002"))
        await c.settle(30)
        (deal,) = c.community.board.deals()
        assert deal.is_started
        assert not deal.interruptions
        assert not c.setters("E002")[before:]
        # Its dead-man still watches over it.
        assert c.guard.mind.units["E002"].role == "current"

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_an_answer_from_before_a_deal_began_again_does_not_interrupt_it_once_more() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        (deal,) = c.community.board.deals()
        working, travel, held = c.community.nodes["E001"].role.master, c.hub.faults.travel, list[str]()
        assert working is not None

        async def slow_once(sender: str, receiver: str) -> None:
            if (sender, receiver) == ("E002", "E001") and not held:
                held.append(sender)
                await asyncio.sleep(1.5)
            else:
                await travel(sender, receiver)

        await c.community.nodes["E002"].controller.let_go({deal.deal_id}, "its own watch")
        await c.until(lambda: len(c.community.board.deals()[0].interruptions) == 1, step_s=0.01)
        # The unit says what it has released; on its way that is overtaken by the deal's new beginning.
        c.hub.faults.travel = slow_once  # type: ignore[method-assign]
        collecting = asyncio.create_task(working.watch_once())
        await c.started(1)
        await collecting
        assert held
        await c.settle(60)
        (deal,) = c.community.board.deals()
        assert deal.is_started
        assert len(deal.interruptions) == 1

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))
