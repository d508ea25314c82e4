"""Wall, scaled and virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
import math
import time
from typing import Any

from .waiting import LONGEST_WAIT_S

SHORTEST_PERIOD_WALL_S = 0.2


def boot_time_s() -> float:
    """Seconds since the machine started: they go on while it sleeps, and all its processes share them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class WallClock:
    """Real time: a community second is a second."""

    def __init__(self, wall_s: Callable[[], float] = boot_time_s) -> None:
        """`wall_s`: where wall time comes from."""
        self._wall_s = wall_s

    @property
    def is_quiet(self) -> bool:
        """See Clock."""
        return False

    def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See Clock."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """See Clock."""
        return self._wall_s()

    def to_wall(self, seconds: float) -> float:
        """See Clock."""
        return seconds

    def period(self, seconds: float) -> float:
        """See Clock."""
        return max(seconds, SHORTEST_PERIOD_WALL_S)

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)

    async def sleep_wall(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


class VirtualClock(WallClock):
    """The virtual loop's time, counted from `start`: wall and community time are the same."""

    def __init__(self, start: datetime, *, quiet: bool = False) -> None:
        """Begin at `start` (aware). `quiet`: nothing breaks in this run, so that nothing has to be looked at periodically."""
        super().__init__()
        # The one loop's that this clock is looked at on.
        self._time: Callable[[], float] | None = None
        self._start = start.astimezone(UTC)
        self._quiet = quiet
        self._now = 0.0, self._start

    @property
    def is_quiet(self) -> bool:
        """See Clock."""
        return self._quiet

    def monotonic(self) -> float:
        """See Clock."""
        if self._time is None:
            self._time = asyncio.get_running_loop().time
        return self._time()

    wall = monotonic

    def now(self) -> datetime:
        """See Clock."""
        seconds = self.monotonic()
        if seconds != self._now[0]:
            self._now = seconds, self._start + timedelta(seconds=seconds)
        return self._now[1]

    def period(self, seconds: float) -> float:
        """See Clock."""
        return math.inf if self._quiet else seconds

    async def sleep(self, seconds: float) -> None:
        """See Clock. In pieces: the loop takes a day without an event for a standstill."""
        while seconds > 0:
            piece = min(seconds, LONGEST_WAIT_S)
            await asyncio.sleep(piece)
            seconds -= piece


class ScaledClock(WallClock):
    """Follows an emulator whose time runs `acceleration` times as fast.

    `monotonic` has the emulator's rate and never jumps; `now` is corrected when it is further from the emulator's time
    than the emulator's own resolution explains.
    """

    def __init__(self, start: datetime, acceleration: float, wall_s: Callable[[], float] = boot_time_s) -> None:
        """Begin at `start` now."""
        super().__init__(wall_s)
        self._acceleration = acceleration
        self._anchor_wall_s = wall_s()
        self._anchor_s = 0.0
        self._zero = start.astimezone(UTC)

    @property
    def acceleration(self) -> float:
        """Community seconds per wall second."""
        return self._acceleration

    def now(self) -> datetime:
        """See Clock."""
        return self._zero + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """See Clock."""
        return self._anchor_s + (self.wall() - self._anchor_wall_s) * self._acceleration

    def to_wall(self, seconds: float) -> float:
        """See Clock."""
        return seconds / self._acceleration

    def period(self, seconds: float) -> float:
        """See Clock."""
        return max(seconds, SHORTEST_PERIOD_WALL_S * self._acceleration)

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(self.to_wall(seconds))

    def follow(self, emulator_now: datetime, acceleration: float) -> timedelta:
        """Take over the emulator's rate and, if it is off by more than its resolution, its time; the deviation found."""
        if acceleration > 0 and acceleration != self._acceleration:
            self._anchor_s, self._anchor_wall_s = self.monotonic(), self.wall()
            self._acceleration = acceleration
        deviation = emulator_now.astimezone(UTC) - self.now()
        if abs(deviation) > timedelta(seconds=2 + 2 * self._acceleration):
            self._zero += deviation
        return deviation


def run_virtual[T](main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on an event loop whose clock jumps to the next timer; sockets and threads are errors there.

    Raises:
        StandstillError: if the same happens over and over, and no time goes by.

    """
    from .virtual_loop import VirtualLoop

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
