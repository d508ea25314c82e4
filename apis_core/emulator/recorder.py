"""What an emulation leaves behind: the state of each unit at regular times, and a summary of each day (hardware reference 1.10).

Rows are written as they come: memory does not grow with the time that is emulated.
"""

from collections.abc import Sequence
import csv
from datetime import date
import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa

from ..model.errors import ConfigError, Problem
from ..model.times import ORIGINAL_FORM
from .engine import Engine
from .shares import shares

INDIVIDUAL = (
    "id", "time", "oesunit_id", "emu_rsoc", "emu_pvc_charge_power", "emu_ups_output_power", "charge_discharge_power",
    "dcdc_meter_wg", "dcdc_powermeter_p2",
)  # fmt: skip
SUMMED = ("pv", "demand", "acin", "wasted", "acloss", "dcloss", "loss", "wg")
SUMMARY = (
    "time", "pv", "demand", "acin", "wasted", "acloss", "dcloss", "loss", "avgrsoc", "wg", "deltaBatt", "ssr_real", "ssr_pv", "sor",
    "r_utility",
)  # fmt: skip
BATCH = 5000


class Sink(Protocol):
    """Where rows go."""

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Some rows more."""

    def close(self) -> None:
        """No more rows."""


class CsvSink:
    """A CSV file."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        """Begin it anew."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: io.TextIOWrapper = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(header)

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """See Sink."""
        self._writer.writerows(rows)
        self._file.flush()

    def close(self) -> None:
        """See Sink."""
        self._file.close()


class DatabaseSink:
    """A table `emulator_units` in any database SQLAlchemy knows."""

    def __init__(self, url: str) -> None:
        """Make the table if it is not there. Raises ConfigError if the database cannot be used."""
        numbers = [sa.Column(name, sa.Float, nullable=False) for name in INDIVIDUAL[3:]]
        columns = (
            sa.Column("id", sa.BigInteger, nullable=False),
            sa.Column("time", sa.String(32), nullable=False),
            sa.Column("oesunit_id", sa.String(32), nullable=False),
        )
        self._table = sa.Table("emulator_units", sa.MetaData(), *columns, *numbers)
        try:
            self._engine = sa.create_engine(url)
            self._table.metadata.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise ConfigError((Problem("individual", str(error), "a database that can be written to"),)) from error

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """See Sink."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(self._table), [dict(zip(INDIVIDUAL, row, strict=True)) for row in rows])

    def close(self) -> None:
        """See Sink."""
        self._engine.dispose()


class ParquetSink:
    """A Parquet file; needs the extra `parquet`."""

    def __init__(self, path: Path) -> None:
        """Begin it anew. Raises ConfigError where pyarrow is not installed."""
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise ConfigError((Problem("individual", str(path), "the extra `parquet` (pyarrow) for Parquet files"),)) from None
        self._pa = pa
        kinds = [pa.int64(), pa.string(), pa.string(), *[pa.float64()] * len(INDIVIDUAL[3:])]
        self._schema = pa.schema(list(zip(INDIVIDUAL, kinds, strict=True)))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """See Sink."""
        columns = dict(zip(INDIVIDUAL, (list(column) for column in zip(*rows, strict=True)), strict=True))
        self._writer.write_table(self._pa.table(columns, schema=self._schema))

    def close(self) -> None:
        """See Sink."""
        self._writer.close()


def sink_for(target: str) -> Sink:
    """A CSV or Parquet file by its suffix, or a database by its URL. Raises ConfigError."""
    if "://" in target:
        return DatabaseSink(target)
    return ParquetSink(Path(target)) if target.endswith(".parquet") else CsvSink(Path(target), INDIVIDUAL)


class Recorder:
    """Watches an engine."""

    def __init__(self, engine: Engine, individual: Sink | None, summary: Sink | None, interval_s: float) -> None:
        """From now on."""
        self._engine, self._individual, self._summary, self._interval_s = engine, individual, summary, interval_s
        self._rows: list[tuple[Any, ...]] = []
        self._number = 0
        self._next_s = engine.elapsed_s
        self._day: date = engine.now.date()
        self._sums = dict.fromkeys(SUMMED, 0.0)
        self._begun_wh = float(engine.energy_wh.sum())
        self._days: list[tuple[Any, ...]] = []
        self._totals = np.zeros(len(SUMMARY) - 1)
        self._day_count = 0
        engine.observers.append(self._look)

    def _look(self, seconds: float) -> None:
        engine = self._engine
        if self._summary is not None:
            self._add(seconds / 3600)
            if engine.now.date() != self._day:
                self._end_day()
        if self._individual is not None and engine.elapsed_s >= self._next_s:
            self._next_s += self._interval_s * (1 + (engine.elapsed_s - self._next_s) // self._interval_s)
            self._take()

    def _add(self, hours: float) -> None:
        engine, sums = self._engine, self._sums
        for name, values in (
            ("pv", engine.solar_w),
            ("demand", engine.load_w),
            ("acin", engine.mains_w),
            ("wasted", engine.curtailed_w),
            ("acloss", engine.ac_loss_w),
            ("dcloss", engine.dc_loss_w),
            ("wg", np.maximum(engine.grid_power_w, 0.0)),
        ):
            sums[name] += float(values.sum()) * hours
        sums["loss"] = sums["acloss"] + sums["dcloss"]

    def _take(self) -> None:
        engine = self._engine
        time = engine.now.strftime(ORIGINAL_FORM)
        columns = (engine.state_of_charge_pct, engine.solar_w, engine.load_w, np.abs(engine.flow_w), engine.grid_power_w, engine.mains_w)
        numbers = np.round(np.column_stack(columns), 3).tolist()
        for unit_id, values in zip(engine.unit_ids, numbers, strict=True):
            self._rows.append((self._number, time, unit_id, *values))
            self._number += 1
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._individual is not None and self._rows:
            self._individual.write(self._rows)
        self._rows = []

    def _end_day(self) -> None:
        """One line of the summary: energies in whole Wh, ratios to four digits."""
        assert self._summary is not None
        engine, sums = self._engine, self._sums
        energy_wh = float(engine.energy_wh.sum())
        delta_wh, self._begun_wh = energy_wh - self._begun_wh, energy_wh
        demand, pv, acin, wasted = sums["demand"], sums["pv"], sums["acin"], sums["wasted"]
        average_pct = float(engine.state_of_charge_pct.mean())
        ratios = shares(load_wh=demand, solar_wh=pv, curtailed_wh=wasted, mains_wh=acin, stored_wh=delta_wh).values()
        whole = [int(sums[name]) for name in SUMMED[:-1]]
        values = (*whole, round(average_pct, 2), int(sums["wg"]), int(delta_wh), *ratios)
        self._summary.write([(self._day.isoformat(), *values)])
        self._totals += np.array(values, dtype=np.float64)
        self._day_count += 1
        self._day, self._sums = engine.now.date(), dict.fromkeys(SUMMED, 0.0)

    def close(self) -> None:
        """The day that has not ended, then the sums and means of all."""
        self._engine.observers.remove(self._look)
        self._flush()
        if self._individual is not None:
            self._individual.close()
        if self._summary is not None:
            if any(self._sums.values()):
                self._end_day()
            if self._day_count:
                self._summary.write([("sum", *np.round(self._totals, 4).tolist())])
                self._summary.write([("avg", *np.round(self._totals / self._day_count, 4).tolist())])
            self._summary.close()
