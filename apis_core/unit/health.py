"""Keeps account of when its unit could not share, and asks its driver how it is; an accelerated clock has no outages."""

from collections.abc import Awaitable, Callable

from ..model.errors import DriverError, LedgerError
from ..ports import Clock, Json, Ledger
from ..rules.outages import DAYS, Cause, Record, looked, shares

PERIOD_S = 60.0
KEY = "health"


class Health:
    """One unit's record, kept in its ledger."""

    def __init__(self, ledger: Ledger, clock: Clock, look: Callable[[], Cause | None], ask: Callable[[], Awaitable[Json]]) -> None:
        """`look`: why the unit cannot share now. `ask`: how its driver is."""
        # What its driver said of itself last; empty where it says nothing, or does not answer.
        self.driver: Json = {}
        self._ask = ask
        self._ledger = ledger
        self._clock = clock
        self._look = look
        self._record: Record | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the clock is that of the day."""
        return not self._clock.is_quiet and self._clock.to_wall(1.0) == 1.0

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while self.is_kept:
            await self._take(self._look())
            try:
                self.driver = await self._ask()
            except DriverError:
                self.driver = {}
            await self._clock.sleep_wall(PERIOD_S)

    async def close(self) -> None:
        """The unit ends in order: that it is away then is meant so."""
        if self._record is not None:
            await self._keep(Record(self._record.since, self._clock.now(), self._record.outages, is_closed=True))

    def shares(self) -> dict[str, dict[str, float]]:
        """Parts of the last days, by their number: see rules.outages.shares."""
        record = self._record
        if record is None:
            return {}
        found = {str(days): shares(record, self._clock.now(), days) for days in DAYS}
        return {days: parts for days, parts in found.items() if parts is not None}

    async def _take(self, cause: Cause | None) -> None:
        if self._record is None:
            stored = await self._ledger.state(KEY)
            self._record = None if stored is None else Record.from_json(stored)
        await self._keep(looked(self._record, self._clock.now(), cause))

    async def _keep(self, record: Record) -> None:
        self._record = record
        try:
            await self._ledger.set_state(KEY, record.to_json())
        except LedgerError:
            # The ledger's trouble is told by whoever needs it; the next look writes all of it again.
            return
