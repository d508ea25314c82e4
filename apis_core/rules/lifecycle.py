"""The life of a deal: its state from its times alone, and the step that comes next.

    created -> activated -> ramped up -> started -> stopped -> ended
       |           |            |           |
       +-----------+------------+-----------+--> stopping (asked, failed, forced) -> stopped -> ended

A new Grid Master continues wherever the last one stopped, because nothing else is remembered.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from ..model.deal import Deal
from ..model.policy import Policy


class DealState(StrEnum):
    """Where a deal is."""

    CREATED = "created"
    ACTIVATED = "activated"
    RAMPED_UP = "ramped_up"
    STARTED = "started"
    STOPPED = "stopped"
    ENDED = "ended"


class Step(StrEnum):
    """What the Grid Master does next with a deal."""

    ACTIVATE = "activate"
    CHECK_RAMP_UP = "check_ramp_up"
    AUTHORISE = "authorise"
    WARM_UP = "warm_up"
    EXCHANGE = "exchange"
    STOP = "stop"
    DEACTIVATE = "deactivate"
    DISPOSE = "dispose"


def state(deal: Deal) -> DealState:
    """The deal's state."""
    if deal.is_ended:
        return DealState.ENDED
    if deal.stop_time is not None:
        return DealState.STOPPED
    if deal.start_time is not None:
        return DealState.STARTED
    if deal.ramp_up_time is not None:
        return DealState.RAMPED_UP
    return DealState.ACTIVATED if deal.activate_time is not None else DealState.CREATED


class Outcome(StrEnum):
    """What became of a deal, for people."""

    SCRAMMED = "scrammed"
    ABORTED = "aborted"
    COMPLETED = "completed"
    LIVE = "live"


def outcome(deal: Deal) -> Outcome:
    """Scrammed before aborted before completed; live while it has not ended."""
    if deal.scram_time is not None:
        return Outcome.SCRAMMED
    if deal.abort_time is not None:
        return Outcome.ABORTED
    return Outcome.COMPLETED if deal.is_ended else Outcome.LIVE


def next_step(deal: Deal, others: Iterable[Deal], *, must_end: bool) -> Step:
    """The step the deal's state asks for; `others` are the line's other deals.

    Only the line's first deal ramps the voltage up: a deal whose unit took the reference over from a live line does not.
    """
    match state(deal):
        case DealState.ENDED:
            return Step.DISPOSE
        case DealState.STOPPED:
            return Step.DEACTIVATE
        case _ if must_end:
            return Step.STOP
        case DealState.STARTED:
            return Step.EXCHANGE
        case DealState.CREATED:
            return Step.ACTIVATE
        case DealState.ACTIVATED if deal.is_master and not any(other.is_running for other in others):
            return Step.CHECK_RAMP_UP
        case DealState.RAMPED_UP if deal.warm_up_time is None and deal.is_master and not any(other.is_running for other in others):
            return Step.AUTHORISE
        case _:
            return Step.WARM_UP


def end_reason(deal: Deal, state_of_charge_pct: Mapping[str, float | None], policy: Policy, now: datetime) -> str | None:
    """Why a started deal is cut short now: a battery at its limit, or more time taken than the deal may. None to go on."""
    giver_pct = state_of_charge_pct.get(deal.discharge_unit_id)
    taker_pct = state_of_charge_pct.get(deal.charge_unit_id)
    if giver_pct is not None and giver_pct < policy.discharge_unit_lower_limit_pct:
        return f"{deal.discharge_unit_id} is at {giver_pct:g} %, below {policy.discharge_unit_lower_limit_pct:g} %"
    if taker_pct is not None and taker_pct > policy.charge_unit_upper_limit_pct:
        return f"{deal.charge_unit_id} is at {taker_pct:g} %, above {policy.charge_unit_upper_limit_pct:g} %"
    if deal.start_time is not None:
        taken_s, limit_s = (now - deal.start_time).total_seconds(), time_limit_s(deal, policy)
        if taken_s >= limit_s:
            return f"not complete after {taken_s:.0f} s, the limit is {limit_s:.0f} s"
    return None


def time_limit_s(deal: Deal, policy: Policy) -> float:
    """How long a deal may exchange [s]: three times what its amount takes at nominal power."""
    return 3 * deal.amount_wh * 3600 / (policy.operation_grid_voltage_v * deal.grid_current_a)


def order(deals: Iterable[Deal], must_end: Mapping[str, str], large_units: Iterable[str] = ()) -> list[Deal]:
    """The order in which deals get the line for a transition.

    What is in transition comes first (it holds the line), then what must end, then what is done; among those the
    reference's own deal last, so that no hand-over is made for a deal that ends as well. New deals follow in order of
    creation, those with a large unit first, because the reference will sit there.
    """
    large = set(large_units)

    def rank(deal: Deal) -> tuple[int, bool, bool, datetime, str]:
        if deal.is_in_transition:
            group = 0
        elif deal.deal_id in must_end:
            group = 1
        elif deal.is_started:
            group = 2
        else:
            group = 3
        return group, deal.is_master, not large & set(deal.unit_ids), deal.create_time, deal.deal_id

    return sorted(deals, key=rank)
