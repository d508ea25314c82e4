"""Failures on purpose: a deal between simulated units can ask for a stage of its life to fail (behaviour reference 10.3)."""

from collections.abc import Callable, Iterator
import contextlib

from ..model.deal import Deal, Stage
from ..model.errors import ApisError

# A deal that is being ended fails once: the second attempt at the same stage has to bring it to its end.
_ONCE = (Stage.STOP, Stage.DEACTIVATE)


class TrialError(ApisError):
    """The failure that was asked for."""


class Trials:
    """One holding's memory of what has failed already."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell`: says aloud that a failure was made, before it is."""
        self._tell = tell
        self._done: set[tuple[str, str]] = set()

    @contextlib.contextmanager
    def stage(self, deal: Deal, stage: Stage) -> Iterator[None]:
        """Around a stage: fails before it, or after it has worked.

        Raises:
            TrialError: if the deal asks for it.

        """
        self._fail(deal, f"failBefore{stage}", stage)
        yield
        # Not reached where the stage itself has failed.
        self._fail(deal, f"failAfter{stage}", stage)

    def _fail(self, deal: Deal, fault: str, stage: Stage) -> None:
        key = (deal.deal_id, fault)
        if fault not in deal.faults or (stage in _ONCE and key in self._done):
            return
        self._done.add(key)
        self._tell(f"a failure on purpose: {fault} of deal {deal.deal_id}")
        raise TrialError(f"{fault}: a failure on purpose")
