"""Switching a deal off: stop, departure of the master side, abort, discard and scram (behaviour reference 4.8 to 4.13)."""

import asyncio
from collections.abc import Collection
import logging

from ..model.converter import Converter, ConverterMode
from ..model.deal import Deal, Mark, Stage
from ..model.errors import ApisError
from ..model.modes import CommandKind
from ..model.safety_times import MESSAGE_S, WAIT_SEQUENCE_S
from ..rules import interruptions
from ..rules.reference import Danger, Departure, Line, plan_departure
from .access import Access
from .hand_over import hand_over

_LOGGER = logging.getLogger(__name__)


class ReferenceLostError(ApisError):
    """A departure finds nobody holding the voltage while others go on."""


class NotYetError(ApisError):
    """The reference cannot go to wait yet: a converter of its line may still be on."""


async def stop(access: Access, deal: Deal, reason: str | None) -> Deal:
    """Switch the slave-side unit off (or down to its other deals), then write the stop down; `reason` makes it an abort.

    A deal that was never activated only gets its mark. What cannot be commanded is recorded, and the deal ends all the same.

    Raises:
        DealGoneError: if the deal is no longer there.

    """
    if deal.activate_time is None:
        return await discard(access, deal, reason or "not activated")
    line = access.line()
    slave = deal.unit_on(line.master_side.opposite)
    failure = None
    if deal.warm_up_time is not None or line.mode(slave) is not ConverterMode.WAIT:
        failure = await let_go(access, deal, slave)
    now = access.clock.now()

    def change(stored: Deal) -> Deal:
        marks = [Mark(now, text) for text in (reason, failure) if text is not None]
        return _marked(stored.changed(stop_time=stored.stop_time or now), marks)

    # The slave side's counters came with its answer; the other side is read before the deal counts as stopped.
    await _refresh_counters(access, deal, deal.unit_on(line.master_side))
    return await access.update(deal.deal_id, change)


async def let_go(access: Access, deal: Deal, unit_id: str) -> str | None:
    """The unit's part of a stop; what went wrong, or None."""
    line = access.line()
    others = line.running_others(deal, unit_id)
    text = f"stop of deal {deal.deal_id}"
    try:
        with access.trials.stage(deal, Stage.STOP):
            # A unit that waits has left the others as well.
            if others and line.mode(unit_id) is not ConverterMode.WAIT:
                await access.command(unit_id, CommandKind.CURRENT, text, grid_current_a=line.current_for_others_a(deal, unit_id))
            else:
                await access.command(unit_id, CommandKind.WAIT, text)
    except ApisError as error:
        _LOGGER.warning("stop of deal %s: %s did not follow: %s", deal.deal_id, unit_id, error)
        return f"{unit_id} did not follow the stop: {error}"
    return None


async def _refresh_counters(access: Access, deal: Deal, *unit_ids: str) -> None:
    """Count what flowed until now into the record; every answer of a unit carries its counters."""
    try:
        await access.read(*unit_ids)
    except ApisError as error:
        _LOGGER.warning("deal %s: last reading: %s", deal.deal_id, error)
    await access.count(deal)


async def depart(access: Access, deal: Deal) -> Deal:
    """Switch the master-side unit off, down to its other deals, or hand its voltage over; then the deal has ended.

    A current-mode unit that does not follow is recorded and holds nobody up; a reference that does not is tried again.

    Raises:
        ReferenceLostError: if the line is left without what holds it.
        NotYetError: if the reference must hold on.
        ApisError: if the reference did not follow.

    """
    line = access.line()
    reference = line.reference_unit_id
    concerned = {*deal.unit_ids, *([reference] if reference is not None else [])}
    if access.fresh_converters(concerned) is None:
        await access.read_what_answers(*sorted(concerned))
    line = access.line()
    leaving = deal.unit_on(line.master_side)
    if line.mode(leaving) is None:
        # A new holder of the role may never have heard of it: what it does decides how the line goes on.
        raise NotYetError(f"what the converter of {leaving} does is not known")
    plan = plan_departure(deal, line)
    if isinstance(plan, Danger):
        raise ReferenceLostError(plan.reason)
    if plan.hand_over is not None and access.silent_s(plan.hand_over.new_unit_id) is not None:
        # Nobody else is there to take it: the deals of units that do not answer end first.
        raise NotYetError(f"{leaving} holds the line: {plan.hand_over.new_unit_id} does not answer")
    with access.trials.stage(deal, Stage.DEACTIVATE):
        failure = await _switch_off(access, deal, line, plan)
    return await _ended(access, deal, plan, failure)


