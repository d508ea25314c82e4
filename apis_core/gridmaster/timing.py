"""How long deals take to begin, to exchange and to end, learnt from those there were: what comes next is placed by it."""

from collections.abc import Iterable
import math

from ..model.deal import Deal
from ..model.policy import Policy
from ..rules.schedule import END_SPACING, beginning_apart_s, line_is_needed_soon

# A long transition is remembered for a few more: the next may be as long.
FORGETTING = 0.8


class Timing:
    """All moments are the community's monotonic seconds."""

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        self.begun_s: dict[str, float] = {}
        self.stopping_s: dict[str, float] = {}
        self._last_begun_s = -math.inf
        self._begin_takes_s = 0.0
        self._end_takes_s = 0.0
        # What an exchange takes, as a multiple of what its amount takes at nominal power.
        self._pace = 1.0

    def begins(self, deal: Deal, now_s: float) -> None:
        """A deal takes the line for its beginning."""
        self.begun_s[deal.deal_id] = self._last_begun_s = now_s

    def started(self, deal: Deal, now_s: float) -> None:
        """A deal exchanges from now on; one that raised the voltage says nothing of others."""
        begun_s = self.begun_s.pop(deal.deal_id, None)
        if begun_s is not None and deal.ramp_up_time is None:
            self._begin_takes_s = max(now_s - begun_s, FORGETTING * self._begin_takes_s)

    def stops(self, deal: Deal, begun_s: float, exchanged_s: float, policy: Policy) -> None:
        """A deal has exchanged its amount, and the line has been its own since `begun_s`."""
        self.stopping_s[deal.deal_id] = begun_s
        if not deal.interruptions:
            self._pace += (1 - FORGETTING) * (exchanged_s / _nominal_s(deal, policy) - self._pace)

    def ended(self, deal: Deal, now_s: float) -> None:
        """A deal has left the line."""
        stopped_s = self.stopping_s.pop(deal.deal_id, None)
        if stopped_s is not None:
            self._end_takes_s = max(now_s - stopped_s, FORGETTING * self._end_takes_s)

    def may_begin_s(self, deal: Deal, now_s: float, completions_s: Iterable[float], policy: Policy) -> float:
        """When a deal may begin, so that it will not be complete while the line is taken by another one's end.

        Deals of the same length end as they begin; for the others it is foreseen, as well as it can be.
        """
        apart_s = END_SPACING * (self._end_takes_s or self._begin_takes_s)
        lasts_s = self._begin_takes_s + self._pace * _nominal_s(deal, policy)
        return max(self._last_begun_s + apart_s, beginning_apart_s(now_s, lasts_s, completions_s, apart_s))

    def is_line_needed_soon(self, now_s: float, completions_s: Iterable[float], policy: Policy) -> bool:
        """Whether a running deal will be complete before a transition begun now would be over."""
        return line_is_needed_soon(now_s, completions_s, policy.checkpoint_wait_s, self._begin_takes_s)


def _nominal_s(deal: Deal, policy: Policy) -> float:
    return deal.amount_wh * 3600 / (policy.operation_grid_voltage_v * deal.grid_current_a)
