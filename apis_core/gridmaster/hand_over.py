"""Moving the line's voltage from one converter to another: droop, take over, let go, droop off (behaviour reference 4.9).

The plan is in the store before the first command. If anything goes wrong on the way, whoever is Grid Master next looks at
what the two converters really do, and finishes it or takes it back.
"""

from ..model.converter import ConverterMode
from ..model.deal import Deal
from ..model.errors import ApisError, MessageError
from ..model.modes import CommandKind
from ..ports import Json
from ..rules.reference import HandOver
from .access import Access

KEY = "handOver"


class HandOverOpenError(ApisError):
    """One hand-over at a time."""


async def hand_over(access: Access, plan: HandOver, reason: str, deal_id: str = "") -> None:
    """Carry the four steps out.

    Both converters hold the voltage between the second and the third step, each with droop. `deal_id` is the deal whose
    activation moves the voltage, if that is why.

    Raises:
        ApisError: if a step failed, or another hand-over has begun; `finish` has to be called before anything else happens on the line.

    """
    store, old, new = access.cluster.store, plan.old_unit_id, plan.new_unit_id
    if access.board.value(KEY) is not None:
        raise HandOverOpenError("an earlier hand-over of the line's voltage is still open")
    # Never over the plan of another Grid Master that this one has not seen yet.
    await store.create(KEY, _record(plan, deal_id))
    call_s = access.policy.times.hand_over_call_s
    await access.command(old, CommandKind.WILL_HAND_OVER, reason, within_s=call_s)
    access.two_references_since_s = access.clock.wall()
    await access.command(new, CommandKind.WILL_TAKE_OVER, reason, within_s=call_s, grid_voltage_v=plan.voltage_v)
    await _let_go(access, plan, reason)
    access.two_references_since_s = None
    await access.command(new, CommandKind.DID_TAKE_OVER, reason, within_s=call_s)
    if deal_id:
        # Once the plan is gone, nothing but its deal tells for what the new one holds the voltage.
        await _note_new_master(access, plan, deal_id)
    await store.delete(KEY)


async def _let_go(access: Access, plan: HandOver, reason: str) -> None:
    mode = None if plan.old_mode is ConverterMode.WAIT else plan.old_mode
    current_a, call_s = plan.old_current_a if mode is not None else None, access.policy.times.hand_over_call_s
    await access.command(plan.old_unit_id, CommandKind.DID_HAND_OVER, reason, within_s=call_s, mode=mode, grid_current_a=current_a)


async def finish(access: Access) -> None:
    """Bring an interrupted hand-over to one reference: forward if the new one holds the voltage, else back.

    While the other one cannot be asked and is not known to be off, or the order to take over may still reach it, it may hold
    the voltage too: both keep their droop, the hand-over stays open, and the line goes on with the one that answers.

    Raises:
        ApisError: if what has to be done was not; it is looked at again.

    """
    entry = await access.cluster.store.get(KEY)
    if entry is None or entry.value is None:
        return
    plan, deal_id = _plan(entry.value), str(entry.value.get("dealId", ""))
    old, new, reason = plan.old_unit_id, plan.new_unit_id, "unfinished hand-over"
    call_s = access.policy.times.hand_over_call_s
    silent = await access.read_what_answers(*(unit for unit in (old, new) if access.silent_s(unit) is None), within_s=call_s)
    silent |= {unit for unit in (old, new) if access.silent_s(unit) is not None}
    line = access.line()
    holding = [unit for unit in (new, old) if unit not in silent and line.mode(unit) is ConverterMode.VOLTAGE_REFERENCE]
    if not holding:
        if not any(access.may_be_on(unit) for unit in silent) and not access.may_still_act(new):
            await access.cluster.store.delete(KEY)
        return
    keeper, other = holding[0], old if holding[0] == new else new
    if keeper == new:
        if old in holding:
            await _end_of_two(access, plan, reason)
        await _note_new_master(access, plan, deal_id)
    if (other in silent and access.may_be_on(other)) or (other == new and access.may_still_act(new)):
        return
    # One reference is left: there is time for a slow device.
    await access.command(keeper, CommandKind.DID_TAKE_OVER, reason)
    await access.cluster.store.delete(KEY)


async def _end_of_two(access: Access, plan: HandOver, reason: str) -> None:
    """The old one leaves; if it has not followed for the time that two references may last, mode first and out of its deals."""
    now_s = access.clock.wall()
    if access.two_references_since_s is None:
        access.two_references_since_s = now_s
    if now_s - access.two_references_since_s < access.policy.times.two_references_s:
        await _let_go(access, plan, reason)
    else:
        await access.command(plan.old_unit_id, CommandKind.SCRAM, f"{reason}: two references for too long")
    access.two_references_since_s = None


async def _note_new_master(access: Access, plan: HandOver, deal_id: str) -> None:
    """The deals' records follow the voltage: the newest deal of the unit that holds it is the master deal."""
    now = access.clock.now()
    started = access.board.deal(deal_id) if deal_id else None
    if started is not None and not started.is_ended and started.activate_time is None:
        await access.update(deal_id, lambda d: d.changed(activate_time=now))
    active = [deal for deal in access.line().deals if deal.is_active]
    own = [deal for deal in active if plan.new_unit_id in deal.unit_ids]
    master = max(own, key=_activated, default=None)
    if master is not None:
        await access.update(master.deal_id, lambda d: d.changed(is_master=True))
        for deal in active:
            if deal.is_master and deal.deal_id != master.deal_id:
                await access.update(deal.deal_id, lambda d: d.changed(is_master=False))


def _activated(deal: Deal) -> str:
    return deal.activate_time.isoformat() if deal.activate_time is not None else ""


def _record(plan: HandOver, deal_id: str) -> Json:
    return {
        "oldUnitId": plan.old_unit_id,
        "newUnitId": plan.new_unit_id,
        "voltageV": plan.voltage_v,
        "oldMode": plan.old_mode.name,
        "oldCurrentA": plan.old_current_a,
        "dealId": deal_id,
    }


def _plan(record: Json) -> HandOver:
    try:
        return HandOver(
            str(record["oldUnitId"]),
            str(record["newUnitId"]),
            record["voltageV"],
            ConverterMode[record["oldMode"]],
            float(record["oldCurrentA"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(f"hand-over: {error!r} in {record!r:.200}") from error
