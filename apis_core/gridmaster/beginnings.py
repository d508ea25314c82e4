"""Switching a deal on: activation, ramp-up, proof of the reference, warm-up and compensation (behaviour reference 4.5 to 4.7)."""

from collections.abc import Sequence
import logging

from ..model.converter import ConverterMode
from ..model.deal import Deal, Direction, Mark, Side, Stage
from ..model.errors import ApisError, DriverError
from ..model.modes import CommandKind
from ..rules import admission, compensation, interruptions, overload, slots
from ..rules.reference import Activation, Danger, Line, Never, NotNow, added_a, plan_activation
from ..rules.schedule import next_ramp_check_s
from .access import Access
from .endings import expect_all_others_off
from .hand_over import hand_over

_LOGGER = logging.getLogger(__name__)
START = {
    ConverterMode.VOLTAGE_REFERENCE: CommandKind.VOLTAGE_REFERENCE,
    ConverterMode.CHARGE: CommandKind.CHARGE,
    ConverterMode.DISCHARGE: CommandKind.DISCHARGE,
}


class StepFailedError(ApisError):
    """A step did not work out; the deal is ended with this reason."""


class HandOverFailedError(ApisError):
    """The line's voltage was not moved; where it is now is found out before anything else happens."""


class DangerError(ApisError):
    """The line is not safe: everybody stops until a person has looked."""


async def activate(access: Access, deal: Deal) -> NotNow | Never | Deal:
    """Switch the master-side unit on, moving the reference if it must move; the activated deal, or why not (yet).

    Raises:
        DangerError: if somebody else holds the line.
        ApisError: if a unit did not follow.

    """
    refusal = grants_refusal(access, deal)
    if refusal is not None:
        return Never(refusal)
    await access.read(*deal.unit_ids)
    if doubted := access.whose_start_is_in_doubt():
        await access.read_what_answers(*doubted)
    line = access.line()
    reference = line.reference_unit_id
    if reference is not None and reference not in deal.unit_ids and access.silent_s(reference) is None:
        await access.read(reference)
        line = access.line()
    active = [d for d in line.deals if d.is_active and d.deal_id != deal.deal_id]
    holders = [] if active else sorted({*access.may_still_hold(), *access.whose_start_is_in_doubt()})
    if holders:
        return NotNow(f"{' and '.join(holders)} may still hold the line and cannot be asked", is_held=True)
    refusal = admission.refusal(deal, active, access.policy) or _room_refusal(access, deal, active)
    plan = Never(refusal) if refusal is not None else plan_activation(deal, line)
    if isinstance(plan, Danger):
        doubtful = [unit for unit in access.policy.member_unit_ids if access.silent_s(unit) is not None or access.is_stale(unit)]
        on = sorted(unit for unit in access.policy.member_unit_ids if access.may_be_on(unit))
        if doubtful or on:
            return NotNow(f"the line is held by {' or '.join(on or doubtful)}, whose converter is not known to be off", is_held=True)
        if not access.note_stranger():
            # Who has just gone to wait may have held it when the voltage was read, and a line takes a moment to fall.
            return NotNow(f"{plan.reason}; it is looked at again", is_held=True)
        raise DangerError(plan.reason)
    if not isinstance(plan, Activation):
        return plan
    holder = plan.hand_over.new_unit_id if plan.hand_over is not None else reference or plan.unit_id
    own = [d for d in (*line.carried_deals(holder), deal) if holder in d.unit_ids]
    too_much = overload.refusal(holder, own, access.strays_a(), access.capacity_a(holder))
    if too_much is not None:
        return NotNow(too_much, is_held=True)
    with access.trials.stage(deal, Stage.ACTIVATE):
        await _switch_on(access, deal, plan)
        return await _activated(access, deal, plan, line)


def grants_refusal(access: Access, deal: Deal) -> str | None:
    """Why a deal lacks the word of one of its units, or None: both grants are there and have not run out."""
    now = access.clock.now()
    for unit_id in deal.unit_ids if not deal.interruptions else ():
        # A grant was firm from activation on; a deal that begins again has it still.
        grant = next((g for g in deal.grants if g.unit_id == unit_id), None)
        if grant is None:
            return f"{unit_id} has not granted it"
        if grant.expires <= now:
            return f"the grant of {unit_id} ran out at {grant.expires:%H:%M:%S}"
    return None


def _room_refusal(access: Access, deal: Deal, active: Sequence[Deal]) -> str | None:
    """Why one of the deal's units cannot carry it beside what is active, or None.

    Each unit grants its own slots, but what it reserves runs out: a deal that was long on its way to the store may find the
    room that it was promised taken.
    """
    for side, direction in ((Side.DISCHARGE, Direction.DISCHARGE), (Side.CHARGE, Direction.CHARGE)):
        unit_id = deal.unit_on(side)
        own = [other for other in active if unit_id in other.unit_ids]
        refusal = slots.refusal(unit_id, direction, deal.grid_current_a, access.capacity_a(unit_id), own) if own else None
        if refusal is not None:
            return refusal
    return None


