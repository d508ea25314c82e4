"""A reference leaves while another unit is being switched on: what is on its way then does not come on."""

import asyncio
from typing import Any

import pytest

from apis_core.model.errors import CommandRefusedError
from apis_core.model.modes import Command, CommandKind
from apis_core.ports import DeviceRequest
from apis_core.unit.subjects import LEAVING
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import FIXED, ROOM, begin


@pytest.mark.parametrize("kind", [CommandKind.CHARGE, CommandKind.DISCHARGE])
def test_a_unit_that_is_being_switched_on_hears_that_the_reference_leaves(kind: CommandKind) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        (reference,) = references(c)
        controller = c.community.nodes["E004"].controller

        async def slow(request: DeviceRequest) -> Any:
            await asyncio.sleep(1.0)
            return await c.world.send(request)

        # Its device is being read when the order comes, and it takes its time.
        c.faults["E004"] = lambda request: slow(request) if request.path.startswith("/get/unit") else None
        reading = asyncio.create_task(controller.refresh())
        await c.settle(0.1)
        order = asyncio.create_task(controller.execute(Command(kind, controller.highest_epoch, 10.0, grid_current_a=1.0)))
        await c.settle(0.1)
        before = len(c.setters("E004"))
        await c.hub.ends[reference].publish(LEAVING, {"unitId": reference})
        with pytest.raises(CommandRefusedError, match="the unit's own stop"):
            await order
        await reading
        assert not [path for path in c.setters("E004")[before:] if "mode=0x0000" not in path]
        c.faults.clear()

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), ROOM)
