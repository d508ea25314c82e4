"""A unit that leaves several deals at once by itself comes back for all of them."""

import pytest

from apis_core.unit.subjects import LEAVING
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import FIXED, ROOM, begin


@pytest.mark.parametrize("how", ["its own protection", "a word of the reference"])
def test_a_unit_that_has_left_two_deals_carries_both_when_it_is_back(how: str) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", "E004")
        (reference,) = references(c)
        if how == "its own protection":
            await c.community.nodes["E002"].controller.stop_local("test")
        else:
            await c.hub.ends[reference].publish(LEAVING, {"unitId": reference})
        await c.settle(3)
        await c.started(2)
        await c.settle(10)
        giver = list(CHARGES).index("E002")
        assert abs(float(c.engine.grid_current_a[giver])) == pytest.approx(2.0, abs=0.1)
        await c.no_deals()
        found = await c.community.deals()
        assert all(deal.is_completed for deal in found)
        for deal in found:
            sides = [deal.side_energy(unit).grid_wh for unit in deal.unit_ids]
            # What one side gave is what the other one took, but for what flowed while only one of them was on.
            assert sides[0] == pytest.approx(sides[1], rel=0.05)

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), ROOM)
