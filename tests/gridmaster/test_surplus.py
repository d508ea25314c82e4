"""A current that was raised for a deal which then never began."""

import asyncio

import pytest

from apis_core.model.errors import ClusterError
from apis_core.ports import Json
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import ROOM, access_of, begin

POLICY = a_policy(4, grid_master_selection="fixed", grid_master_fixed_unit_id="E002", large_capacity_unit_ids=())


@pytest.mark.parametrize("how", ["the store did not answer once", "the role moved away"])
def test_a_current_that_was_raised_for_a_deal_that_never_began_is_lowered_again(how: str) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", "E004")
        (reference,) = references(c)
        taker = "E004" if reference == "E003" else "E003"
        store = access_of(c).cluster.store
        update, missed, moving = store.update, list[str](), list[asyncio.Task[None]]()

        async def fail_once(key: str, value: Json, revision: int) -> int:
            if value.get("activateDateTime") and value.get("dischargeUnitId") == "E001" and not missed:
                missed.append(key)
                if how.startswith("the store"):
                    raise ClusterError("no answer")
                # The role is with another one before the record is written, and a person stops the deal.
                await c.community.nodes["E001"].board.ask_to_stop(value["dealId"], "a person has changed their mind")
                role = c.community.nodes["E002"].role
                moving.append(asyncio.create_task(role._lease.hand_to("E001")))
                role._end_work()
                await c.clock.sleep(1)
            return await update(key, value, revision)

        store.update = fail_once  # type: ignore[method-assign]
        await c.community.create_deal("E001", taker, 50, who="test", requester=taker)
        await c.until(lambda: bool(missed))
        await c.settle(60)
        assert [deal.is_started for deal in c.community.board.open_deals()] == [True, True]
        index = list(CHARGES).index(taker)
        assert abs(float(c.engine.grid_current_a[index])) == pytest.approx(1.0, abs=0.1)

    in_virtual_time(story, CHARGES, POLICY, ROOM)
