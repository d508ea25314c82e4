"""Tells of what happens in a community: each step of its deals, its modes and leaders, errors and notices, once and in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime
from typing import Any

from .model.deal import Deal
from .model.errors import ErrorReport
from .model.view import Event
from .ports import Clock
from .rules.lifecycle import DealState, state as state_of
from .rules.statement import Totals, of_deal
from .unit.board import LEASE, Board

EVENTS_KEPT = 1000
SUBSCRIBER_QUEUE = 1000


class Herald:
    """What was told is kept for a while; `totals` and `last_errors` are by unit."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has happened."""
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.grid_master_changes = 0
        self.totals: dict[str, Totals] = {}
        self.last_errors: dict[str, str] = {}
        self._clock = clock
        self._subscribers: list[asyncio.Queue[Event]] = []
        self._states: dict[str, DealState] = {}
        self._counted: set[str] = set()
        self._quarters: dict[str, int] = {}
        self._mode = ""
        self._grid_master: str | None = None
        # Grows over restarts too, so that whoever has seen an event can ask for what came after it.
        self._sequence = int(clock.now().timestamp() * 1000)

    async def subscribe(self, after: int | None = None) -> AsyncGenerator[Event]:
        """Every event from now on, or what is kept of those after one that was seen. A listener that does not keep up loses the oldest."""
        queue: asyncio.Queue[Event] = asyncio.Queue(SUBSCRIBER_QUEUE)
        missed = [event for event in self.events if after is not None and event.sequence > after]
        self._subscribers.append(queue)
        try:
            for event in missed:
                yield event
            while True:
                yield await queue.get()
        finally:
            self._subscribers.remove(queue)

    def look(self, board: Board) -> None:
        """Tell of what has changed on the board since the last look."""
        now = self._clock.now()
        for deal in board.deals():
            state = state_of(deal)
            if deal.is_ended:
                self.count(deal)
            self._tell_progress(deal, state, now)
            if self._states.get(deal.deal_id) is not state:
                self._states[deal.deal_id] = state
                self.tell(Event("deal", now, _deal_line(deal, state), deal.request_unit_id, {"state": state, "deal": deal.to_json()}))
        if board.mode != self._mode:
            self._mode = str(board.mode)
            self.tell(Event("mode", now, f"mode {self._mode}"))
        master = (board.value(LEASE) or {}).get("holder") or None
        if master is not None and master != self._grid_master:
            self.grid_master_changes += self._grid_master is not None
            self._grid_master = master
            self.tell(Event("grid_master", now, f"{master} is Grid Master", master))

    def _tell_progress(self, deal: Deal, state: DealState, now: datetime) -> None:
        """Each quarter of a deal, once."""
        if state is DealState.ENDED:
            self._quarters.pop(deal.deal_id, None)
            return
        quarter = min(3, int(4 * deal.cumulate_amount_wh / deal.amount_wh))
        before = self._quarters.setdefault(deal.deal_id, quarter)
        if quarter > before:
            self._quarters[deal.deal_id] = quarter
            text = f"{deal.discharge_unit_id} → {deal.charge_unit_id} {deal.amount_wh} Wh: {25 * quarter} %"
            data = {"percent": 25 * quarter, "deal": deal.to_json()}
            self.tell(Event("progress", now, text, deal.request_unit_id, data))

    def count(self, deal: Deal) -> None:
        """Add an ended deal to its units' totals, once."""
        if deal.deal_id in self._counted:
            return
        self._counted.add(deal.deal_id)
        for unit_id in deal.unit_ids:
            self.totals[unit_id] = self.totals.get(unit_id, Totals()) + of_deal(unit_id, deal)

    def shared_wh(self) -> float:
        """What all deals that have ended have brought the line, also those of units that have gone [Wh]."""
        return sum(totals.shared_wh for totals in self.totals.values())

    def on_error(self, report: ErrorReport) -> None:
        """A unit has reported an error."""
        self.last_errors[report.unit_id] = report.message
        self.tell(Event("error", self._clock.now(), str(report), report.unit_id, report.to_json()))

    def tell(self, event: Event) -> None:
        """Keep an event, and hand it to whoever listens."""
        self._sequence += 1
        event = replace(event, sequence=self._sequence)
        self.events.append(event)
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)


def _deal_line(deal: Deal, state: DealState) -> str:
    text = f"{deal.discharge_unit_id} → {deal.charge_unit_id} {deal.amount_wh} Wh: {state}"
    if state is DealState.ENDED:
        text += f" with {deal.cumulate_amount_wh:.1f} Wh"
        reason: Any = deal.scram_reason or deal.abort_reason
        text += f" ({reason})" if reason else ""
    return text
