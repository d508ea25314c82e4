"""What a unit answers to the others: its readings, what becomes of a command, and that a deal's record is kept."""

from collections.abc import Callable
import math

from ..model.contact import Contact
from ..model.converter import ConverterMode, Reading
from ..model.deal import Deal
from ..model.errors import Category, CommandRefusedError, ErrorReport, Extent, LedgerError, Level, MessageError
from ..model.modes import Command, CommandKind
from ..ports import Clock, Cluster, Json, Ledger
from ..rules import role
from . import deal_log
from .board import LEASE, Board
from .controller import Controller, energy_json
from .mediator import Mediator
from .sentry import Sentry
from .settings import Settings
from .subjects import COMMAND, CONTACT, EPOCH, LEAVING, READ, RECORD, SNAPSHOT

_ACTIVE = {
    CommandKind.VOLTAGE_REFERENCE: ConverterMode.VOLTAGE_REFERENCE,
    CommandKind.WILL_TAKE_OVER: ConverterMode.VOLTAGE_REFERENCE,
    CommandKind.CHARGE: ConverterMode.CHARGE,
    CommandKind.DISCHARGE: ConverterMode.DISCHARGE,
}


class Answers:
    """One unit's end of what Grid Masters and leaving references say."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        controller: Controller,
        sentry: Sentry,
        mediator: Mediator,
        report: Callable[[ErrorReport], None],
        *,
        stops_itself: Callable[[], bool],
        deal_log_format: str | None = None,
    ) -> None:
        """Listen from now on. `stops_itself`: whether the device has a dead-man of its own."""
        self._settings = settings
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self._controller = controller
        self._sentry = sentry
        self._mediator = mediator
        self._report = report
        self._stops_itself = stops_itself
        self.deal_log_format = deal_log_format
        # Epoch and number of the newest order that has come.
        self._newest = (0, 0)
        for subject, handler in (
            (SNAPSHOT, self._on_snapshot),
            (READ, self._on_read),
            (COMMAND, self._on_command),
            (CONTACT, self._on_contact),
            (EPOCH, self._on_epoch),
            (LEAVING, self._on_leaving),
            (RECORD, self._on_record),
        ):
            cluster.handle(subject, handler)

    def _answer(self, reading: Reading | None) -> Json:
        # In a quiet run messages are calls: what is told is handed over as it is.
        account, direct = self._controller.account, self._clock.is_quiet
        answer: Json = {"energy": account.deals if direct else energy_json(account), "released": dict(self._controller.released)}
        if reading is not None:
            answer |= {"reading": reading if direct else reading.to_json(None), "ageS": self._controller.reading_age_s()}
        return answer

    async def _on_snapshot(self, _sender: str, _message: Json) -> Json:
        await self._controller.bring_up_to_date()
        return self._answer(self._controller.reading)

    async def _on_read(self, _sender: str, message: Json) -> Json:
        refresh = self._controller.refresh_status if message.get("status") else self._controller.refresh
        return self._answer(await refresh())

    async def _on_command(self, _sender: str, message: Json) -> Json:
        command = Command.from_json(message)
        contact, arrived_s = Contact.from_json(message.get("contact")), self._clock.wall()
        try:
            await self._hear(contact, arrived_s)
        except LedgerError:
            if command.kind not in (CommandKind.WAIT, CommandKind.SCRAM):
                raise
        self._expect_in_turn(command, message.get("order"))
        mode = _ACTIVE.get(command.kind)
        if mode is not None and (overdue_s := self._sentry.overdue_s(mode)) >= 0:
            raise CommandRefusedError(
                f"{self._settings.unit_id}: {command.kind}: no voltage reference has confirmed the Grid Master in time, {overdue_s:.0f} s late"
            )
        await self._controller.execute(command, arrived_s)
        return self._answer(self._controller.reading)

    def _expect_in_turn(self, command: Command, number: object) -> None:
        """An order that was overtaken on its way by a later one of the same Grid Master is void; the safe direction never is.

        Raises:
            CommandRefusedError: if it was.

        """
        if not isinstance(number, int):
            return
        order = command.epoch, number
        if order < self._newest and command.kind not in (CommandKind.WAIT, CommandKind.SCRAM):
            raise CommandRefusedError(f"{self._settings.unit_id}: {command.kind} was overtaken on its way by a later order")
        self._newest = max(order, self._newest)

    async def _on_contact(self, _sender: str, message: Json) -> Json:
        contact = Contact.from_json(message)
        if contact.epoch >= self._controller.highest_epoch:
            await self._hear(contact, self._clock.wall())
        # A higher epoch than the one in the contact is no acknowledgement: the sender has been left behind.
        # A unit whose device is out of its reach answers, but not for its converter, which counts on its dead-man.
        return {"epoch": self._controller.highest_epoch, "unspokenS": self._sentry.unspoken_s, "stopsItself": self._stops_itself()}

    async def _on_epoch(self, _sender: str, message: Json) -> Json:
        """Whoever wants the role asks for the highest epoch, or for a new one to be acknowledged: its own is fenced off then."""
        if "epoch" in message:
            await self._controller.admit(self._plausible(message["epoch"]))
        unheard_s = self._sentry.unheard_s
        return {"epoch": self._controller.highest_epoch, "unheardS": unheard_s if math.isfinite(unheard_s) else None}

    async def _hear(self, contact: Contact, arrived_s: float) -> None:
        """The Grid Master's word counts only with the newest epoch; it is durable here before it is acknowledged.

        `arrived_s`: the moment [wall s] from which the ages in it count, however long writing it down takes.

        Raises:
            CommandRefusedError: for an old epoch.

        """
        await self._controller.admit(self._plausible(contact.epoch))
        self._sentry.heard(contact, arrived_s)

    def _plausible(self, epoch: object) -> int:
        """An epoch as it came, if it can be one: whoever takes the role goes on from the highest there is.

        Raises:
            MessageError: for anything that would fence off every Grid Master for good.

        """
        lease = (self._board.value(LEASE) or {}).get("epoch", 0)
        known = max(self._controller.highest_epoch, int(lease))
        if not role.is_plausible(epoch, known):
            raise MessageError(f"epoch: found {epoch!r:.40}, expected at most {known + role.EPOCH_STEP_MAX}")
        return epoch

    async def _on_leaving(self, sender: str, _message: Json) -> None:
        """A reference leaves: no epoch is needed for the safe direction, but it has to be a member."""
        mode = self._controller.converter.mode
        is_current = (mode is not None and mode.is_current_mode) or self._controller.is_starting_current
        if sender in self._settings.policy.member_unit_ids and is_current:
            running = [deal.deal_id for deal in self._board.own_deals(self._settings.unit_id) if deal.is_running]
            reason = f"the voltage reference {sender} leaves"
            self._controller.released.update(dict.fromkeys(running, reason))
            await self._controller.stop_local(reason)

    async def _on_record(self, _sender: str, message: Json) -> Json:
        record = message.get("deal")
        deal = (self._board.said_by(record) if isinstance(record, dict) else None) or Deal.from_json(record)
        self._mediator.release(deal.negotiation_id)
        told = deal.side_energy(self._settings.unit_id)
        deal = await self._ledger.record_deal(self._with_own_counters(deal), self._controller.account_json())
        if self.deal_log_format is not None and deal_log.worth_logging(deal):
            self._log_deal(deal, self.deal_log_format)
        if deal.is_ended and deal.side_energy(self._settings.unit_id) == told:
            self._controller.settle(frozenset({deal.deal_id}))
        # What the record did not know yet, from a time when the unit was not reached.
        return {"durable": True, "counters": deal.side_energy(self._settings.unit_id).to_json()}

    def _with_own_counters(self, deal: Deal) -> Deal:
        own = self._controller.account.deals.get(deal.deal_id)
        if own is None:
            return deal
        return deal.changed(energy={**deal.energy, self._settings.unit_id: deal.side_energy(self._settings.unit_id).merged(own)})

    def _log_deal(self, deal: Deal, pattern: str) -> None:
        try:
            deal_log.write(deal, pattern, self._settings.zone)
        except OSError as error:
            self._report(ErrorReport(self._settings.unit_id, Category.FRAMEWORK, Extent.LOCAL, Level.WARN, f"deal log: {error}"))
