"""A unit's errors: every one is recorded; the unit's own have consequences for its deals and its converter."""

import asyncio
from collections.abc import Awaitable, Callable
import logging

from ..model.errors import ErrorReport, Extent, LedgerError, Level
from ..ports import Clock, Cluster, Ledger
from ..rules.reactions import Reaction, reactions

_LOGGER = logging.getLogger(__name__)
QUEUE_LENGTH = 1000


class ErrorDesk:
    """Takes reports at once and deals with them in order."""

    def __init__(self, unit_id: str, cluster: Cluster, ledger: Ledger, clock: Clock) -> None:
        """Nothing is wrong yet."""
        self._unit_id = unit_id
        self._cluster = cluster
        self._ledger = ledger
        self._clock = clock
        self._queue: asyncio.Queue[ErrorReport] = asyncio.Queue(QUEUE_LENGTH)
        self._last_error_s = float("-inf")
        self.dropped = 0
        self.listeners: list[Callable[[ErrorReport], None]] = []

    def report(self, report: ErrorReport) -> None:
        """Take a report; never blocks."""
        if report.level is not Level.WARN and report.extent is Extent.LOCAL and report.unit_id == self._unit_id:
            self._last_error_s = self._clock.monotonic()
        for listener in self.listeners:
            listener(report)
        try:
            self._queue.put_nowait(report)
        except asyncio.QueueFull:
            self.dropped += 1

    def has_errors(self, sustaining_s: float) -> bool:
        """Whether the unit had an error of its own within the sustain time."""
        return self._clock.monotonic() - self._last_error_s < sustaining_s

    async def run(self, react: Callable[[Reaction, ErrorReport], Awaitable[None]]) -> None:
        """React and record until cancelled; the same report again while it is dealt with is only recorded."""
        while True:
            report = await self._queue.get()
            level = logging.WARNING if report.level is Level.WARN else logging.ERROR
            _LOGGER.log(level, "%s", report)
            if report.unit_id == self._unit_id and report.extent is Extent.LOCAL:
                for reaction in reactions(report):
                    if reaction is not Reaction.RECORD:
                        await react(reaction, report)
            await self._record(report)
            await self._drop_repeats(report)

    async def _drop_repeats(self, dealt_with: ErrorReport) -> None:
        waiting = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        for report in waiting:
            if report == dealt_with:
                await self._record(report)
            else:
                self._queue.put_nowait(report)

    async def _record(self, report: ErrorReport) -> None:
        """What cannot be written down is logged; protecting the unit does not depend on its ledger."""
        try:
            await self._ledger.record_error(report, self._clock.now())
        except LedgerError as error:
            _LOGGER.error("%s: not recorded: %s", report, error)
