"""An order that is held up on its way, and that a later one of the same Grid Master has overtaken."""

import asyncio

import pytest

from apis_core.gridmaster.hand_over import KEY
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import begin


@pytest.mark.parametrize("late_s", [1.2, 1.9])
def test_a_reference_that_keeps_the_line_is_not_left_with_droop_by_an_order_of_a_hand_over_given_up(late_s: float) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", amount_wh=300)
        assert references(c) == ["E003"]
        end = c.hub.ends["E003"]
        take, held = end.take, list[str]()

        async def slow_once(sender: str, message: bytes) -> bytes:
            if b"voltageReferenceWillHandOver" in message and not held:
                held.append(sender)
                await asyncio.sleep(late_s)
            return await take(sender, message)

        end.take = slow_once  # type: ignore[method-assign]
        # E001 is large: the voltage is to move to it, and before that was tried again the deal is stopped.
        deal = await c.community.create_deal("E001", "E004", 100, who="test", requester="E004")
        await c.until(lambda: bool(held), step_s=0.01)
        await c.settle(0.5)
        await c.community.nodes["E004"].board.ask_to_stop(deal.deal_id, "a person has changed their mind")
        await c.settle(60)
        assert c.community.board.value(KEY) is None
        assert references(c) == ["E003"]
        assert c.engine.droop_ratio[list(CHARGES).index("E003")] == 0
        # Its own watch over voltage and current is not suspended either.
        assert not c.community.nodes["E003"].controller._suspended

    in_virtual_time(story, CHARGES, a_policy(4))