async def _switch_off(access: Access, deal: Deal, line: Line, plan: Departure) -> str | None:
    """The plan carried out; what a current mode did not follow, or None."""
    reason, failure = f"end of deal {deal.deal_id}", None
    if plan.hand_over is not None:
        await hand_over(access, plan.hand_over, reason)
    elif plan.command_wait and line.mode(plan.unit_id) is ConverterMode.VOLTAGE_REFERENCE:
        await expect_all_others_off(access, plan.unit_id)
        await access.command(plan.unit_id, CommandKind.WAIT, reason)
    elif plan.command_wait or plan.current_a is not None:
        kind = CommandKind.WAIT if plan.command_wait else CommandKind.CURRENT
        try:
            await access.command(plan.unit_id, kind, reason, grid_current_a=plan.current_a)
        except ApisError as error:
            failure = f"{plan.unit_id} did not follow the end: {error}"
    return failure


async def _ended(access: Access, deal: Deal, plan: Departure, failure: str | None) -> Deal:
    if plan.new_master_id is not None:
        await access.update(plan.new_master_id, lambda d: d.changed(is_master=True))
    await access.count(deal)
    now = access.clock.now()
    marks = [] if failure is None else [Mark(now, failure)]
    return await access.update(deal.deal_id, lambda d: _marked(d.changed(deactivate_time=now, is_master=False), marks))


async def expect_all_others_off(access: Access, reference: str) -> None:
    """Nothing but a reading in wait counts as off; a converter found on without a deal is ordered to wait.

    Raises:
        NotYetError: if one is not known to be off.

    """
    reachable = sorted(unit for unit in access.members() - {reference} if access.silent_s(unit) is None)
    silent = await access.read_what_answers(*reachable)
    line = access.line()
    in_deals = {unit for deal in line.deals if deal.is_running for unit in deal.unit_ids}
    for unit_id in reachable:
        mode = line.mode(unit_id)
        if unit_id in silent or mode in (None, ConverterMode.WAIT):
            continue
        if unit_id in in_deals:
            raise NotYetError(f"{reference} holds the line: {unit_id} has a running deal")
        await access.command(unit_id, CommandKind.WAIT, "no deal: the line goes down")
    doubtful = sorted(unit for unit in set(access.policy.member_unit_ids) - {reference} if access.may_be_on(unit))
    if doubtful:
        raise NotYetError(f"{reference} holds the line: {', '.join(doubtful)} may still be on and cannot be commanded")


async def discard(access: Access, deal: Deal, reason: str) -> Deal:
    """End a deal before anything was switched on."""
    mark = Mark(access.clock.now(), reason)
    return await access.update(deal.deal_id, lambda d: _marked(d, [mark]))


def _marked(deal: Deal, marks: Collection[Mark]) -> Deal:
    """The deal with its abort marks; the same reason is not written twice."""
    known = {mark.reason for mark in deal.aborts}
    new = [mark for mark in marks if mark.reason not in known]
    if not new:
        return deal
    return deal.changed(
        aborts=(*deal.aborts, *new),
        abort_time=deal.abort_time or new[0].time,
        abort_reason=deal.abort_reason or new[0].reason,
    )


async def scram(access: Access, reason: str) -> None:
    """All converters to wait: the current modes first, the reference after the policy's delay."""
    line = access.line()
    references = set(line.reference_unit_ids)
    await emergency_waits(access, access.members() - references, reason)
    await access.clock.sleep_wall(access.policy.scram_voltage_reference_delay_s)
    await emergency_waits(access, references & access.members(), reason)
    now = access.clock.now()

    def change(deal: Deal) -> Deal:
        stop = deal.stop_time or (now if deal.start_time is not None else None)
        end = deal.deactivate_time or (now if deal.activate_time is not None else None)
        return deal.changed(scram_time=now, scram_reason=reason, stop_time=stop, deactivate_time=end, is_master=False)

    for deal in access.line().deals:
        try:
            await _refresh_counters(access, deal, *deal.unit_ids)
            await access.update(deal.deal_id, change)
        except ApisError as error:
            _LOGGER.error("scram: deal %s: %s", deal.deal_id, error)


async def emergency_waits(access: Access, unit_ids: Collection[str], reason: str) -> None:
    """To wait, the two ends of a deal together, a pair at a time; answers are not awaited in between."""
    tasks: dict[str, asyncio.Task[Converter]] = {}
    for pair in interruptions.pairs(access.line().deals, unit_ids):
        if tasks:
            await access.clock.sleep_wall(access.policy.times.emergency_spacing_s)
        tasks |= {unit_id: asyncio.create_task(access.command(unit_id, CommandKind.SCRAM, reason)) for unit_id in pair}
    if not tasks:
        return
    # Whoever is silent holds nobody up; its wait goes on being tried.
    await asyncio.wait(tasks.values(), timeout=WAIT_SEQUENCE_S + MESSAGE_S)
    for unit_id, task in tasks.items():
        if not task.done():
            _LOGGER.error("%s: %s has not answered yet", reason, unit_id)
            access.keep(task)
        elif isinstance(failure := task.exception(), ApisError):
            _LOGGER.error("%s: %s did not follow: %s", reason, unit_id, failure)
        elif failure is not None:
            raise failure
