"""The event loop of virtual time: its clock jumps to the next timer, and a run in which no time goes by any more ends."""

import asyncio
import functools
import sys
import threading
from typing import Any, override
import warnings

from async_solipsism import EventLoop, ResolutionWarning

from .model.errors import StandstillError

# Turns of the loop at one moment: a hundred units that all talk to each other take a few hundred.
TURNS_MAX = 20_000
# What takes real time, or comes back at a moment that no seed decides, by the interpreter's name of its audit event.
REAL = {
    "time.sleep": "sleeps in real time",
    "socket.__new__": "opens a socket",
    "_thread.start_new_thread": "starts a thread",
    "_thread.start_joinable_thread": "starts a thread",
}
_running = threading.local()
# A timer that is nearer than the clock can show is due at once: nothing to tell anybody.
warnings.filterwarnings("ignore", category=ResolutionWarning)


@functools.cache
def _watch() -> None:
    """Look at what the interpreter does, from now on: hooks of this kind cannot be taken away again."""
    sys.addaudithook(_forbid)


def _forbid(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in REAL and getattr(_running, "loop", None) is not None:
        raise RuntimeError(f"a run in virtual time {REAL[event]} ({event})")


class VirtualLoop(EventLoop):  # type: ignore[misc]
    """Sockets, threads and real sleeps are errors here."""

    def __init__(self) -> None:
        """At 0 s."""
        super().__init__()
        # Asked for hundreds of times a deal: without the way through the loop's own method.
        self.time = self._selector.clock.time
        self._moment_s, self._turns = -1.0, 0
        _watch()

    @override
    def run_forever(self) -> None:
        """See asyncio."""
        _running.loop = self
        try:
            super().run_forever()
        finally:
            _running.loop = None

    @override
    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Refused: nobody knows when a thread is done.

        Raises:
            RuntimeError: always.

        """
        raise RuntimeError(f"a run in virtual time starts a thread ({func!r})")

    def _run_once(self) -> None:
        super()._run_once()
        now_s = self.time()
        if now_s != self._moment_s:
            self._moment_s, self._turns = now_s, 0
        self._turns += 1
        if self._turns > TURNS_MAX:
            # What is still there can be ended in order.
            self._turns = 0
            raise StandstillError(f"at {now_s:.3f} s: {TURNS_MAX} turns of the event loop, and no time goes by")
