"""Bringing deals and line together again after something on the line has died.

A lost voltage reference takes its line down: current modes leave at once, and the deals that can go on start again on a
new reference with the energy they have. A unit that nobody can reach counts as on until it is known to be off.
"""

from collections.abc import Callable, Collection
from datetime import timedelta

from ..model.converter import ConverterMode
from ..model.deal import Deal, Mark
from ..model.modes import CommandKind
from ..rules import interruptions
from ..rules.reference import Line, running_current_a
from ..unit.board import BAN
from .access import Access, DealGoneError
from .endings import emergency_waits, expect_all_others_off, let_go
from .hand_over import KEY as HAND_OVER


async def reference_is_lost(access: Access) -> str | None:
    """Why the running deals have nothing to hold on to, or None: somebody who answers holds the voltage, or it cannot be told."""
    line = access.line()
    active = [deal for deal in line.deals if deal.is_active]
    if not active:
        return None
    answering = [unit for unit in line.reference_unit_ids if access.silent_s(unit) is None and not access.is_stale(unit)]
    if answering:
        return None
    units = sorted({unit for deal in active for unit in deal.unit_ids})
    doubtful = [unit for unit in units if access.silent_s(unit) is None and access.fresh_converters({unit}) is None]
    if doubtful:
        await access.read_what_answers(*doubtful)
        line = access.line()
        still = [unit for unit in doubtful if access.fresh_converters({unit}) is None]
        if still or any(access.silent_s(unit) is None and not access.is_stale(unit) for unit in line.reference_unit_ids):
            return None
    holders = line.reference_unit_ids or _masters(access, line)
    return f"the voltage reference {' and '.join(holders) or 'of the line'} is lost"


async def reset_line(access: Access, reason: str) -> None:
    """Current modes to wait, all deals back to their beginning or, where a unit is gone, to their end."""
    line = access.line()
    await emergency_waits(access, _possible_current_modes(access, line), reason)
    loss = {f"{deal.deal_id} {len(deal.interruptions)}" for deal in line.deals if deal.is_active}
    for unit_id in dict.fromkeys((*line.reference_unit_ids, *_masters(access, line))):
        await _ban(access, unit_id, loss)
    # What has flowed until now is in the answers.
    await access.read_what_answers(*sorted(unit for unit in access.members() if access.silent_s(unit) is None))
    limit = access.policy.times.reference_losses_max
    for deal in [deal for deal in line.deals if deal.is_active]:
        gone = [unit for unit in deal.unit_ids if access.silent_s(unit) is not None]
        mark = Mark(access.clock.now(), reason)
        final = interruptions.final_reason(deal, gone, reason, limit)
        try:
            await access.count(deal)
            await access.update(deal.deal_id, lambda d, mark=mark, final=final: interruptions.after_loss(d, mark, final))  # type: ignore[misc]
        except DealGoneError:
            continue


def _masters(access: Access, line: Line) -> tuple[str, ...]:
    """The units that held the voltage for the master deals: as last read, else as the policy wants it."""
    masters, last = (deal for deal in line.deals if deal.is_active and deal.is_master), access.last_reference_unit_id
    return tuple(last if last is not None and last in deal.unit_ids else deal.unit_on(line.master_side) for deal in masters)


def _possible_current_modes(access: Access, line: Line) -> list[str]:
    """Units that answer and may be in a current mode."""
    holders = set(line.reference_unit_ids)
    return sorted(unit for unit in access.members() - holders if access.may_be_on(unit) and access.silent_s(unit) is None)


async def _ban(access: Access, unit_id: str, loss: Collection[str]) -> None:
    """A unit that lost the reference does not take it again for a while, longer each time.

    `loss`: the deals that lost it, and for which time; a reset that is begun once more, here or by the next one, bans nobody again.
    """
    stored = await access.cluster.store.get(BAN + unit_id)
    entry = (None if stored is None else stored.value) or {}
    if not set(entry.get("loss", ())).isdisjoint(loss):
        return
    count = int(entry.get("count", 0)) + 1
    length_s = interruptions.ban_s(count, access.policy.times.reference_ban_s)
    until = access.clock.now() + timedelta(seconds=length_s / access.clock.to_wall(1.0))
    await access.cluster.store.put(BAN + unit_id, {"count": count, "until": until.isoformat(), "loss": sorted(loss)})


