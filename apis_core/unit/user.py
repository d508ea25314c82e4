"""A unit's will: looks at its battery and its scenario, asks the community when it has too much or too little."""

import asyncio
from collections.abc import Callable
import logging
import random

from ..model.deal import Direction
from ..model.errors import ApisError
from ..model.modes import OperationMode
from ..model.negotiation import Decline
from ..ports import Clock
from ..rules import demand, slots
from ..rules.schedule import next_on_grid_s, next_request_s
from ..waiting import wait_for
from .board import Board
from .controller import Controller
from .mediator import Mediator
from .settings import Settings

_LOGGER = logging.getLogger(__name__)


class User:
    """The house-keeping of one unit."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        controller: Controller,
        clock: Clock,
        rng: random.Random,
        willing: Callable[[OperationMode], str | None],
    ) -> None:
        """`willing`: why the unit makes no deal in a mode now, or None."""
        self._settings = settings
        self._board = board
        self._controller = controller
        self._clock = clock
        self._rng = rng
        self._willing = willing
        self._failures = 0
        self._vain: Direction | None = None
        self._mediator: Mediator | None = None
        self.last_decline = ""
        # Set by whoever knows that the unit may want something else now.
        self.wake = asyncio.Event()

    def use(self, mediator: Mediator) -> None:
        """Negotiate through this mediator."""
        self._mediator = mediator

    @property
    def asks_in_vain(self) -> Direction | None:
        """What the unit wanted last, if it found nobody, or no room on the line."""
        return self._vain

    def look_anew(self) -> None:
        """The unit may want something else now: what it asked for in vain is forgotten."""
        self._failures, self._vain = 0, None
        self.wake.set()

    def _would_ask_in_vain(self) -> bool:
        """Whether the unit asked in vain, and it is known that it would do so now as well."""
        if self._vain is None or self._mediator is None:
            return False
        return self._mediator.line_is_full() is not None or self._mediator.is_nobody_there(self._vain.opposite)

    def standing(self) -> demand.Standing | Decline:
        """The unit's position now, or why it cannot be told."""
        unit_id = self._settings.unit_id
        reading = self._controller.usable_reading()
        if reading is None:
            return Decline(unit_id, "the device has not been read for too long")
        remaining_wh = reading.remaining_wh(self._settings.hardware.battery_nominal_capacity_wh)
        if remaining_wh is None:
            return Decline(unit_id, "the device does not say its battery's charge")
        promises = self._mediator.promises() if self._mediator is not None else ()
        deals, counted = self._board.own_deals(unit_id), self._controller.account.deals
        return demand.Standing(
            unit_id=unit_id,
            time=reading.time,
            zone=self._settings.zone,
            remaining_wh=remaining_wh,
            promised_wh=slots.promised_wh(unit_id, deals, promises, counted),
            permission=reading.battery.permission,
            battery_voltage_v=reading.converter.meter.battery_voltage_v,
        )

    async def run(self) -> None:
        """Look at the battery at the house-keeping period; after vain requests more rarely."""
        last_s: float | None = None
        while True:
            period_s = self._clock.period(self._settings.policy.house_keeping_period_s)
            await wait_for(self._clock, next_request_s(last_s, period_s, self._failures, self._rng.random()), self.wake)
            if self._clock.is_quiet and last_s is not None:
                await self._clock.sleep(next_on_grid_s(self._clock.monotonic(), self._settings.policy.house_keeping_period_s))
                self.wake.clear()
                if self._would_ask_in_vain():
                    continue
            last_s = self._clock.monotonic()
            try:
                decline = await self.look()
            except ApisError as error:
                decline = str(error)
            if decline is None:
                self._failures, self._vain = 0, None
                self._look_once_more()
            elif decline != self.last_decline:
                _LOGGER.debug("%s: no request: %s", self._settings.unit_id, decline)
            self.last_decline = decline or ""

    def _look_once_more(self) -> None:
        """After a deal there may be room for one more; where nobody looks periodically, this is a reason to look."""
        if self._clock.is_quiet:
            self.look_anew()

    async def look(self) -> str | None:
        """One look: a request if the scenario wants one; None if a deal came of it, else why not."""
        reason = self._willing(OperationMode.AUTONOMOUS)
        if reason is not None or self._mediator is None:
            return reason or "not yet started"
        await self._controller.bring_up_to_date()
        standing, settings = self.standing(), self._settings
        if isinstance(standing, Decline):
            return standing.reason
        offer = demand.request(settings.scenario, standing, settings.policy, settings.hardware)
        if isinstance(offer, Decline):
            self._failures, self._vain = 0, None
            return offer.reason
        refusal = self._mediator.refusal(offer.direction, offer.grid_current_a)
        if refusal is not None:
            return refusal
        self._vain = offer.direction
        full = self._mediator.line_is_full()
        if full is not None:
            return full
        result = await self._mediator.negotiate(offer)
        if isinstance(result, Decline):
            self._failures += 1
            return result.reason
        return None
