"""Whoever lost the line's voltage is barred from it, for once, whatever comes between."""

import asyncio

import pytest

from apis_core.gridmaster.access import Access
from apis_core.model.converter import ConverterMode
from apis_core.model.deal import Deal
from apis_core.model.errors import ClusterError
from apis_core.ports import Json
from apis_core.rules.interruptions import ban_s
from apis_core.unit.board import BAN
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.gridmaster.test_interruptions import CHARGES, references
from tests.gridmaster.test_late_and_lost import FIXED, access_of, begin


def bans(c: VirtualCommunity) -> dict[str, int]:
    return {key.removeprefix(BAN): (c.community.board.value(key) or {})["count"] for key in c.community.board.keys(BAN)}


def lose(c: VirtualCommunity, unit: str) -> None:
    """Its converter leaves the voltage by itself."""
    c.engine.set_mode(list(CHARGES).index(unit), ConverterMode.WAIT, 350, 0, 0)


def test_a_reference_on_the_other_side_than_the_policys_is_the_one_that_is_barred() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c)
        # E001 is large and gives: it holds the voltage, though the policy wants it on the taking side.
        await c.community.create_deal("E001", "E003", 300, who="test", requester="E003")
        await c.started(1)
        await c.settle(10)
        assert references(c) == ["E001"]
        lose(c, "E001")
        await c.until(lambda: bool(bans(c)))
        assert set(bans(c)) == {"E001"}
        await c.until(lambda: bool(c.community.board.deals()[0].interruptions))
        assert [mark.reason for mark in c.community.board.deals()[0].interruptions] == ["the voltage reference E001 is lost"]

    in_virtual_time(story, CHARGES, a_policy(4))


def test_a_loss_whose_mending_is_cut_short_by_a_dead_grid_master_is_counted_once() -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        assert references(c) == ["E003"]
        put, killed = c.hub.store.put, list[asyncio.Task[None]]()

        async def put_and_die(key: str, value: Json) -> int:
            revision = await put(key, value)
            if key.startswith(BAN) and not killed:
                killed.append(asyncio.create_task(c.community.kill_unit("E001")))
            return revision

        c.hub.store.put = put_and_die  # type: ignore[method-assign]
        lose(c, "E003")
        await c.settle(90)
        assert killed
        (deal,) = c.community.board.deals()
        assert len(deal.interruptions) == 1
        assert bans(c) == {"E003": 1}

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_a_loss_that_cannot_be_written_down_for_a_while_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(c: VirtualCommunity) -> None:
        await begin(c, "E003")
        access, update, tries_s = access_of(c), Access.update, list[float]()

        async def not_yet(self: Access, deal_id: str, change: object, *, transition: bool = True) -> Deal:
            if transition and c.clock.monotonic() < [*tries_s, c.clock.monotonic()][0] + 2:
                tries_s.append(c.clock.monotonic())
                raise ClusterError("not now")
            return await update(self, deal_id, change, transition=transition)  # type: ignore[arg-type]

        monkeypatch.setattr(Access, "update", not_yet)
        lose(c, "E003")
        await c.settle(90)
        assert len(tries_s) > 1
        assert access_of(c) is access
        assert bans(c) == {"E003": 1}

    in_virtual_time(story, CHARGES, a_policy(4, **FIXED))


def test_no_ban_is_for_good() -> None:
    assert [ban_s(losses, 600) for losses in (1, 2, 3)] == [600, 1200, 2400]
    assert ban_s(1000, 600) < 86_400
