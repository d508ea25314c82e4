"""The ledger: what was written is there again, on real SQLite files, also after the process was killed."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import textwrap

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
import pytest
import sqlalchemy as sa

from apis_core.ledger import schema
from apis_core.ledger.database import READINGS_BATCH, LedgerDatabase, sqlite_url
from apis_core.ledger.migrate import upgrade
from apis_core.ledger.unit_ledger import LedgerWriter, UnitLedger
from apis_core.model.converter import Battery, Converter, Reading
from apis_core.model.deal import Mark, SideEnergy
from apis_core.model.errors import Category, ErrorReport, Extent, LedgerError, Level
from tests.builders import NOON, a_deal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_everything_is_there_after_a_restart(path: Path) -> None:
    deal = a_deal(activate_time=NOON, energy={"E003": SideEnergy(20.0, 24.0, 0.0, 4)}, resets=(Mark(NOON, "moved"),))
    error = ErrorReport("E003", Category.HARDWARE, Extent.LOCAL, Level.ERROR, "hot")
    first = LedgerDatabase(sqlite_url(path))
    first.record_deal("E003", deal, {"unattributedWh": {"loss": -1.0}})
    first.record_error("E003", error, NOON)
    first.record_mode("E003", "global", "stop", "me", NOON)
    first.record_scenario("E003", {"a": 1}, "me", NOON)
    first.record_reading(Reading("E003", NOON, 0.0, Converter(), Battery(50.0)))
    first.set_state("E003", "epoch", {"epoch": 7})
    first.close()

    second = LedgerDatabase(sqlite_url(path))
    assert second.deals("E003") == (deal,)
    assert second.deals("E002") == ()
    assert second.energy("E003") == {deal.deal_id: SideEnergy(20.0, 24.0, 0.0, 4)}
    assert second.state("E003", "account") == {"unattributedWh": {"loss": -1.0}}
    assert second.state("E003", "epoch") == {"epoch": 7}
    assert [report for _, report in second.errors("E003")] == [error]
    second.close()
    engine = sa.create_engine(sqlite_url(path))
    with engine.connect() as raw:
        names = raw.execute(sa.select(schema.transitions.c.name).order_by("name")).scalars().all()
        assert names == ["accept", "activate", "create", "request", "reset"]
        assert raw.execute(sa.select(schema.readings.c.state_of_charge_pct)).scalars().all() == [50.0]
        row = raw.execute(sa.select(schema.energy)).one()
        assert (row.side, row.loss_wh, row.points) == ("chargeUnit", 4.0, -0.0)
    engine.dispose()


def test_writing_again_changes_nothing_and_late_copies_never_take_anything_back(path: Path) -> None:
    database = LedgerDatabase(sqlite_url(path))
    running = a_deal(activate_time=NOON, energy={"E003": SideEnergy(10.0, 12.0, 0.0, 2)}, cumulate_amount_wh=10.0)
    ended = running.changed(deactivate_time=NOON, energy={"E003": SideEnergy(50.0, 60.0, 0.0, 9)}, cumulate_amount_wh=50.0)
    for deal in (running, ended, ended, running):
        kept = database.record_deal("E003", deal, None)
    # Who tells a unit of a deal hears what the unit has counted, and not what it was told.
    assert kept == ended
    assert database.deals("E003") == (ended,)
    assert database.energy("E003") == {}
    database.close()


def test_deals_are_found_by_time_from_included_to_excluded(path: Path) -> None:
    database = LedgerDatabase(sqlite_url(path))
    times = [NOON.replace(hour=hour) for hour in (10, 11, 12)]
    for i, time in enumerate(times):
        database.record_deal("E003", a_deal(deal_id=str(i), create_time=time), None)
    assert [deal.deal_id for deal in database.deals("E003", times[0], times[2])] == ["0", "1"]
    database.close()


def test_readings_are_batched(path: Path) -> None:
    database = LedgerDatabase(sqlite_url(path))
    reading = Reading("E003", NOON, 0.0, Converter(), Battery(50.0))
    other = sa.create_engine(sqlite_url(path))

    def count() -> int:
        with other.connect() as raw:
            return raw.scalar(sa.select(sa.func.count()).select_from(schema.readings)) or 0

    for _ in range(READINGS_BATCH - 1):
        database.record_reading(reading)
    assert count() == 0
    database.record_reading(reading)
    assert count() == READINGS_BATCH
    other.dispose()
    database.close()


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    script = f"""
        import os, sys
        from pathlib import Path
        from apis_core.ledger.database import LedgerDatabase, sqlite_url
        from tests.builders import a_deal
        database = LedgerDatabase(sqlite_url(Path({str(path)!r})))
        database.record_deal("E003", a_deal(), None)
        print("durable", flush=True)
        sys.stdin.read()
    """
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"durable\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    process.stdin.close()
    database = LedgerDatabase(sqlite_url(path))
    assert database.deals("E003") == (a_deal(),)
    database.close()


def test_the_file_is_durable_at_each_commit(path: Path) -> None:
    database = LedgerDatabase(sqlite_url(path))
    with database._begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    database.close()


def test_the_migrations_make_the_same_tables_as_the_schema(path: Path) -> None:
    engine = sa.create_engine(sqlite_url(path))
    with engine.begin() as connection:
        schema.version.create(connection)
    upgrade(engine)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        assert connection.scalar(sa.select(schema.version.c.version_num)) == schema.REVISION
    engine.dispose()
    LedgerDatabase(sqlite_url(path)).close()


def test_a_ledger_of_a_newer_program_is_refused_untouched(path: Path) -> None:
    LedgerDatabase(sqlite_url(path)).close()
    engine = sa.create_engine(sqlite_url(path))
    with engine.begin() as connection:
        connection.execute(sa.update(schema.version).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(LedgerError, match="written by a newer version"):
        LedgerDatabase(sqlite_url(path))


def test_a_file_that_is_no_ledger_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match="ledger sqlite"):
        LedgerDatabase(sqlite_url(path))


async def test_the_writer_works_off_the_loop(path: Path) -> None:
    writer = LedgerWriter(LedgerDatabase(sqlite_url(path)), threaded=True)
    ledger = UnitLedger(writer, "E003")
    await ledger.record_deal(a_deal())
    await ledger.record_reading(Reading("E003", NOON, 0.0, Converter(), Battery(50.0)))
    await ledger.flush()
    await ledger.record_mode("local", None, "me", NOON)
    await ledger.record_scenario({}, "me", NOON)
    await ledger.set_state("k", {"v": 1})
    assert await ledger.state("k") == {"v": 1}
    assert await ledger.state("none") is None
    assert await ledger.deals() == (a_deal(),)
    assert await ledger.energy() == {}
    await writer.close()


def test_that_it_can_be_read_does_not_mean_that_a_ledger_can_be_written(tmp_path: Path) -> None:
    database = LedgerDatabase(sqlite_url(tmp_path / "ledger.db"))
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(LedgerError):
        database.set_state("E001", "key", {"value": 1})
    assert database.state("E001", "key") is None
    assert database.trouble
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=0")
    database.set_state("E001", "key", {"value": 1})
    assert not database.trouble
    database.close()
