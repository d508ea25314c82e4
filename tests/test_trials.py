"""The twelve failures on purpose: before and after each of six stages, on a line of its own and beside another deal."""

import pytest

from apis_core.model.converter import ConverterMode
from apis_core.model.deal import FAULTS, Deal
from apis_core.model.errors import CommandRefusedError
from apis_core.ports import Capabilities
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_failures import CHARGES, Line, all_in_wait, ended
from tests.test_stories import create, energy_agrees, steer


def told(c: VirtualCommunity, text: str) -> list[str]:
    return [event.message for event in c.community.events if event.kind == "error" and text in event.message]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_follows_a_failure_on_purpose(fault: str, beside: bool) -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        line = Line(c)
        other: Deal | None = None
        if beside:
            other = await create(c, "E001", "E004", 20)
            await c.started(1)
        deal = await create(c, "E002", "E003", 5, faults=(fault,))
        # Nobody is stuck in the middle: within the time of a deal of 5 Wh it has come to its end.
        end_s = c.clock.monotonic() + 600
        while c.community.board.deal(deal.deal_id) is not None:
            assert c.clock.monotonic() < end_s
            await c.settle(1)
        if other is not None:
            assert [ConverterMode(mode) for mode in c.modes()].count(ConverterMode.VOLTAGE_REFERENCE) == 1
            running = c.community.board.deal(other.deal_id)
            assert running is not None
            assert running.is_running
        else:
            assert all_in_wait(c)
        found = await ended(c)
        mine = found[deal.deal_id]
        proof_is_tried = "Authorize" in fault and not beside
        if proof_is_tried:
            assert [mark.reason for mark in mine.resets] == [f"E003: {fault}: a failure on purpose"] * c.policy.reset_limit
            assert "the limit is 3" in str(mine.abort_reason)
        elif "Authorize" in fault:
            # A deal that joins a live line has no proof to give.
            assert mine.is_completed
        elif "Deactivate" in fault:
            # It had reached its amount: only its departure had to be tried again.
            assert 5 <= mine.cumulate_amount_wh < 5.2
            assert mine.is_completed
        else:
            assert fault in str(mine.abort_reason)
        if not (beside and "Authorize" in fault):
            assert len(told(c, f"{fault} of deal {deal.deal_id}")) == (3 if proof_is_tried else 1)
        if other is not None:
            assert found[other.deal_id].is_completed
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        assert line.two_references_s == 0
        for unit in CHARGES:
            energy_agrees(c, unit, tuple(found.values()))
        await c.settle(30)
        again = await create(c, "E002", "E003", 5)
        assert (await ended(c))[again.deal_id].is_completed
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy(grid_master_selection="anywhere"))


def test_failures_are_tried_on_simulated_units_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(c: VirtualCommunity) -> None:
        await steer(c)
        with pytest.raises(CommandRefusedError, match="fault nonsense: expected one of failBeforeActivate"):
            await create(c, "E002", "E003", 5, faults=("nonsense",))
        with pytest.raises(CommandRefusedError, match="simulated units only"):
            await create(c, "E002", "E003", 5, faults=(FAULTS[0],))

    def real(_driver: object) -> Capabilities:
        return Capabilities("real", "guard")

    monkeypatch.setattr("apis_core.drivers.emulator.EmulatorDriver.capabilities", property(real))
    in_virtual_time(story, CHARGES)
