"""What follows an error: two extents, four categories and every level, on a line where two deals run."""

import pytest

from apis_core.model.errors import Category, CommandRefusedError, ErrorReport, Extent, Level
from apis_core.model.modes import OperationMode
from tests.builders import VirtualCommunity, a_policy, in_virtual_time
from tests.test_failures import CHARGES, Line, all_in_wait, ended, two_deals
from tests.test_stories import create

CASES = [
    *((extent, category, Level.ERROR) for extent in (Extent.LOCAL, Extent.GLOBAL) for category in Category if category != "UNKNOWN"),
    *((extent, Category.LOGIC, level) for extent in (Extent.LOCAL, Extent.GLOBAL) for level in (Level.WARN, Level.FATAL, Level.UNKNOWN)),
]


@pytest.mark.parametrize(("extent", "category", "level"), CASES)
def test_what_follows_an_error(extent: Extent, category: Category, level: Level) -> None:
    async def story(c: VirtualCommunity) -> None:
        own, other = await two_deals(c, ("E002", "E003"), ("E001", "E004"))
        line, role = Line(c), c.community.snapshot_now().grid_master
        report = ErrorReport("E002", category, extent, level, "something is wrong")
        if extent is Extent.LOCAL:
            c.community.nodes["E002"].errors.report(report)
        else:
            assert role is not None
            master = c.community.nodes[role].role.master
            assert master is not None
            await master.react(report)
        await c.settle(20)
        refused = c.community.nodes["E002"].unwilling(OperationMode.HETERONOMOUS)
        assert (refused is None) is (level is Level.WARN)
        found = await ended(c)
        mine, theirs = found[own.deal_id], found[other.deal_id]
        latched = extent is Extent.GLOBAL and (level is Level.FATAL or (category is Category.HARDWARE and level is not Level.WARN))
        scrammed = latched and level is not Level.FATAL
        assert mine.is_completed is (level is Level.WARN)
        assert (mine.scram_reason is not None) is scrammed
        assert (theirs.scram_reason is not None) is scrammed
        if not scrammed:
            assert theirs.is_completed is not latched, theirs
        if not scrammed and level is not Level.WARN:
            expected = "stop" if latched else "something is wrong"
            assert expected in str(mine.abort_reason)
        assert c.community.board.mode is (OperationMode.STOP if latched else OperationMode.HETERONOMOUS)
        if latched:
            stored = c.community.board.value("mode") or {}
            assert (stored["who"], stored["reason"]) == ("E002", "something is wrong")
        closes = extent is Extent.LOCAL and level is Level.FATAL
        assert ("E002" in c.community.dead) is closes
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        assert all(
            any(e == report for _, e in c.database.errors(unit)) for unit in ([role] if extent is Extent.GLOBAL else ["E002"]) if unit
        )
        line.task.cancel()
        if latched:
            await c.community.set_mode(OperationMode.HETERONOMOUS, None, "a person")
        await c.settle(40)
        again = await create(c, "E001", "E003", 5)
        assert (await ended(c))[again.deal_id].is_completed

    in_virtual_time(story, CHARGES, a_policy())


def test_a_ledger_that_takes_nothing_ends_the_units_sharing_until_it_does() -> None:
    async def story(c: VirtualCommunity) -> None:
        await two_deals(c)
        line = Line(c)
        with c.database._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        end_s = c.clock.monotonic() + 1800
        while not c.database.trouble:
            assert c.clock.monotonic() < end_s
            await c.settle(1)
        assert "full" in c.database.trouble
        await c.settle(120)
        assert all_in_wait(c)
        assert line.longest_unheld_s == 0
        said = [event.message for event in c.community.events if event.kind == "error" and "full" in event.message]
        assert len(said) <= 2 * len(CHARGES), said
        with pytest.raises(CommandRefusedError, match="could not be kept: database or disk is full"):
            await create(c, "E002", "E003", 5)
        with c.database._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        await ended(c)
        assert c.database.trouble == ""
        await c.settle(40)
        again = await create(c, "E002", "E003", 5)
        assert (await ended(c))[again.deal_id].is_completed
        line.task.cancel()

    in_virtual_time(story, CHARGES, a_policy())
