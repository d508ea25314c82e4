"""The event loop of virtual time: its clock jumps to the next timer, and a run in which no time goes by any more ends."""

from async_solipsism import EventLoop

from .model.errors import StandstillError

# Turns of the loop at one moment: a hundred units that all talk to each other take a few hundred.
TURNS_MAX = 20_000


class VirtualLoop(EventLoop):  # type: ignore[misc]
    """Sockets and threads are errors here."""

    def __init__(self) -> None:
        """At 0 s."""
        super().__init__()
        # Asked for hundreds of times a deal: without the way through the loop's own method.
        self.time = self._selector.clock.time
        self._moment_s, self._turns = -1.0, 0

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
