"""A converter whose mode nobody knows has its timers all the same."""

from typing import Any

from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES
from tests.gridmaster.test_late_and_lost import FIXED, ROOM, begin
from tests.test_failures import Line


def test_a_converter_in_an_unknown_mode_goes_to_wait_when_no_grid_master_speaks() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        line, begun_s = Line(c), c.clock.monotonic()

        async def unknown(request: DeviceRequest) -> Any:
            answer = await c.world.send(request)
            answer.get("dcdc", answer)["status"]["status"] = "0x0099"
            return answer

        c.faults["E002"] = lambda request: unknown(request) if request.path.startswith("/get/") else None
        c.hub.faults.cut("E002")
        await c.settle(60)
        # As long as any current mode: 25 s after the last renewal of the lease that it knows of.
        assert line.off_s["E002"] - begun_s <= 27.5
        assert line.longest_unheld_s == 0
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), ROOM)
