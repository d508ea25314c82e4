"""What becomes of a deal when the line under it dies: its energy stays, its life begins again or ends."""

from collections.abc import Collection, Iterable, Sequence
import itertools

from ..model.deal import Deal, Mark


def _begun_again(deal: Deal) -> Deal:
    """The deal as it was before its activation; its counts stay."""
    return deal.changed(
        activate_time=None,
        ramp_up_time=None,
        warm_up_time=None,
        start_time=None,
        stop_time=None,
        deactivate_time=None,
        charge_compensated_a=None,
        discharge_compensated_a=None,
        compensation_target_a=None,
        is_master=False,
    )


def after_failed_proof(deal: Deal, mark: Mark) -> Deal:
    """A deal whose reference did not prove that it holds the line: before its activation, with one more reset."""
    return _begun_again(deal).changed(resets=(*deal.resets, mark))


def _interrupted(deal: Deal, mark: Mark) -> Deal:
    return _begun_again(deal).changed(interruptions=(*deal.interruptions, mark))


def final_reason(deal: Deal, gone: Sequence[str], reason: str, limit: int) -> str | None:
    """Why a deal ends with its line (empty: it was ending anyway), or None if it begins again.

    `gone`: which of its units do not answer. `limit`: how many interruptions a deal survives.
    """
    if gone:
        return f"{gone[0]} does not answer"
    if deal.stop_time is not None:
        return deal.abort_reason or ""
    if len(deal.interruptions) >= limit:
        return f"interrupted {limit + 1} times, the limit is {limit}: {reason}"
    return None


def pairs(deals: Iterable[Deal], unit_ids: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Units in the order in which an emergency sends them to wait: the two ends of a deal together, then the rest by two.

    Current that flows from one end to the other falls on both sides at once; the voltage reference has little to carry.
    """
    left, found = set(unit_ids), []
    for deal in deals:
        ends = tuple(unit for unit in dict.fromkeys(deal.unit_ids) if unit in left) if deal.is_active else ()
        left -= set(ends)
        found += [ends] if ends else []
    return (*found, *itertools.batched(sorted(left), 2, strict=False))


# Beyond so many a ban grows no longer: of ten minutes it is a day then, and a day without a reference is no moment's trouble.
DOUBLINGS_MAX = 7


def ban_s(losses: int, first_s: float) -> float:
    """How long a unit that lost the voltage reference for the n-th time does not take it again: doubling up to a limit [s]."""
    return first_s * 2.0 ** min(losses - 1, DOUBLINGS_MAX)


def after_loss(deal: Deal, mark: Mark, final: str | None) -> Deal:
    """A deal whose reference is lost: as before its activation, not charged to its resets; ended if `final` says why.

    A deal that was stopped already has ended: an empty `final` adds no reason.
    """
    if final is None:
        return _interrupted(deal, mark)
    ended = deal.changed(
        stop_time=deal.stop_time or (mark.time if deal.start_time is not None else None), deactivate_time=mark.time, is_master=False
    )
    if not final:
        return ended
    return ended.changed(
        aborts=(*deal.aborts, Mark(mark.time, final)),
        abort_time=deal.abort_time or mark.time,
        abort_reason=deal.abort_reason or final,
    )


def after_trip(deal: Deal, mark: Mark, *, keeps_reference: bool) -> Deal:
    """A deal one of whose current modes left a live line: warmed up again; from activation on if its reference side left too."""
    again = _interrupted(deal, mark)
    if not keeps_reference:
        return again
    return again.changed(
        activate_time=deal.activate_time,
        ramp_up_time=deal.ramp_up_time,
        compensation_target_a=deal.compensation_target_a,
        is_master=deal.is_master,
    )
