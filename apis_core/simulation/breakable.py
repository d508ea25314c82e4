"""What of a unit itself can go wrong in a run: its clock and its disk."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ..clock import VirtualClock
from ..ledger.unit_ledger import UnitLedger
from ..model.deal import Deal
from ..model.errors import LedgerError
from ..unit.controller import ACCOUNT
from .books import Acknowledged


class SteppingClock(VirtualClock):
    """A unit's clock whose time of day can be wrong; what it measures spans with is not."""

    offset = timedelta()
    # So much too fast it goes since a moment [s/s, s].
    drift, since_s = 0.0, 0.0

    def now(self) -> datetime:
        """See Clock."""
        return super().now() + self.offset + timedelta(seconds=self.drift * (self.monotonic() - self.since_s))

    def go_wrong(self, drift: float) -> None:
        """From now on it goes too fast, or too slow; with 0 it is set right and goes right again."""
        self.drift, self.since_s = drift, self.monotonic()


class FullDisk(UnitLedger):
    """A ledger whose disk may take nothing, or whose process may end in the midst of a write."""

    is_full = False
    # Ends the process: before a write, or with the write done and nobody told.
    tear: Callable[[], None] | None = None
    tears_late = False
    # What it has said is written; outlives it.
    acknowledged: Acknowledged

    @property
    def trouble(self) -> str:
        """See Ledger."""
        return "the disk is full" if self.is_full else super().trouble

    async def record_deal(self, deal: Deal, account: dict[str, Any] | None = None) -> Deal:
        """See Ledger."""
        self._fail()
        written = await super().record_deal(deal, account)
        self.acknowledged.deals[deal.deal_id] = written
        if account is not None:
            self.acknowledged.states[ACCOUNT] = account
        self._fail_late()
        return written

    async def set_state(self, key: str, value: dict[str, Any]) -> None:
        """See Ledger."""
        self._fail()
        await super().set_state(key, value)
        self.acknowledged.states[key] = value
        self._fail_late()

    async def expect_all(self, unit_id: str) -> str | None:
        """What had been acknowledged and is not there any more, or None."""
        states = {key: await self.state(key) for key in self.acknowledged.states}
        return self.acknowledged.lost(unit_id, await self.deals(), states)

    def _fail_late(self) -> None:
        if self.tear is not None:
            tear, self.tear = self.tear, None
            tear()
            raise LedgerError("the process ended before it could say that it had written")

    def _fail(self) -> None:
        if self.tear is not None and not self.tears_late:
            tear, self.tear = self.tear, None
            tear()
            raise LedgerError("the process ended while it wrote")
        if self.is_full:
            raise LedgerError("the disk is full")
