"""A set-point that was read wrong: what cannot be is never written back to a converter that is on."""

from collections.abc import Callable
import re
from typing import Any

from apis_core.model.modes import CommandKind
from apis_core.ports import DeviceRequest
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import FIXED, ROOM, access_of, begin


def read_wrong(c: VirtualCommunity, unit: str, part: str, key: str, value: float, when: Callable[[], bool]) -> None:
    """The unit's full readings say this instead."""

    async def wrong(request: DeviceRequest) -> Any:
        answer = await c.world.send(request)
        answer["dcdc"][part][key] = value
        return answer

    c.faults[unit] = lambda request: wrong(request) if request.path.startswith("/get/unit") and when() else None


def test_the_voltage_is_not_handed_over_at_one_that_cannot_be() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003", "E004")
        (reference,) = references(c)
        first = next(deal for deal in c.community.board.deals() if reference in deal.unit_ids)

        def is_leaving() -> bool:
            deal = c.community.board.deal(first.deal_id)
            stopped = None if deal is None else deal.stop_time
            return stopped is not None and (c.clock.now() - stopped).total_seconds() < 3

        before = len(c.requests)
        read_wrong(c, reference, "vdis", "dvg", 35.0, is_leaving)
        await c.community.nodes["E001"].board.ask_to_stop(first.deal_id, "a person has changed their mind")
        await c.no_deals()
        set_v = [float(found) for path in c.requests[before:] for found in re.findall(r"dvg=([0-9.]+)", path)]
        assert set_v
        assert not [voltage_v for voltage_v in set_v if not 300 <= voltage_v <= 380]
        assert all(deal.is_completed or deal.deal_id == first.deal_id for deal in await c.community.deals())

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), ROOM)


def test_a_converter_that_is_stopped_does_not_step_up_first() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        read_wrong(c, "E002", "param", "dig", 23.0, lambda: True)
        await c.community.nodes["E002"].controller.refresh()
        c.faults.clear()
        before = len(c.requests)
        await access_of(c).command("E002", CommandKind.WAIT, "test")
        set_a = [float(found) for path in c.requests[before:] for found in re.findall(r"dig=([0-9.]+)", path)]
        assert set_a
        assert max(set_a) < ROOM.grid_current_capacity_a

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED), ROOM)
