"""The voltage has been moved for a deal, and its Grid Master ends before it has written more down."""

import asyncio

from apis_core.gridmaster.hand_over import KEY
from apis_core.model.modes import OperationMode
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_late_and_lost import ROOM, begin
from tests.test_failures import Line

CHARGES = {"E001": 70.0, "E002": 80.0, "E003": 50.0, "E004": 50.0, "E005": 60.0}


def test_a_line_whose_new_reference_loses_its_deal_at_once_is_handed_on_and_does_not_fall() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", "E004")
        line, delete, killing = Line(c), c.hub.store.delete, list[asyncio.Task[None]]()

        async def and_die(key: str, revision: int | None = None) -> None:
            await delete(key, revision)
            if key == KEY and not killing:
                killing.append(asyncio.create_task(c.community.kill_unit("E005")))
                await asyncio.sleep(0.01)

        c.hub.store.delete = and_die  # type: ignore[method-assign]
        # E001 is large: the voltage goes to it.
        moving = await c.community.create_deal("E002", "E001", 50, who="test", requester="E001")
        await c.until(lambda: bool(killing), step_s=0.01)
        await c.community.nodes["E002"].board.ask_to_stop(moving.deal_id, "a person has changed their mind")
        await c.settle(120)
        others = [deal for deal in c.community.board.deals() if deal.deal_id != moving.deal_id]
        assert [(deal.is_started, len(deal.interruptions)) for deal in others] == [(True, 0), (True, 0)]
        assert line.longest_unheld_s == line.two_references_s == 0
        assert c.community.board.mode is OperationMode.HETERONOMOUS
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy(5, grid_master_selection="fixed", grid_master_fixed_unit_id="E005"), ROOM)
