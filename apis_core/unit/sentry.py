"""A unit's watch over its own converter while it is on: it needs nobody's permission to stop.

It goes on only as long as the Grid Master's word reaches it (rules/deadlines) and tells the dead-man so with every beat. It
stops a deal whose amount has been exchanged or whose time is over when no Grid Master does, and asks a converter in a
current mode every second whether the line is still there.
"""

import asyncio
from collections.abc import Callable
import contextlib
import logging
import math

from ..model.contact import Contact
from ..model.converter import Converter, ConverterMode
from ..model.deal import Side
from ..model.errors import ApisError, Category, DriverError, ErrorReport, Extent, Level
from ..ports import Clock, Guard
from ..rules import energy, local_safety
from ..rules.deadlines import Anchor
from ..waiting import wait_for, wait_for_wall
from .board import Board
from .controller import Controller
from .settings import Settings

_LOGGER = logging.getLogger(__name__)
# Less than a converter exchanges in a millisecond: what is so near its goal has reached it.
ROUNDING_WH = 1e-5


class Sentry:
    """Watches one converter."""

    def __init__(
        self,
        settings: Settings,
        controller: Controller,
        board: Board,
        guard: Guard | None,
        clock: Clock,
        report: Callable[[ErrorReport], None],
    ) -> None:
        """Nothing has been heard yet; `begin` sets the anchor."""
        self._settings = settings
        self._controller = controller
        self._board = board
        self._guard = guard
        self._clock = clock
        self._report = report
        self._anchor = Anchor(-math.inf, -math.inf)
        self._targets: dict[str, tuple[float, float]] = {}
        self._aim = asyncio.Event()
        self._heard_s = -math.inf
        self._beat_s = -math.inf
        self._spoken_s = -math.inf
        self._look_s = -math.inf
        self._told = ""
        self._was_on = False
        self._thaw_s = -math.inf

    def begin(self) -> None:
        """A unit that starts counts its start as its anchor."""
        now_s = self._clock.wall()
        self._anchor = Anchor(now_s, now_s)

    def heard(self, contact: Contact, arrived_s: float) -> None:
        """Take note of the Grid Master's word, which came at `arrived_s` [wall s]; the caller has checked its epoch."""
        self._heard_s = arrived_s
        self._anchor = self._anchor.heard(contact, arrived_s)
        now_s = self._clock.monotonic()
        unit_id = self._settings.unit_id
        targets = {deal_id: units[unit_id] for deal_id, units in contact.targets.items() if unit_id in units}
        found = {deal_id: (target.stop_at_wh, now_s + target.stop_within_s) for deal_id, target in targets.items()}
        if found != self._targets:
            self._targets = found
            self._aim.set()

    def overdue_s(self, mode: ConverterMode | None) -> float:
        """For how long a converter in `mode` would have had to be in wait by now [s]; not positive if it may be on."""
        limit_s = self._anchor.limit_s(mode, self._settings.policy.times)
        return -math.inf if limit_s is None or self._clock.is_quiet else self._clock.wall() - limit_s

    @property
    def unheard_s(self) -> float:
        """How long ago the Grid Master's word came last [wall s]; infinite if it never did."""
        return self._clock.wall() - self._heard_s

    @property
    def unspoken_s(self) -> float:
        """For how long nobody has spoken for the converter [wall s]; 0 while it is off."""
        mode = self._controller.converter.mode
        return 0.0 if not self._was_on or mode is ConverterMode.WAIT else max(0.0, self._clock.wall() - self._spoken_s)

    async def run(self) -> None:
        """Beats, deadline and the converter's own watch, until cancelled."""
        controller, clock = self._controller, self._clock
        while True:
            mode = controller.converter.mode
            if mode is ConverterMode.WAIT or controller.reading is None or clock.is_quiet:
                self._told = ""
                self._spoken_s = clock.wall()
                if self._was_on:
                    self._was_on = False
                    with contextlib.suppress(DriverError):
                        await controller.tell_guard_it_is_off()
                    if controller.converter.mode is not ConverterMode.WAIT:
                        # It says now the one and now the other: no faster than one can look.
                        await clock.sleep_wall(self._settings.policy.times.status_period_s)
                        continue
                await wait_for_wall(clock, None, controller.changed)
                continue
            self._was_on = True
            await self._keep(mode)
            times = self._settings.policy.times
            due_s = min(self._beat_s + times.contact_period_s, self._look_s + times.status_period_s)
            limit_s = self._anchor.limit_s(mode, times)
            if limit_s is not None and limit_s > clock.wall():
                due_s = min(due_s, limit_s)
            await wait_for_wall(clock, due_s, controller.changed)
            await self._notice_pause(clock.wall() - due_s)

    async def _notice_pause(self, late_s: float) -> None:
        """A process that stood still knows nothing: what is overdue has to wait, then the converter is read anew."""
        if late_s <= self._settings.policy.times.command_right_s:
            return
        self._thaw_s = self._clock.wall()
        _LOGGER.warning("%s stood still for %.0f s", self._settings.unit_id, late_s)
        mode = self._controller.converter.mode
        if mode is not ConverterMode.VOLTAGE_REFERENCE and self.overdue_s(mode) >= 0:
            await self._stop(f"stood still for {late_s:.0f} s")
        with contextlib.suppress(ApisError):
            await self._controller.reconcile(f"after a pause of {late_s:.0f} s")

    async def _keep(self, mode: ConverterMode | None) -> None:
        """One look: stop if it has to be, beat if it may go on."""
        controller, times, now_s = self._controller, self._settings.policy.times, self._clock.wall()
        holds_on = mode is ConverterMode.VOLTAGE_REFERENCE and now_s < self._thaw_s + times.thaw_hold_s
        # Also in a mode that nobody knows: what it does then, nobody commands.
        if self.overdue_s(mode) >= 0 and not holds_on:
            limit_s = times.reference_limit_s if mode is ConverterMode.VOLTAGE_REFERENCE else times.current_mode_limit_s
            await self._stop(f"no word of a Grid Master for {limit_s:g} s")
            self._beat_s = self._look_s = now_s
            return
        if now_s >= self._beat_s + times.contact_period_s:
            self._beat_s = now_s
            if controller.usable_reading() is not None:
                self._spoken_s = now_s
                if self._guard is not None and not await self._guard.beat():
                    with contextlib.suppress(ApisError):
                        await controller.reconcile("its dead-man was started anew")
        if now_s >= self._look_s + times.status_period_s:
            self._look_s = now_s
            if mode is not None and mode.is_current_mode:
                await self._look()
            else:
                # What others do by themselves shows at the reference: read so often, it is counted as it was.
                await self._status()

    async def _look(self) -> None:
        """Ask the converter whether the line is there; what is wrong twice stops it."""
        reason = await self._wrong()
        if reason is None:
            return
        await self._clock.sleep_wall(self._settings.policy.times.status_repeat_s)
        again = await self._wrong()
        if again is not None:
            await self._stop(again)

    async def _status(self) -> Converter | None:
        """Mode and meters now. A silent device is the periodic reading's business: a wait would not reach it either."""
        try:
            async with asyncio.timeout(self._settings.policy.times.status_deadline_s):
                return (await self._controller.refresh_status()).converter
        except TimeoutError, DriverError:
            return None

    async def _wrong(self) -> str | None:
        converter = await self._status()
        if converter is None:
            return None
        return local_safety.current_mode_alone(
            converter, self._settings.policy, self._settings.hardware, changing=self._controller.is_changing
        )

    async def _stop(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            _LOGGER.warning("%s stops by itself: %s", self._settings.unit_id, reason)
            self._report(ErrorReport(self._settings.unit_id, Category.HARDWARE, Extent.LOCAL, Level.WARN, f"stops by itself: {reason}"))
        running = [deal.deal_id for deal in self._board.own_deals(self._settings.unit_id) if deal.is_running]
        try:
            self._controller.released.update(dict.fromkeys(running, reason))
            await self._controller.stop_local(reason)
        except ApisError as error:
            _LOGGER.warning("%s: %s", self._settings.unit_id, error)

    async def run_targets(self) -> None:
        """Stop deals at their amount or time where no Grid Master does, until cancelled."""
        while True:
            due = self._next_stop()
            if due is None:
                await wait_for(self._clock, None, self._aim)
                continue
            # As long as the Grid Master speaks, ending deals is its business: it does so in an order that suits the line.
            silent_from_s = self._heard_s + self._settings.policy.times.silence_s
            if self._clock.wall() < silent_from_s:
                await wait_for_wall(self._clock, silent_from_s, self._aim)
                continue
            moment_s, deal_id, reason = due
            if await wait_for(self._clock, moment_s, self._aim):
                continue
            if self._controller.is_busy:
                # The Grid Master may be ending it right now.
                await self._clock.sleep_wall(self._settings.policy.times.status_repeat_s)
                continue
            try:
                if reason or await self._is_complete(deal_id):
                    self._targets.pop(deal_id, None)
                    await self._controller.let_go({deal_id}, reason or "its amount has been exchanged")
            except ApisError as error:
                _LOGGER.warning("%s: own stop of deal %s: %s", self._settings.unit_id, deal_id, error)
                await self._clock.sleep_wall(self._settings.policy.times.status_repeat_s)

    def _next_stop(self) -> tuple[float, str, str] | None:
        """The deal to be stopped next: when, and why if it is not for its amount. Only current modes stop themselves."""
        mode = self._controller.converter.mode
        if mode is None or not mode.is_current_mode:
            return None
        now_s, unit_id, found = self._clock.monotonic(), self._settings.unit_id, []
        for deal in self._board.own_deals(unit_id):
            target = self._targets.get(deal.deal_id)
            if target is None or not deal.is_running or deal.deal_id in self._controller.released:
                continue
            stop_at_wh, by_s = target
            found.append((by_s, deal.deal_id, "its time is over"))
            seconds = self._seconds_left(deal.deal_id, stop_at_wh, deal.compensated_current_a(unit_id), deal.side_of(unit_id))
            if seconds is not None:
                found.append((now_s + seconds, deal.deal_id, ""))
        return min(found, default=None)

    def _seconds_left(self, deal_id: str, stop_at_wh: float, current_a: float, side: Side | None) -> float | None:
        reading = self._controller.reading
        if reading is None or side is None:
            return None
        counted_wh = self._counted_wh(deal_id)
        power_w = energy.deal_power_w(reading.converter.meter, side.sign, current_a)
        seconds = energy.seconds_to_complete(stop_at_wh, counted_wh, power_w)
        return None if seconds is None else max(0.0, seconds - self._controller.reading_age_s())

    def _counted_wh(self, deal_id: str) -> float:
        counters = self._controller.account.deals.get(deal_id)
        return counters.battery_wh if counters is not None else 0.0

    async def _is_complete(self, deal_id: str) -> bool:
        await self._controller.refresh_status()
        target = self._targets.get(deal_id)
        return target is not None and self._counted_wh(deal_id) >= target[0] - ROUNDING_WH