async def interrupt(access: Access, deal: Deal, reason: str) -> None:
    """A current-mode unit of a deal left the live line by itself: the deal is warmed up again on the same reference.

    Where several were left at once, one is; the others are activated again when their turn comes.
    """
    line = access.line()
    own_reference = deal.unit_on(line.master_side) == line.reference_unit_id
    is_next = not any(each.is_in_transition and each.stop_time is None for each in line.deals)
    await let_go(access, deal, deal.unit_on(line.master_side.opposite))
    if not own_reference:
        await let_go(access, deal, deal.unit_on(line.master_side))
    await access.count(deal)
    mark = Mark(access.clock.now(), reason)
    await access.update(deal.deal_id, lambda d: interruptions.after_trip(d, mark, keeps_reference=own_reference and is_next))


async def clear_strays(access: Access, tell: Callable[[str], None]) -> bool:
    """Converters found on behind no active deal go to wait, a reference last; whether something was done."""
    line = access.line()
    in_deals = {unit for deal in line.deals if deal.is_active for unit in deal.unit_ids}
    on = [unit for unit in sorted(access.members() - in_deals) if _is_seen_on(access, unit)]
    currents = [unit for unit in on if line.mode(unit) is not ConverterMode.VOLTAGE_REFERENCE]
    if on:
        tell(f"converters on without a deal go to wait: {', '.join(on)}")
    for unit_id in currents:
        await access.command(unit_id, CommandKind.WAIT, "found on without a deal")
    if in_deals or not (references := [unit for unit in on if unit not in currents]):
        return bool(currents)
    await expect_all_others_off(access, references[0])
    await access.command(references[0], CommandKind.WAIT, "found on without a deal")
    return True


async def clear_surplus(access: Access, tell: Callable[[str], None]) -> bool:
    """Current modes that carry more than their deals go down to what those need; whether one did.

    A current is raised before its deal is written down as activated. Should that never come about, nobody else would lower it.
    """
    line, cleared = access.line(), False
    in_deals = {unit_id for deal in line.deals if deal.is_active for unit_id in deal.unit_ids}
    for unit_id in sorted(access.members() & in_deals):
        converter, carried = line.converters.get(unit_id), line.carried_deals(unit_id)
        if converter is None or converter.mode is None or not converter.mode.is_current_mode or not carried:
            continue
        needed_a, set_a = running_current_a(carried, unit_id), converter.current_limit_a
        # Trims and meters differ by less than half of a deal.
        allowance_a = min(deal.grid_current_a for deal in carried) / 2
        if set_a is None or set_a - needed_a <= allowance_a or not _is_seen_on(access, unit_id):
            continue
        tell(f"{unit_id} carries {set_a:g} A, its deals need {needed_a:g} A: it goes down to that")
        await access.command(unit_id, CommandKind.CURRENT, "more than its deals need", grid_current_a=needed_a)
        cleared = True
    return cleared


async def clear_second_references(access: Access, tell: Callable[[str], None]) -> bool:
    """Whoever holds the voltage beside the line's own reference leaves it, whatever transition is under way; whether one did.

    To wait, or to the current mode of the deals it has.
    """
    line = access.line()
    if len(line.reference_unit_ids) < 2 or access.board.value(HAND_OVER) is not None:
        return False
    second = [unit for unit in line.second_reference_unit_ids if _is_seen_on(access, unit)]
    if not second:
        return False
    tell(f"second voltage references leave the line's voltage: {', '.join(second)}")
    for unit_id in second:
        carried = line.carried_deals(unit_id)
        side = carried[0].side_of(unit_id) if carried else None
        if side is None:
            await access.command(unit_id, CommandKind.WAIT, "a second voltage reference")
        else:
            current_a = running_current_a(carried, unit_id)
            kind, mode = CommandKind.DID_HAND_OVER, side.current_mode
            await access.command(unit_id, kind, "a second voltage reference", mode=mode, grid_current_a=current_a)
    return True


def _is_seen_on(access: Access, unit_id: str) -> bool:
    reading = access.readings.get(unit_id)
    if reading is None or reading.converter.mode in (None, ConverterMode.WAIT):
        return False
    return access.silent_s(unit_id) is None and not access.is_stale(unit_id) and reading.monotonic_s >= access.changed_s
