"""Ends at random moments, in virtual time: the line stays safe, no energy is lost or counted twice, nobody is stuck."""

import contextlib
import os
import random

import pytest

from apis_core.model.errors import CommandRefusedError
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_failures import Line, all_in_wait
from tests.test_stories import create, steer

pytestmark = pytest.mark.alone

CHARGES = {"E001": 60.0, "E002": 80.0, "E003": 50.0, "E004": 50.0}
# More of them in the long runs of the night.
ROUNDS, KILLS_A_ROUND = int(os.environ.get("APIS_KILL_ROUNDS", "40")), 5


def told_wh(c: VirtualCommunity, unit: str) -> float:
    """What a unit has written down, in its ledger alone."""
    total = 0.0
    for deal in c.database.deals(unit):
        side = deal.side_of(unit)
        if side is not None:
            total += side.sign * deal.side_energy(unit).battery_wh
    account = c.database.state(unit, "account") or {}
    return total + float(sum(account.get("unattributedWh", {}).values()))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_ends_leave_a_safe_line_and_true_books(seed: int) -> None:
    rng = random.Random(seed)

    async def story(c: VirtualCommunity) -> None:
        line = Line(c)
        await steer(c)
        for _ in range(KILLS_A_ROUND):
            live = [unit for unit in CHARGES if unit not in c.community.dead]
            for giver, taker in (("E002", "E003"), ("E001", "E004")):
                with contextlib.suppress(CommandRefusedError):
                    await create(c, giver, taker, 20)
            await c.settle(rng.uniform(0, 150))
            victim = rng.choice(live)
            await c.community.kill_unit(victim)
            await c.settle(rng.uniform(0, 90))
            await c.revive(victim)
        await c.no_deals(7200)
        await c.settle(200)
        assert all_in_wait(c)
        assert line.longest_unheld_s <= 0.2
        assert line.two_references_s == 0
        first = await create(c, "E002", "E003", 5)
        await c.no_deals()
        assert next(deal for deal in await c.community.deals() if deal.deal_id == first.deal_id).is_completed
        # A lost reference is estimated at its last power until it was read off; the current modes leave some seconds before.
        for unit in CHARGES:
            assert told_wh(c, unit) == pytest.approx(line.exchanged_wh[unit], rel=0.05, abs=1.0), unit
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy())