async def _switch_on(access: Access, deal: Deal, plan: Activation) -> None:
    reason = f"deal {deal.deal_id}"
    if plan.hand_over is not None:
        try:
            await hand_over(access, plan.hand_over, reason, deal.deal_id)
        except ApisError as error:
            raise HandOverFailedError(str(error)) from error
        return
    kind = CommandKind.CURRENT if plan.mode is None else START[plan.mode]
    if plan.mode is None and plan.current_a is None:
        return
    try:
        await access.command(plan.unit_id, kind, reason, grid_current_a=plan.current_a)
    except ApisError:
        # Whatever of it was carried out must not stay: the deal was never activated, nobody else would look after it.
        await _take_back(access, deal, plan)
        raise


async def _take_back(access: Access, deal: Deal, plan: Activation) -> None:
    reason = f"deal {deal.deal_id} was not activated"
    try:
        if plan.mode is not None:
            await access.command(plan.unit_id, CommandKind.WAIT, reason)
        else:
            current_a = access.line().current_for_others_a(deal, plan.unit_id)
            await access.command(plan.unit_id, CommandKind.CURRENT, reason, grid_current_a=current_a)
    except ApisError as error:
        _LOGGER.error("%s, and %s did not take it back: %s", reason, plan.unit_id, error)


async def _activated(access: Access, deal: Deal, plan: Activation, line: Line) -> Deal:
    now, old_master = access.clock.now(), line.master_deal
    activated = await access.update(
        deal.deal_id,
        lambda d: d.changed(activate_time=now, compensation_target_a=plan.target_a, is_master=plan.becomes_master),
    )
    if plan.hand_over is not None and old_master is not None:
        await access.update(old_master.deal_id, lambda d: d.changed(is_master=False))
    return activated


async def check_ramp_up(access: Access, deal: Deal, seen: dict[str, tuple[float, float]]) -> Deal | float:
    """Whether the line has its voltage: the deal with its time of ramp-up, or when to look again [monotonic s].

    `seen` remembers the last look (time and voltage) per deal, to predict the arrival.

    Raises:
        StepFailedError: if the units are not in the modes this takes.
        DangerError: if the line does not get there in time.

    """
    await access.read(*deal.unit_ids)
    await _have_slave_off(access, deal)
    line, policy = access.line(), access.policy
    master, slave = deal.unit_on(line.master_side), deal.unit_on(line.master_side.opposite)
    _expect_rising(line, master, slave)
    converter = line.converters[master]
    voltage_v, target_v = converter.meter.grid_voltage_v, converter.target_voltage_v
    if voltage_v is None or target_v is None:
        raise StepFailedError(f"{master} does not say the line voltage")
    goal_v, now_s = target_v - policy.grid_voltage_allowance_v, access.clock.monotonic()
    if voltage_v >= goal_v:
        now = access.clock.now()
        return await access.update(deal.deal_id, lambda d: d.changed(ramp_up_time=now))
    assert deal.activate_time is not None
    if (access.clock.now() - deal.activate_time).total_seconds() >= policy.ramp_up_timeout_s:
        raise DangerError(
            f"{master} has raised the line to {voltage_v:g} V only, expected {goal_v:g} V within {policy.ramp_up_timeout_s:g} s"
        )
    last_s, last_v = seen.get(deal.deal_id, (now_s, voltage_v))
    seen[deal.deal_id] = (now_s, voltage_v)
    slope = (voltage_v - last_v) / (now_s - last_s) if now_s > last_s else None
    return next_ramp_check_s(now_s, voltage_v, goal_v, slope, policy.main_loop_period_s)


async def _have_slave_off(access: Access, deal: Deal) -> None:
    """A Grid Master that has gone may have switched the slave side on and not written it down: that begins anew."""
    line = access.line()
    slave = deal.unit_on(line.master_side.opposite)
    if line.mode(slave) is line.master_side.opposite.current_mode and not line.running_others(deal, slave):
        await access.command(slave, CommandKind.WAIT, f"deal {deal.deal_id} begins anew")


def _expect_rising(line: Line, master: str, slave: str) -> None:
    if line.mode(master) is not ConverterMode.VOLTAGE_REFERENCE or line.mode(slave) is not ConverterMode.WAIT:
        raise StepFailedError(
            f"{master} is in {_name(line, master)} and {slave} in {_name(line, slave)}, expected VOLTAGE_REFERENCE and WAIT"
        )


