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
from ..rules.schedule import next_request_s
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
        # Its own, so that how often it looked changes no other draw.
        self._rng = random.Random(rng.random())
        self._willing = willing
        self._failures = 0
        self._is_refused = False
        self._vain: Direction | None = None
        self._mediator: Mediator | None = None
        self.last_decline = ""
        # For a quiet run: whether what the unit wants, or gets, may change at any moment now.
        self.looks_always: Callable[[], bool] = lambda: False
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
        self._vain = None
        self.wake.set()

    def _asks_in_vain_again(self) -> bool:
        """Whether the unit asked in vain, and it is foreseen that it does so now as well; nobody is asked then."""
        if not self._clock.is_quiet or self._vain is None or self._mediator is None:
            return False
        if self._mediator.line_is_full() is not None:
            self._is_refused = False
            return True
        if self._mediator.is_nobody_there(self._vain.opposite):
            self._failures, self._is_refused = self._failures + 1, True
            return True
        return False

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
        due_s = self._next_s(None)
        while True:
            if self._clock.is_quiet and due_s > 0:
                due_s = await self._due_with_reason(due_s)
            else:
                await wait_for(self._clock, due_s, self.wake)
            looked_s = self._clock.monotonic()
            if not self._asks_in_vain_again():
                await self._look_and_note()
            due_s = self._next_s(looked_s)

    def _next_s(self, last_s: float | None) -> float:
        period_s = self._settings.policy.house_keeping_period_s
        if not self._clock.is_quiet:
            period_s = self._clock.period(period_s)
        return next_request_s(last_s, period_s, self._failures, self._rng.random())

    async def _due_with_reason(self, due_s: float) -> float:
        """Wait for a reason to look, and then for the moment of the next look; those before it would have changed nothing."""
        if not self.looks_always():
            await self.wake.wait()
        now_s = self._clock.monotonic()
        while due_s < now_s:
            if self._is_refused:
                self._failures += 1
            due_s = self._next_s(due_s)
        await self._clock.sleep(due_s - now_s)
        self.wake.clear()
        return due_s

    async def _look_and_note(self) -> None:
        try:
            decline = await self.look()
        except ApisError as error:
            decline = str(error)
        if decline is None:
            self._failures, self._vain, self._is_refused = 0, None, False
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
            self._failures, self._vain, self._is_refused = 0, None, False
            return offer.reason
        refusal = self._mediator.refusal(offer.direction, offer.grid_current_a)
        if refusal is not None:
            return refusal
        self._vain, self._is_refused = offer.direction, False
        full = self._mediator.line_is_full()
        if full is not None:
            return full
        result = await self._mediator.negotiate(offer)
        if isinstance(result, Decline):
            self._failures, self._is_refused = self._failures + 1, True
            return result.reason
        return None
