"""A deal that was long on its way to the store finds its place taken."""

import asyncio

from apis_core.model.modes import OperationMode
from apis_core.ports import Json
from tests.builders import VirtualCommunity, a_hardware, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES
from tests.gridmaster.test_late_and_lost import FIXED


def test_no_unit_carries_more_than_it_can_though_it_was_promised_twice() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.HETERONOMOUS, None, "test")
        await c.settle(8)
        store = c.community.nodes["E002"].cluster.store
        create = store.create

        async def slow(key: str, value: Json) -> int:
            await asyncio.sleep(12 if key.startswith("deal.") else 0)
            return await create(key, value)

        store.create = slow  # type: ignore[method-assign]
        # What E003 has reserved for the first one runs out before it is stored: the second one gets the same room.
        first = asyncio.create_task(c.community.create_deal("E002", "E003", 20, who="test", requester="E002"))
        await c.settle(11)
        second = await c.community.create_deal("E001", "E003", 20, who="test", requester="E001")
        wanted = {(await first).deal_id, second.deal_id}
        at_once = 0
        while [deal for deal in c.community.board.deals() if not deal.is_ended]:
            await c.settle(0.5)
            at_once = max(at_once, sum(deal.is_active for deal in c.community.board.deals()))
        assert at_once == 1
        ended = {deal.deal_id: deal for deal in c.database.deals("E003")}
        assert set(ended) == wanted
        done = [deal for deal in ended.values() if deal.is_completed]
        (refused,) = [deal for deal in ended.values() if not deal.is_completed]
        assert len(done) == 1
        assert refused.abort_reason == "E003 carries 1 A of its 1.5 A: no room for 1 A more"

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), a_hardware(grid_current_capacity_a=1.5))
