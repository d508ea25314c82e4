"""What must hold when the last fault is over: the community shares again, everybody in it, ends in order, and its books agree."""

from collections.abc import Awaitable, Callable, Mapping
import contextlib
from dataclasses import dataclass

from ..gridmaster.hand_over import KEY
from ..model.converter import ConverterMode
from ..model.deal import Deal
from ..model.errors import ApisError, Category
from ..model.modes import OperationMode
from . import plans
from .books import Exchanged
from .invariants import Line, records_differ
from .plans import Plan
from .stage import Stage

# After the last fault: how long until the community shares again, how long until each of its houses has done so, and how long
# until all has ended in order once it is told to [s].
SHARES_AGAIN_S, EVERYBODY_S, DRAINED_S = 1800.0, 1800.0, 1200.0
DEAL_WH = 20
WHO = "chaos"
# Devices that do not say what is so.
LYING = frozenset({"frozen_readings", "noise", "offset_a", "offset_v"})


@dataclass(frozen=True, slots=True)
class Aftermath:
    """One run's. `seen`: every deal there was; `look_for_lost`: says what a unit's ledger has acknowledged and lost."""

    stage: Stage
    line: Line
    plan: Plan
    seen: Mapping[str, Deal]
    exchanged: Exchanged
    look_for_lost: Callable[[str], Awaitable[None]]

    @property
    def ids(self) -> tuple[str, ...]:
        """All houses."""
        return tuple(self.stage.engine.unit_ids)

    async def judge(self) -> None:
        """All of it, one after the other."""
        await self.shares_again()
        await self.everybody_shares()
        await self.ends_in_order()
        await self.judge_books()

    async def persist(self, work: Callable[[], Awaitable[None]]) -> None:
        """What a person wants, again and again until it is done."""
        for _ in range(30):
            try:
                return await work()
            except ApisError as error:
                failure = error
            await self.stage.clock.sleep(10)
        self.line.say("healing", f"what a person wants is refused for five minutes: {failure}")
        return None

    async def shares_again(self) -> None:
        """A deal is made and completed."""
        healed = self.stage.clock.now()
        for _ in range(round(SHARES_AGAIN_S / 10)):
            await self.stage.clock.sleep(10)
            if any(deal.is_completed for deal in await self.stage.community.deals(healed)):
                return
            if not any(deal.create_time > healed for deal in self.seen.values()):
                # Nobody may want anything any more.
                with contextlib.suppress(ApisError):
                    await self.stage.community.create_deal(self.ids[0], self.ids[1], DEAL_WH, who=WHO)
        live = [f"{deal.deal_id} {deal.abort_reason}" for deal in self.seen.values() if deal.create_time > healed]
        self.line.say("sharing", f"no deal was completed within {SHARES_AGAIN_S:g} s of the last fault: {'; '.join(live)[:300]}")

    async def everybody_shares(self) -> None:
        """Each house completes one more deal that a person makes: nobody is left out for what went wrong with it."""
        await self.persist(lambda: self.stage.community.set_mode(OperationMode.HETERONOMOUS, None, WHO))
        by_energy = sorted(self.ids, key=lambda unit: -self.stage.engine.energy_wh[self.stage.engine.index[unit]])
        # The fullest gives to the emptiest, and so on; with an odd number the fullest gives twice.
        half = len(by_energy) // 2
        left = list(zip(by_energy[:half], reversed(by_energy[-half:]), strict=True))
        if len(by_energy) % 2:
            left.append((by_energy[0], by_energy[half]))
        made, reasons = dict[tuple[str, str], str](), dict[tuple[str, str], str]()
        begun, end_s = self.stage.clock.now(), self.stage.clock.monotonic() + EVERYBODY_S
        while left and self.stage.clock.monotonic() < end_s:
            await self.stage.clock.sleep(10)
            ended = {deal.deal_id: deal for deal in await self.stage.community.deals(begun) if deal.is_ended}
            for pair in list(left):
                deal = ended.get(made.get(pair, ""))
                if deal is not None and deal.is_completed:
                    left.remove(pair)
                elif deal is not None or pair not in made:
                    reasons[pair] = str(deal.abort_reason) if deal is not None else reasons.get(pair, "")
                    made.pop(pair, None)
                    try:
                        made[pair] = (await self.stage.community.create_deal(*pair, DEAL_WH, who=WHO)).deal_id
                    except ApisError as error:
                        reasons[pair] = str(error)
        for pair in left:
            self.line.say(f"left out {pair}", f"{' and '.join(pair)} completed no deal within {EVERYBODY_S:g} s: {reasons.get(pair, '')}")

    async def ends_in_order(self) -> None:
        """Told to stop, everything ends."""
        await self.persist(lambda: self.stage.community.set_mode(OperationMode.STOP, None, WHO))
        end_s = self.stage.clock.monotonic() + DRAINED_S
        while self.stage.clock.monotonic() < end_s:
            await self.stage.clock.sleep(5)
            self.stage.world.catch_up()
            if not self.stage.deals() and set(self.stage.modes()) == {ConverterMode.WAIT}:
                return
        left = [f"{deal.deal_id} {deal.abort_reason}" for deal in self.stage.deals()]
        on = [unit for unit, mode in zip(self.ids, self.stage.modes(), strict=True) if mode is not ConverterMode.WAIT]
        self.line.say("end", f"after {DRAINED_S:g} s in mode stop deals are left: {'; '.join(left)[:300]}; converters on: {', '.join(on)}")

    async def judge_books(self) -> None:
        """Both ledgers hold the same of every deal, nothing acknowledged is lost, and what is recorded is what flowed."""
        ledgers: dict[str, dict[str, Deal]] = {}
        for unit in self.ids:
            ledgers[unit] = {deal.deal_id: deal for deal in await self.stage.community.nodes[unit].ledger.deals()}
        left = {deal.deal_id for deal in self.stage.deals()}
        for deal in self.seen.values():
            if deal.deal_id not in left:
                first, second = (ledgers[unit].get(deal.deal_id) for unit in deal.unit_ids)
                wrong = records_differ(first, second, deal)
                if wrong is not None:
                    self.line.say(f"ledger {deal.deal_id}", wrong)
        if self.stage.hub.store.holds(KEY):
            self.line.say("hand-over", "a hand-over is still written down as open")
        if not plans.PHYSICAL & {fault.kind for fault in self.plan}:
            # In the ledgers: such a deal may be out of the store before anybody has looked.
            for deal in (deal for ledger in ledgers.values() for deal in ledger.values()):
                if deal.scram_time is not None:
                    self.line.say("scram", f"scram without a physical cause: {deal.scram_reason}")
        for unit in self.ids:
            await self.look_for_lost(unit)
            self._judge_energy(unit, ledgers[unit])
            for _, report in self.stage.database.errors(unit):
                if report.category is Category.LOGIC:
                    self.line.say(f"logic {report.unit_id}", f"the program failed: {report}")

    def _judge_energy(self, unit: str, deals: dict[str, Deal]) -> None:
        """What is recorded is what flowed, wherever the device told the truth."""
        if any(unit in fault.units for fault in self.plan if fault.kind in LYING):
            return
        unattributed_wh = self.stage.community.nodes[unit].controller.account.unattributed_wh
        wrong = self.exchanged.disagreement(unit, deals.values(), unattributed_wh)
        if wrong is not None:
            self.line.say(f"energy {unit}", wrong)
