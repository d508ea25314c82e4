"""What must hold when the last fault is over: the community shares again, everybody in it, ends in order, and its books agree."""

import contextlib
from typing import TYPE_CHECKING

from ..gridmaster.hand_over import KEY
from ..model.converter import ConverterMode
from ..model.deal import Deal
from ..model.errors import ApisError, Category
from ..model.modes import OperationMode
from . import plans
from .invariants import records_differ

if TYPE_CHECKING:
    from .chaos import Chaos

# After the last fault: how long until the community shares again, how long until each of its houses has done so, and how long
# until all has ended in order once it is told to [s].
SHARES_AGAIN_S, EVERYBODY_S, DRAINED_S = 1800.0, 1800.0, 1200.0
DEAL_WH = 20
WHO = "chaos"
# Devices that do not say what is so.
LYING = frozenset({"frozen_readings", "noise", "offset_a", "offset_v"})


async def shares_again(run: Chaos) -> None:
    """A deal is made and completed."""
    healed = run.clock.now()
    for _ in range(round(SHARES_AGAIN_S / 10)):
        await run.clock.sleep(10)
        if any(deal.is_completed for deal in await run.community.deals(healed)):
            return
        if not any(deal.create_time > healed for deal in run.seen.values()):
            # Nobody may want anything any more.
            with contextlib.suppress(ApisError):
                await run.community.create_deal(run.ids[0], run.ids[1], DEAL_WH, who=WHO)
    live = [f"{deal.deal_id} {deal.abort_reason}" for deal in run.seen.values() if deal.create_time > healed]
    run.line.say("sharing", f"no deal was completed within {SHARES_AGAIN_S:g} s of the last fault: {'; '.join(live)[:300]}")


async def everybody_shares(run: Chaos) -> None:
    """Each house completes one more deal that a person makes: nobody is left out for what went wrong with it."""
    await run.persist(lambda: run.community.set_mode(OperationMode.HETERONOMOUS, None, WHO))
    by_energy = sorted(run.ids, key=lambda unit: -run.engine.energy_wh[run.engine.index[unit]])
    # The fullest gives to the emptiest, and so on; with an odd number the fullest gives twice.
    half = len(by_energy) // 2
    left = list(zip(by_energy[:half], reversed(by_energy[-half:]), strict=True))
    if len(by_energy) % 2:
        left.append((by_energy[0], by_energy[half]))
    made, reasons = dict[tuple[str, str], str](), dict[tuple[str, str], str]()
    begun, end_s = run.clock.now(), run.clock.monotonic() + EVERYBODY_S
    while left and run.clock.monotonic() < end_s:
        await run.clock.sleep(10)
        ended = {deal.deal_id: deal for deal in await run.community.deals(begun) if deal.is_ended}
        for pair in list(left):
            deal = ended.get(made.get(pair, ""))
            if deal is not None and deal.is_completed:
                left.remove(pair)
            elif deal is not None or pair not in made:
                reasons[pair] = str(deal.abort_reason) if deal is not None else reasons.get(pair, "")
                made.pop(pair, None)
                try:
                    made[pair] = (await run.community.create_deal(*pair, DEAL_WH, who=WHO)).deal_id
                except ApisError as error:
                    reasons[pair] = str(error)
    for pair in left:
        run.line.say(f"left out {pair}", f"{' and '.join(pair)} completed no deal within {EVERYBODY_S:g} s: {reasons.get(pair, '')}")


async def ends_in_order(run: Chaos) -> None:
    """Told to stop, everything ends."""
    await run.persist(lambda: run.community.set_mode(OperationMode.STOP, None, WHO))
    end_s = run.clock.monotonic() + DRAINED_S
    while run.clock.monotonic() < end_s:
        await run.clock.sleep(5)
        run.world.catch_up()
        if not run.deals() and set(run.modes()) == {ConverterMode.WAIT}:
            return
    left = [f"{deal.deal_id} {deal.abort_reason}" for deal in run.deals()]
    on = [unit for unit, mode in zip(run.ids, run.modes(), strict=True) if mode is not ConverterMode.WAIT]
    run.line.say("end", f"after {DRAINED_S:g} s in mode stop deals are left: {'; '.join(left)[:300]}; converters on: {', '.join(on)}")


async def judge_books(run: Chaos) -> None:
    """Both ledgers hold the same of every deal, nothing acknowledged is lost, and what is recorded is what flowed."""
    ledgers: dict[str, dict[str, Deal]] = {}
    for unit in run.ids:
        ledgers[unit] = {deal.deal_id: deal for deal in await run.community.nodes[unit].ledger.deals()}
    left = {deal.deal_id for deal in run.deals()}
    for deal in run.seen.values():
        if deal.deal_id not in left:
            first, second = (ledgers[unit].get(deal.deal_id) for unit in deal.unit_ids)
            wrong = records_differ(first, second, deal)
            if wrong is not None:
                run.line.say(f"ledger {deal.deal_id}", wrong)
    if run.hub.store.holds(KEY):
        run.line.say("hand-over", "a hand-over is still written down as open")
    if not plans.PHYSICAL & {fault.kind for fault in run.plan}:
        # In the ledgers: such a deal may be out of the store before anybody has looked.
        for deal in (deal for ledger in ledgers.values() for deal in ledger.values()):
            if deal.scram_time is not None:
                run.line.say("scram", f"scram without a physical cause: {deal.scram_reason}")
    for unit in run.ids:
        await run.look_for_lost(unit)
        _judge_energy(run, unit, ledgers[unit])
        for _, report in run.database.errors(unit):
            if report.category is Category.LOGIC:
                run.line.say(f"logic {report.unit_id}", f"the program failed: {report}")


def _judge_energy(run: Chaos, unit: str, deals: dict[str, Deal]) -> None:
    """What is recorded is what flowed, wherever the device told the truth."""
    if any(unit in fault.units for fault in run.plan if fault.kind in LYING):
        return
    unattributed_wh = run.community.nodes[unit].controller.account.unattributed_wh
    wrong = run.exchanged.disagreement(unit, deals.values(), unattributed_wh)
    if wrong is not None:
        run.line.say(f"energy {unit}", wrong)