async def authorise(access: Access, deal: Deal) -> Deal | None:
    """The proof that the master-side unit holds the line's voltage; None if it failed and the deal starts anew."""
    await _have_slave_off(access, deal)
    line = access.line()
    master, slave = deal.unit_on(line.master_side), deal.unit_on(line.master_side.opposite)
    _expect_rising(line, master, slave)
    try:
        with access.trials.stage(deal, Stage.AUTHORISE):
            await access.command(master, CommandKind.AUTHORISE, f"deal {deal.deal_id}")
    except ApisError as error:
        await expect_all_others_off(access, master)
        await access.command(master, CommandKind.WAIT, f"deal {deal.deal_id} is reset")
        mark = Mark(access.clock.now(), f"{master}: {error}")
        await access.update(deal.deal_id, lambda d: interruptions.after_failed_proof(d, mark))
        return None
    return deal


async def warm_up(access: Access, deal: Deal) -> Deal:
    """Switch the slave-side unit on, trim the currents, and start counting.

    Raises:
        StepFailedError: if the line is not as it must be or the currents do not come together.
        ApisError: if a unit did not follow.

    """
    # Whoever takes over a deal in warm-up may never have heard of one of its units.
    if unread := [unit for unit in deal.unit_ids if unit not in access.readings]:
        await access.read_status(*unread)
    line = access.line()
    side = line.master_side
    master, slave = deal.unit_on(side), deal.unit_on(side.opposite)
    if line.mode(master) is ConverterMode.WAIT:
        raise StepFailedError(f"{master} is in wait before {slave} was switched on")
    if deal.warm_up_time is None:
        with access.trials.stage(deal, Stage.WARM_UP):
            deal = await _switch_on_slave(access, deal, line, slave)
    with access.trials.stage(deal, Stage.COMPENSATE):
        await _compensate(access, deal)
    await access.read_status(*deal.unit_ids)
    return await _started(access, deal)


async def _switch_on_slave(access: Access, deal: Deal, line: Line, slave: str) -> Deal:
    reason = f"deal {deal.deal_id}"
    if line.mode(slave) is ConverterMode.WAIT:
        mode = line.master_side.opposite.current_mode
        await access.command(slave, START[mode], reason, grid_current_a=deal.grid_current_a)
    else:
        current_a = added_a(line.current_for_others_a(deal, slave), deal.grid_current_a)
        await access.command(slave, CommandKind.CURRENT, reason, grid_current_a=current_a)
    now = access.clock.now()
    return await access.update(deal.deal_id, lambda d: d.changed(warm_up_time=now))


async def _compensate(access: Access, deal: Deal) -> None:
    policy = access.policy
    trim = compensation.plan(deal, access.line())
    if trim is None:
        return
    for attempt in range(policy.compensation_limit + 1):
        await access.read_status(trim.observed_unit_id)
        observed_a = access.readings[trim.observed_unit_id].converter.meter.grid_current_a
        if observed_a is None:
            raise StepFailedError(f"{trim.observed_unit_id} does not say its grid current")
        if compensation.within(trim, observed_a, policy.compensation_drift_allowance_a):
            return
        if attempt == policy.compensation_limit:
            break
        set_a = access.readings[trim.trimmed_unit_id].converter.current_limit_a or 0.0
        next_a = compensation.corrected_a(trim, set_a, observed_a)
        await access.command(trim.trimmed_unit_id, CommandKind.CURRENT, f"trim of deal {deal.deal_id}", grid_current_a=next_a)
    raise StepFailedError(
        f"after {policy.compensation_limit} corrections {trim.observed_unit_id} carries {observed_a:g} A,"
        f" expected {trim.target_a:g} +- {policy.compensation_drift_allowance_a:g} A"
    )


async def _started(access: Access, deal: Deal) -> Deal:
    line, now = access.line(), access.clock.now()
    compensated = {}
    for unit_id in deal.unit_ids:
        measured_a = line.converters[unit_id].meter.grid_current_a
        if measured_a is None:
            raise DriverError(f"{unit_id} does not say its grid current")
        others = [d for d in line.others(deal, unit_id) if d.is_running]
        own_a = added_a(measured_a, -sum(d.compensated_current_a(unit_id) for d in others))
        compensated[unit_id] = compensation.carried_a(deal, unit_id, own_a)
    _LOGGER.info("deal %s started: %s", deal.deal_id, compensated)
    return await access.update(
        deal.deal_id,
        lambda d: d.changed(
            charge_compensated_a=compensated[d.charge_unit_id],
            discharge_compensated_a=compensated[d.discharge_unit_id],
            start_time=now,
            cumulate_time=now,
        ),
    )


def _name(line: Line, unit_id: str) -> str:
    mode = line.mode(unit_id)
    return mode.name if mode is not None else "an unknown mode"
