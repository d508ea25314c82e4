"""The driver's dead-man: who commands the converter, until when it may be on, and what stops it when nobody does.

It runs from the driver's own start: a converter found active without anybody's word waits after the same times. A trip
latches: active modes are refused until whoever commands it has read it and armed it anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
from dataclasses import replace
import logging
import math

from ..drivers.eza2500.codec import LineError
from ..guard.dead_man import STANDSTILL_S, DeadMan, Watched
from ..model.converter import ConverterMode
from ..model.errors import CommandRefusedError
from ..ports import Clock, GuardRole, Json
from ..rules.device_watch import Watch
from .hands import Hands
from .settings import Settings

_LOGGER = logging.getLogger(__name__)
# One converter: its name within the dead-man.
SELF = "converter"
LEAVING_S = 4.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Keeper:
    """Keeps one converter from being on when nobody answers for it."""

    def __init__(self, hands: Hands, clock: Clock, settings: Settings) -> None:
        """Nobody has spoken yet; a converter that is on counts from now."""
        self._hands = hands
        self._clock = clock
        self._settings = settings
        self._limits = settings.watch
        self.mind = DeadMan()
        self.watch = Watch()
        self.unit_id = ""
        self.has_heartbeat = False
        self.leaving_s: float | None = None
        self.trips = 0
        self._stopped_s: float | None = None
        self._wake = asyncio.Event()
        self._default()

    def _default(self, role: GuardRole = GuardRole.OFF, epoch: int = 0) -> None:
        settings = self._settings
        watched = Watched((SELF, ""), settings.current_mode_dead_man_s, settings.reference_dead_man_s)
        self.mind.arm(SELF, watched, role, epoch, self._clock.wall())

    @property
    def state(self) -> Watched:
        """What is known of the converter."""
        return self.mind.units[SELF]

    @property
    def now_s(self) -> float:
        """This machine's seconds, which its clients' times are given in."""
        return self._clock.wall()

    # What clients say.

    def arm(
        self,
        unit_id: str,
        role: GuardRole,
        epoch: int,
        *,
        current_s: float,
        reference_s: float,
        window_v: tuple[float, float, float] | None,
    ) -> None:
        """A unit has read the converter, knows what it does, and answers for it from now on with its beats.

        Raises:
            CommandRefusedError: if another unit does already.

        """
        if self.unit_id not in ("", unit_id) and self._is_alive():
            raise CommandRefusedError(f"found unit {unit_id}, expected {self.unit_id}: it commands this converter")
        self.unit_id = unit_id
        self.has_heartbeat = True
        self._limits = self._settings.watch
        if window_v is not None:
            self._limits = replace(self._limits, lowest_v=window_v[0], highest_current_v=window_v[1], highest_v=window_v[2])
        self.watch = replace(self.watch, outside_since_s=None)
        self.mind.arm(SELF, Watched((SELF, ""), current_s, reference_s), role, epoch, self.now_s)
        self.wake()

    def beat(self, unit_id: str, at_s: float) -> None:
        """The unit was well at `at_s`, by this machine's seconds."""
        if unit_id == self.unit_id:
            self.mind.beat(SELF, min(at_s, self.now_s))

    def heard(self) -> None:
        """A request of a client that knows no beats: it counts as one as long as no client ever sent any."""
        if not self.has_heartbeat:
            self.mind.beat(SELF, self.now_s)

    def refusal(self, mode: ConverterMode | None, *, epoch: int | None, deadline_s: float | None) -> str:
        """Why a write must not go out, or an empty text. `mode` None: set-points only. `epoch` None: a client without beats."""
        is_wait = mode is ConverterMode.WAIT
        if self.leaving_s is not None and not is_wait:
            return "the driver is about to end"
        if epoch is None and self.has_heartbeat and self._is_alive() and not is_wait:
            return f"unit {self.unit_id} commands this converter"
        if self.state.trip and not is_wait and mode is None:
            return f"it was stopped ({self.state.trip}) and has not been re-armed"
        return self.mind.refusal(
            SELF,
            active=not is_wait and mode is not None,
            wait=is_wait,
            epoch=self.state.epoch if epoch is None else epoch,
            deadline_s=math.inf if deadline_s is None else deadline_s,
            now_s=self.now_s,
        )

    def begins(self, mode: ConverterMode) -> None:
        """Before a command to an active mode: a reference is one from here on, and so is what was off."""
        role = GuardRole.of(mode)
        if role is GuardRole.REFERENCE or (role is GuardRole.CURRENT and self.state.role == GuardRole.OFF):
            self.mind.learn(SELF, role, self.now_s)
            self.wake()

    def done(self, mode: ConverterMode) -> None:
        """After a command whose mode was confirmed."""
        role = GuardRole.of(mode)
        if role is GuardRole.OFF:
            self.mind.learn(SELF, role, self.now_s)
            self.mind.saw(SELF, is_off=True, now_s=self.now_s)
            if not self.has_heartbeat and self.state.trip:
                # A client that knows no re-arming has stopped it itself: it knows what the converter does.
                self._default()
        elif self.state.trip:
            # It was stopped while this command was on its way: the wait goes out once more.
            self.state.is_off = False
        else:
            self.mind.learn(SELF, role, self.now_s)
        self.wake()

    def _is_alive(self) -> bool:
        return self.now_s - self.state.beat_s < self.state.reference_s and not self.state.trip

    # What the driver sees.

    def saw_converter(self, snapshot_mode: ConverterMode | None, voltage_v: float, target_v: float) -> None:
        """A reading of the converter: one that is on without anybody's order counts from the driver's start."""
        now_s = self.now_s
        is_off = snapshot_mode is ConverterMode.WAIT
        state = self.state
        if not is_off and state.role == GuardRole.OFF and not state.is_doubtful:
            _LOGGER.warning("the converter is on, and nobody has switched it on")
            beat_s = state.beat_s
            self.mind.learn(SELF, GuardRole.of(snapshot_mode), now_s)
            state.beat_s = beat_s
        elif is_off and (state.trip or state.role == GuardRole.OFF):
            self.mind.saw(SELF, is_off=True, now_s=now_s)
        self.watch = self.watch.saw_line(snapshot_mode, voltage_v, target_v, self._limits, now_s)
        self.wake()

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    def leave(self) -> None:
        """The driver is to end: a current mode at once, a reference after its line has been told."""
        if self.leaving_s is None:
            self.leaving_s = self.now_s + (LEAVING_S if self.state.role == GuardRole.REFERENCE else 0.0)
        self.wake()

    @property
    def may_end(self) -> bool:
        """Whether the driver may end now: the converter is off."""
        return self.leaving_s is not None and self.mind.is_idle()

    async def run(self) -> None:
        """Stop the converter when it has to be, until cancelled."""
        while True:
            self._judge()
            if SELF in self.mind.due(self.now_s):
                await self._stop()
            next_s = self._next_s()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if next_s is None else max(0.02, next_s - self.now_s)):
                    await self._wake.wait()
            self._wake.clear()
            if next_s is not None and self.now_s > next_s + STANDSTILL_S:
                self.mind.stood_still(self.now_s)

    def _judge(self) -> None:
        if self.state.trip or self.state.role == GuardRole.OFF:
            return
        reason = self.watch.reason(self._limits, self.now_s)
        if not reason and self.leaving_s is not None and self.now_s >= self.leaving_s:
            reason = "the driver was told to end"
        if reason:
            self.mind.stop(SELF, reason, self.now_s)

    def _next_s(self) -> float | None:
        moments = [self.mind.next_s(self.now_s)]
        if self.state.role != GuardRole.OFF and not self.state.trip:
            limits, watch = self._limits, self.watch
            pairs = (
                (watch.outside_since_s, limits.voltage_s),
                (watch.denied_since_s, limits.battery_denied_s),
                (watch.silent_since_s, limits.battery_silent_s),
                (self.leaving_s, 0.0),
            )
            moments += [since_s + limit_s for since_s, limit_s in pairs if since_s is not None]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _stop(self) -> None:
        if self._stopped_s != self.state.tripped_s:
            # Said and counted once, however often the wait has to be sent.
            self._stopped_s = self.state.tripped_s
            self.trips += 1
            _LOGGER.warning("the converter is put to wait: %s", self.state.trip)
        try:
            await self._hands.wait()
        except LineError as error:
            _LOGGER.info("the wait was not confirmed, it is sent again: %s", error)
            return
        self.mind.saw(SELF, is_off=True, now_s=self.now_s)

    def report(self) -> Json:
        """What is known, for clients: times are this machine's seconds."""
        state = self.state
        return {
            "unit": self.unit_id,
            "now": self.now_s,
            "role": str(state.role),
            "epoch": state.epoch,
            "trip": state.trip,
            "trippedS": state.tripped_s,
            "isOff": state.is_off,
            "offS": state.off_s,
            "lastBeatS": state.beat_s,
            "leaving": self.leaving_s is not None and state.role == GuardRole.REFERENCE,
        }


async def supervised(name: str, work: Callable[[], Awaitable[None]], clock: Clock, restarts: dict[str, int]) -> None:
    """Do work that never ends; begin it again, later each time, if it fails."""
    pause_s = FIRST_PAUSE_S
    while True:
        begun_s = clock.wall()
        try:
            await work()
        except Exception:
            _LOGGER.exception("%s failed; it is begun again", name)
        restarts[name] = restarts.get(name, 0) + 1
        pause_s = FIRST_PAUSE_S if clock.wall() - begun_s > LONGEST_PAUSE_S else min(2 * pause_s, LONGEST_PAUSE_S)
        await clock.sleep_wall(pause_s)
