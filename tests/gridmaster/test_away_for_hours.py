"""What is booked for the time in which nobody was there: no more than a converter can have exchanged by itself."""

from datetime import timedelta

import pytest

from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES
from tests.gridmaster.test_late_and_lost import FIXED, ROOM, begin


@pytest.mark.parametrize("how", ["the machine was off for two hours", "the clock was set two hours ahead"])
def test_a_restart_books_no_energy_for_hours_in_which_the_converter_was_off(how: str) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", amount_wh=200)
        (deal,) = c.community.board.deals()
        before = {unit: c.community.nodes[unit].controller.account.deals[deal.deal_id].battery_wh for unit in deal.unit_ids}
        for unit in CHARGES:
            await c.community.kill_unit(unit)
        # Their dead-men have put all of them to wait by then.
        await c.settle(60)
        if how.startswith("the machine"):
            # What the guard knew is from before the machine was started.
            c.guard.mind.units.clear()
            await c.settle(7200)
        else:
            c.clock._start += timedelta(hours=2)
            c.clock._now = -1.0, c.clock._start
        for unit in CHARGES:
            await c.revive(unit)
        for unit in deal.unit_ids:
            counted_wh = c.community.nodes[unit].controller.account.deals[deal.deal_id].battery_wh
            # Less than a minute at 350 V and 1 A.
            assert counted_wh - before[unit] < 8

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), ROOM)
