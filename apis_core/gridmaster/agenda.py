"""When each deal is looked at next: when it is predicted to be complete, or a while after it could not be served."""

import asyncio
from collections.abc import Collection
import math
from typing import Any

from ..model.deal import Deal, Side
from ..rules import energy
from .access import Access

# What could not be done is tried again after this part of the Grid Master's period.
SOON = 1 / 5


class Agenda:
    """All moments are the community's monotonic seconds."""

    def __init__(self, access: Access, wake: asyncio.Event) -> None:
        """Nothing is foreseen. `wake` is set where something is due already."""
        self._access = access
        self._wake = wake
        self._due_s: dict[str, float] = {}
        self._predicted_s: dict[str, float] = {}

    def keep_only(self, deal_ids: Collection[str]) -> None:
        """Forget what was foreseen of deals that are no longer there."""
        self._due_s = {deal_id: due_s for deal_id, due_s in self._due_s.items() if deal_id in deal_ids}

    def clear(self) -> None:
        """Nothing is foreseen any more of any deal."""
        self._due_s.clear()

    def done(self, deal: Deal) -> None:
        """Nothing more is foreseen of a deal."""
        self._due_s.pop(deal.deal_id, None)

    def at(self, deal: Deal, due_s: float) -> None:
        """Look at a deal then."""
        self._due_s[deal.deal_id] = due_s

    def again(self, deal: Deal, periods: float = SOON) -> None:
        """Look at a deal again after so many of the Grid Master's periods."""
        self.at(deal, self._access.clock.monotonic() + periods * self._access.policy.main_loop_period_s)

    def due_s(self, deal: Deal) -> float:
        """When a deal is looked at; no end of it if nothing is foreseen."""
        return self._due_s.get(deal.deal_id, math.inf)

    def has_to_wait(self, deal: Deal) -> bool:
        """Whether a deal's moment is still to come."""
        return deal.deal_id in self._due_s and self._due_s[deal.deal_id] > self._access.clock.monotonic()

    def ahead_s(self, since_s: float) -> list[float]:
        """What is due after a moment: what was due by then and is still there could not be served, and waits for the next event or period."""
        return [due_s for due_s in self._due_s.values() if due_s > since_s]

    def completions_s(self) -> list[float]:
        """When running deals are predicted to be complete."""
        running = {deal.deal_id for deal in self._access.board.deals() if deal.is_started}
        return [due_s for deal_id, due_s in self._due_s.items() if deal_id in running]

    def predict(self, deal: Deal) -> None:
        """When the deal's amount will have been exchanged at the present power."""
        access = self._access
        side = Side(access.policy.reference_side)
        unit_id = deal.unit_on(side)
        reading = access.readings.get(unit_id)
        if not deal.is_started or reading is None:
            return
        power_w = energy.deal_power_w(reading.converter.meter, side.sign, deal.compensated_current_a(unit_id))
        seconds = energy.seconds_to_complete(deal.amount_wh, access.counted_wh(deal), power_w)
        if seconds is None:
            self.done(deal)
        else:
            due_s = reading.monotonic_s + seconds
            self._due_s[deal.deal_id] = access.contacts.complete_s[deal.deal_id] = due_s
            if due_s <= access.clock.monotonic():
                self._wake.set()

    def predict_from_readings(self) -> None:
        """Nobody reads periodically in a quiet run: what a step has read of a unit says when its other deals will be complete."""
        access, side = self._access, Side(self._access.policy.reference_side)
        for deal in access.board.deals():
            reading = access.readings.get(deal.unit_on(side))
            if deal.is_started and reading is not None and reading.monotonic_s > self._predicted_s.get(deal.deal_id, -math.inf):
                self._predicted_s[deal.deal_id] = reading.monotonic_s
                self.predict(deal)

    def memories(self) -> tuple[dict[str, Any], ...]:
        """Everything that is remembered by deal."""
        return self._due_s, self._predicted_s, self._access.contacts.complete_s
