"""A voltage reference that a person has switched on for a while."""

from apis_core.model.modes import Command, CommandKind, OperationMode
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import FIXED
from tests.test_failures import Line, all_in_wait


def test_a_reference_whose_time_by_hand_is_over_tells_its_line_before_it_leaves() -> None:
    async def story(c: VirtualCommunity) -> None:
        await c.community.set_mode(OperationMode.MANUAL, None, "test")
        await c.settle(10)
        line = Line(c)
        await c.community.control_converter("E001", Command(CommandKind.VOLTAGE_REFERENCE, 0, 16.0), 200)
        await c.settle(130)
        await c.community.control_converter("E002", Command(CommandKind.CHARGE, 0, 16.0, grid_current_a=1.0))
        await c.settle(60)
        assert references(c) == ["E001"]
        await c.settle(30)
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))
