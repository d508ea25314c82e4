"""One unit's ledger on a database that it shares with the other units of its process.

In a house the database works in a thread of its own; in virtual time it is called directly, because a thread would hide
time from the virtual clock.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from functools import partial

from ..model.converter import Reading
from ..model.deal import Deal, SideEnergy
from ..model.errors import ErrorReport
from ..ports import Json
from .database import LedgerDatabase


class LedgerWriter:
    """The one writer of a database."""

    def __init__(self, database: LedgerDatabase, *, threaded: bool) -> None:
        """`threaded`: work off the event loop."""
        self.database = database
        self._executor: Executor | None = ThreadPoolExecutor(1, "ledger") if threaded else None

    async def run[T](self, work: Callable[[], T]) -> T:
        """Do one piece of work in turn; a caller that is cancelled does not undo it."""
        if self._executor is None:
            return work()
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, work))

    async def checkpoint(self, hold: bool) -> None:
        """See LedgerDatabase."""
        await self.run(partial(self.database.checkpoint, hold))

    async def close(self) -> None:
        """Finish what was begun and close the database."""
        await self.run(self.database.close)
        if self._executor is not None:
            self._executor.shutdown(wait=False)


class UnitLedger:
    """See Ledger."""

    def __init__(self, writer: LedgerWriter, unit_id: str) -> None:
        """Rows are the unit's."""
        self._writer = writer
        self._database = writer.database
        self._unit_id = unit_id

    @property
    def trouble(self) -> str:
        """See Ledger."""
        return self._database.trouble

    async def record_deal(self, deal: Deal, account: Json | None = None) -> Deal:
        """See Ledger."""
        return await self._writer.run(lambda: self._database.record_deal(self._unit_id, deal, account))

    async def record_reading(self, reading: Reading) -> None:
        """See Ledger."""
        await self._writer.run(lambda: self._database.record_reading(reading))

    async def record_error(self, report: ErrorReport, time: datetime) -> None:
        """See Ledger."""
        await self._writer.run(lambda: self._database.record_error(self._unit_id, report, time))

    async def record_mode(self, scope: str, mode: str | None, who: str, time: datetime) -> None:
        """See Ledger."""
        await self._writer.run(lambda: self._database.record_mode(self._unit_id, scope, mode, who, time))

    async def record_scenario(self, scenario: Json, who: str, time: datetime) -> None:
        """See Ledger."""
        await self._writer.run(lambda: self._database.record_scenario(self._unit_id, scenario, who, time))

    async def scenarios(self) -> tuple[Json, ...]:
        """See Ledger."""
        return await self._writer.run(lambda: self._database.scenarios(self._unit_id))

    async def deals(self, start: datetime | None = None, end: datetime | None = None) -> tuple[Deal, ...]:
        """See Ledger."""
        return await self._writer.run(lambda: self._database.deals(self._unit_id, start, end))

    async def open_deals(self) -> tuple[Deal, ...]:
        """See Ledger."""
        return await self._writer.run(lambda: self._database.open_deals(self._unit_id))

    async def energy(self) -> Mapping[str, SideEnergy]:
        """See Ledger."""
        return await self._writer.run(lambda: self._database.energy(self._unit_id))

    async def state(self, key: str) -> Json | None:
        """See Ledger."""
        return await self._writer.run(lambda: self._database.state(self._unit_id, key))

    async def set_state(self, key: str, value: Json) -> None:
        """See Ledger."""
        await self._writer.run(lambda: self._database.set_state(self._unit_id, key, value))

    async def flush(self) -> None:
        """See Ledger."""
        await self._writer.run(self._database.flush)
