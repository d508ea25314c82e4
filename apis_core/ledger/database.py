"""The synchronous core of the ledger: one writer, one transaction a record, durable when a method returns."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from .. import sqlite_file
from ..model.converter import Reading
from ..model.deal import TIME_FIELDS, Deal, SideEnergy
from ..model.errors import ErrorReport, LedgerError
from ..model.times import format_time, parse_time
from ..rules.lifecycle import state as state_of
from . import schema

READINGS_BATCH = 60
# A day of two units that are read each five seconds, while the disk takes nothing.
READINGS_KEPT = 40_000


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


class LedgerDatabase:
    """A database that any number of units of one process write to. Not for several threads at once.

    SQLite files are in WAL mode with synchronous=FULL: what was committed survives a power cut.
    """

    def __init__(self, url: str = "sqlite://") -> None:
        """Open, and bring the schema up to date; the default is in memory.

        Raises:
            LedgerError: if the database cannot be opened or is newer than this program.

        """
        try:
            self._engine = sa.create_engine(url, poolclass=sa.StaticPool, connect_args=self._connect_args(url))
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _set_pragmas)
            _bring_up_to_date(self._engine)
        except sa.exc.SQLAlchemyError as error:
            raise LedgerError(f"ledger {url}: {error}") from error
        self._dialect = _dialect_of(self._engine.dialect.name)
        tables = (schema.deals, schema.transitions, schema.energy, schema.states)
        self._upserts = {table.name: self._upsert_statement(table) for table in tables}
        self._readings: list[dict[str, Any]] = []
        self.trouble = ""

    @staticmethod
    def _connect_args(url: str) -> dict[str, Any]:
        # The one writer may be a thread of its own; it is still one at a time.
        return {"check_same_thread": False} if url.startswith("sqlite") else {}

    def record_deal(self, unit_id: str, deal: Deal, account: Mapping[str, Any] | None) -> Deal:
        """A unit's copy of a deal with its transitions and energy, and (if given) the unit's account, in one transaction; the copy."""
        with self._begin() as connection:
            stored = self._stored_deal(connection, unit_id, deal.deal_id)
            deal = _newest(stored, deal)
            self._upsert(connection, schema.deals, [_deal_row(unit_id, deal)])
            self._upsert(connection, schema.transitions, _transition_rows(unit_id, deal))
            self._upsert(connection, schema.energy, _energy_rows(unit_id, deal))
            if account is not None:
                self._set_state(connection, unit_id, "account", account)
        return deal

    def record_reading(self, reading: Reading) -> None:
        """A reading, kept back until a batch is full."""
        meter = reading.converter.meter
        self._readings.append(
            {
                "unit_id": reading.unit_id,
                "time": format_time(reading.time, None),
                "state_of_charge_pct": reading.battery.state_of_charge_pct,
                "mode": reading.converter.mode_code,
                "grid_voltage_v": meter.grid_voltage_v,
                "grid_current_a": meter.grid_current_a,
                "grid_power_w": meter.grid_power_w,
                "battery_power_w": meter.battery_power_w,
            }
        )
        if len(self._readings) >= READINGS_BATCH or self.trouble:
            # While nothing can be written, each reading is a try.
            self.flush()

    def flush(self) -> None:
        """Write the readings that are kept back; what cannot be written is kept for the next try, the newest of it."""
        rows, self._readings = self._readings, []
        if not rows:
            return
        try:
            with self._begin() as connection:
                connection.execute(sa.insert(schema.readings), rows)
        except LedgerError:
            self._readings = rows[-READINGS_KEPT:]
            raise

    def record_error(self, unit_id: str, report: ErrorReport, time: datetime) -> None:
        """An error as a unit saw it."""
        row = {
            "unit_id": unit_id,
            "time": format_time(time, None),
            "of_unit_id": report.unit_id,
            "category": str(report.category),
            "extent": str(report.extent),
            "level": str(report.level),
            "message": report.message,
        }
        with self._begin() as connection:
            connection.execute(sa.insert(schema.errors), [row])

    def record_mode(self, unit_id: str, scope: str, mode: str | None, who: str, time: datetime) -> None:
        """A mode change as a unit saw it."""
        row = {"unit_id": unit_id, "time": format_time(time, None), "scope": scope, "mode": mode, "who": who}
        with self._begin() as connection:
            connection.execute(sa.insert(schema.modes), [row])

    def record_scenario(self, unit_id: str, scenario: Mapping[str, Any], who: str, time: datetime) -> None:
        """A new version of a unit's scenario."""
        row = {"unit_id": unit_id, "time": format_time(time, None), "who": who, "content": orjson.dumps(scenario).decode()}
        with self._begin() as connection:
            connection.execute(sa.insert(schema.scenarios), [row])

    def scenarios(self, unit_id: str) -> tuple[dict[str, Any], ...]:
        """The versions of a unit's scenario, oldest first."""
        table = schema.scenarios
        query = sa.select(table.c.time, table.c.who, table.c.content).where(table.c.unit_id == unit_id).order_by(table.c.time)
        with self._reading() as connection:
            return tuple(
                {"time": parse_time(time, None).isoformat(), "who": who, "scenario": orjson.loads(content)}
                for time, who, content in connection.execute(query)
            )

    def deals(self, unit_id: str, start: datetime | None = None, end: datetime | None = None) -> tuple[Deal, ...]:
        """A unit's deals created from `start` (included) to `end` (excluded), oldest first."""
        table = schema.deals
        query = sa.select(table.c.record).where(table.c.unit_id == unit_id).order_by(table.c.create_time, table.c.deal_id)
        if start is not None:
            query = query.where(table.c.create_time >= format_time(start, None))
        if end is not None:
            query = query.where(table.c.create_time < format_time(end, None))
        with self._reading() as connection:
            return tuple(Deal.from_json(orjson.loads(text)) for text in connection.scalars(query))

    def open_deals(self, unit_id: str) -> tuple[Deal, ...]:
        """A unit's deals that have not ended, oldest first."""
        table = schema.deals
        query = sa.select(table.c.record).where(table.c.unit_id == unit_id, table.c.state != "ended")
        with self._reading() as connection:
            found = connection.scalars(query.order_by(table.c.create_time, table.c.deal_id))
            return tuple(Deal.from_json(orjson.loads(text)) for text in found)

    def unit_ids(self) -> tuple[str, ...]:
        """The units that have deals here."""
        with self._reading() as connection:
            return tuple(connection.scalars(sa.select(schema.deals.c.unit_id).distinct().order_by(schema.deals.c.unit_id)))

    def checkpoint(self, hold: bool = False) -> None:
        """Write out what is kept back, and bring it all into the one file; `hold`: that stays as it is then, for whoever copies it.

        Raises:
            LedgerError: if it cannot be written.

        """
        self.flush()
        if self._engine.dialect.name == "sqlite":
            with self._begin() as connection:
                for statement in sqlite_file.bringing_in(hold=hold):
                    connection.exec_driver_sql(statement)

    def energy(self, unit_id: str) -> dict[str, SideEnergy]:
        """A unit's own counters of its deals that have not ended."""
        table = schema.energy
        ended = sa.select(schema.deals.c.deal_id).where(schema.deals.c.unit_id == unit_id, schema.deals.c.state == "ended")
        query = sa.select(table).where(table.c.unit_id == unit_id, table.c.of_unit_id == unit_id, table.c.deal_id.not_in(ended))
        with self._reading() as connection:
            return {
                row.deal_id: SideEnergy(row.battery_wh, row.grid_wh, row.estimated_wh, row.sequence) for row in connection.execute(query)
            }

    def errors(self, unit_id: str) -> tuple[tuple[str, ErrorReport], ...]:
        """A unit's errors with their times, oldest first."""
        table = schema.errors
        with self._reading() as connection:
            rows = connection.execute(sa.select(table).where(table.c.unit_id == unit_id).order_by(table.c.id))
            return tuple(
                (
                    row.time,
                    ErrorReport.from_json(
                        {
                            "unitId": row.of_unit_id,
                            "category": row.category,
                            "extent": row.extent,
                            "level": row.level,
                            "message": row.message,
                        }
                    ),
                )
                for row in rows
            )

    def state(self, unit_id: str, key: str) -> dict[str, Any] | None:
        """A value a unit remembers."""
        table = schema.states
        query = sa.select(table.c.value).where(table.c.unit_id == unit_id, table.c.key == key)
        with self._reading() as connection:
            text = connection.scalar(query)
        return None if text is None else dict(orjson.loads(text))

    def set_state(self, unit_id: str, key: str, value: Mapping[str, Any]) -> None:
        """Remember a value for a unit."""
        with self._begin() as connection:
            self._set_state(connection, unit_id, key, value)

    def close(self) -> None:
        """Write out what is kept back and let go of the database."""
        self.flush()
        self._engine.dispose()

    def _begin(self) -> _Transaction:
        return _Transaction(self._engine, self._note)

    def _reading(self) -> _Transaction:
        """A transaction that only reads: that it works says nothing of whether anything can be kept."""
        return _Transaction(self._engine, lambda trouble: self._note(trouble) if trouble else None)

    def _note(self, trouble: str) -> None:
        self.trouble = trouble

    def _set_state(self, connection: sa.Connection, unit_id: str, key: str, value: Mapping[str, Any]) -> None:
        self._upsert(connection, schema.states, [{"unit_id": unit_id, "key": key, "value": orjson.dumps(value).decode()}])

    def _stored_deal(self, connection: sa.Connection, unit_id: str, deal_id: str) -> Deal | None:
        table = schema.deals
        text = connection.scalar(sa.select(table.c.record).where(table.c.unit_id == unit_id, table.c.deal_id == deal_id))
        return None if text is None else Deal.from_json(orjson.loads(text))

    def _upsert(self, connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
        listed = list(rows)
        if listed:
            connection.execute(self._upserts[table.name], listed)

    def _upsert_statement(self, table: sa.Table) -> sa.Executable:
        keys = {column.name for column in table.primary_key}
        statement: Any = self._dialect.insert(table)
        values = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
        upsert: sa.ClauseElement = statement.on_conflict_do_update(index_elements=sorted(keys), set_=values)
        # SQLAlchemy compiles an upsert anew each time it is executed, which costs more than the write; a text it keeps.
        return sa.text(str(upsert.compile(dialect=self._dialect.dialect(paramstyle="named"))))


def _dialect_of(name: str) -> Any:
    if name == "postgresql":
        from sqlalchemy.dialects import postgresql  # most ledgers are SQLite files and never need it

        return postgresql
    return sqlite


class _Transaction:
    """One transaction whose failures are ours."""

    def __init__(self, engine: sa.Engine, tell: Callable[[str], None]) -> None:
        """`tell` gets what went wrong, or an empty text if it is on disk."""
        self._context = engine.begin()
        self._tell = tell

    def __enter__(self) -> sa.Connection:
        try:
            return self._context.__enter__()
        except sa.exc.SQLAlchemyError as error:
            raise self._failed(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._context.__exit__(kind, error, trace)
        except sa.exc.SQLAlchemyError as failure:
            raise self._failed(failure) from failure
        if isinstance(error, sa.exc.SQLAlchemyError):
            raise self._failed(error) from error
        if error is None:
            self._tell("")

    def _failed(self, error: sa.exc.SQLAlchemyError) -> LedgerError:
        text = str(getattr(error, "orig", None) or error)
        self._tell(text)
        return LedgerError(f"ledger: {text}")


def _set_pragmas(connection: Any, _record: Any) -> None:
    for statement in sqlite_file.OPENING:
        connection.execute(statement)


def _bring_up_to_date(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table(schema.version.name):
            schema.metadata.create_all(connection)
            schema.version.create(connection)
            connection.execute(sa.insert(schema.version), [{"version_num": schema.REVISION}])
            return
        found = connection.scalar(sa.select(schema.version.c.version_num))
    if found != schema.REVISION:
        from .migrate import upgrade

        upgrade(engine)


def _newest(stored: Deal | None, deal: Deal) -> Deal:
    """`deal`, unless what is stored is of a later Grid Master or has ended already; counters never fall either way."""
    if stored is None:
        return deal
    energy = {unit_id: stored.side_energy(unit_id).merged(deal.side_energy(unit_id)) for unit_id in {*stored.energy, *deal.energy}}
    older = deal.epoch < stored.epoch or (stored.is_ended and not deal.is_ended)
    base = stored if older else deal
    return base.changed(energy=energy, cumulate_amount_wh=max(stored.cumulate_amount_wh, deal.cumulate_amount_wh))


def _deal_row(unit_id: str, deal: Deal) -> dict[str, Any]:
    return {
        "unit_id": unit_id,
        "deal_id": deal.deal_id,
        "state": str(state_of(deal)),
        "create_time": format_time(deal.create_time, None),
        "discharge_unit_id": deal.discharge_unit_id,
        "charge_unit_id": deal.charge_unit_id,
        "amount_wh": deal.amount_wh,
        "cumulate_amount_wh": deal.cumulate_amount_wh,
        "record": orjson.dumps(deal.to_json()).decode(),
    }


def _transition_rows(unit_id: str, deal: Deal) -> list[dict[str, Any]]:
    found = [(key.removesuffix("DateTime"), getattr(deal, name), "") for key, name in TIME_FIELDS.items() if key != "cumulateDateTime"]
    found += [("reset", mark.time, mark.reason) for mark in deal.resets]
    found += [("abort", mark.time, mark.reason) for mark in deal.aborts]
    named = {(name, time): reason for name, time, reason in found if time is not None}
    return [
        {
            "unit_id": unit_id,
            "deal_id": deal.deal_id,
            "name": name,
            "time": format_time(time, None),
            "reason": reason,
            "epoch": deal.epoch,
        }
        for (name, time), reason in named.items()
    ]


def _energy_rows(unit_id: str, deal: Deal) -> list[dict[str, Any]]:
    rows = []
    for of_unit_id, energy in deal.energy.items():
        side = deal.side_of(of_unit_id)
        if side is not None:
            rows.append(
                {
                    "unit_id": unit_id,
                    "deal_id": deal.deal_id,
                    "of_unit_id": of_unit_id,
                    "side": str(side),
                    "battery_wh": energy.battery_wh,
                    "grid_wh": energy.grid_wh,
                    "loss_wh": energy.loss_wh,
                    "estimated_wh": energy.estimated_wh,
                    "points": -side.sign * deal.points(),
                    "sequence": energy.sequence,
                }
            )
    return rows
