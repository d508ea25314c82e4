"""The leak check: what units take from the line and give to it has to add up."""

from collections.abc import Callable

from ..model.errors import ErrorReport, Extent
from ..model.safety_times import LONGEST_TRANSITION_S
from ..rules import global_safety
from ..rules.findings import judged
from . import hand_over
from .access import Access

# So many complete sets of readings in a row without a finding prove a line tight.
CLEAN_SETS = 2


class LeakCheck:
    """One Grid Master's check of its line, set of readings by set."""

    def __init__(self, unit_id: str, access: Access, warn: Callable[[str], None]) -> None:
        """`unit_id`: the Grid Master's; `warn` takes why there can be no check, and says the same only once."""
        self._unit_id = unit_id
        self._access = access
        self._warn = warn
        self._strikes: frozenset[str] = frozenset()
        self._checked_s = float("-inf")
        self._clean_sets = 0
        self._clean_s = access.clock.wall()
        # What the last one rested on: its oldest reading, and the last change of a current then [monotonic s].
        self.judged_s: tuple[float, float] | None = None

    def look(self) -> tuple[ErrorReport, ...]:
        """One look, if the line can be judged now: on a complete set of readings taken after the last change, never across a transition."""
        access = self._access
        deals = access.board.open_deals()
        in_transition = any(deal.is_in_transition for deal in deals) or access.board.value(hand_over.KEY) is not None
        if in_transition or not any(deal.is_running for deal in deals):
            self._strikes, self._clean_sets = frozenset(), 0
            if not any(deal.is_running for deal in deals):
                self._clean_s = access.clock.wall()
            return ()
        # A converter that was last seen on may still push into the line: without its word there is no check.
        possibly_on = {unit for unit in access.policy.member_unit_ids if access.may_be_on(unit)}
        concerned = possibly_on | {unit for deal in deals if deal.is_active for unit in deal.unit_ids}
        # Who has just left may have changed its current since it was last read.
        converters = access.fresh_converters(concerned) if concerned <= access.members() else None
        period_s = access.clock.period(access.policy.data_acquisition_period_s)
        now_s = access.clock.monotonic()
        if converters is None:
            silent = sorted(unit for unit in possibly_on if access.is_stale(unit) or unit not in access.members())
            if silent:
                # Nothing can be proved until it answers: who waits for the proof would wait for ever.
                self._clean_s = access.clock.wall()
                self._warn(f"no leak check: {', '.join(silent)} may be on and has not been read")
            return ()
        if now_s - self._checked_s < period_s:
            return ()
        self._checked_s = now_s
        self.judged_s = min(access.readings[unit].monotonic_s for unit in converters), access.changed_s
        findings = global_safety.check(deals, converters, access.policy)
        reports, self._strikes = judged(findings, self._strikes, self._unit_id, Extent.GLOBAL)
        self._clean_sets = 0 if findings else self._clean_sets + 1
        if self._clean_sets >= CLEAN_SETS:
            self._clean_s = access.clock.wall()
        return tuple(reports)

    def is_due(self) -> bool:
        """Whether transitions have kept the line from being proved tight for so long that the next one has to wait."""
        access = self._access
        ahead_s = CLEAN_SETS * access.clock.to_wall(access.clock.period(access.policy.data_collection_period_s))
        limit_s = access.policy.times.leak_check_gap_s - ahead_s - LONGEST_TRANSITION_S
        return any(d.is_running for d in access.board.deals()) and access.clock.wall() - self._clean_s >= max(ahead_s, limit_s)
