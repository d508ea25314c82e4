"""A unit's voice: offers its requests to the others, answers theirs, and grants its own slots.

An accept is a reservation that ends by itself, and at once when it loses. A deal is made by the requester, with one
grant of each side in it; nothing else has to change at the same time.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
import logging
import random
import uuid

from ..model.deal import Deal, Direction, Grant, Mark
from ..model.errors import ApisError, ClusterError, CommandRefusedError, MessageError
from ..model.modes import OperationMode
from ..model.negotiation import Decline, Offer
from ..model.times import format_time, parse_time
from ..ports import Clock, Cluster, Entry, Json, Ledger
from ..rules import admission, demand, matching, slots
from .board import DEAL, Board
from .settings import Settings
from .subjects import CONFIRM, RELEASE, REQUEST

_LOGGER = logging.getLogger(__name__)
RESERVATION_S = 5.0
GRANT_S = 600.0
MESSAGE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class _Reservation:
    promise: slots.Promise
    until_wall_s: float


class Mediator:
    """Negotiates for one unit."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        board: Board,
        ledger: Ledger,
        clock: Clock,
        rng: random.Random,
        standing: Callable[[], demand.Standing | Decline],
        willing: Callable[[OperationMode], str | None],
        bring_up_to_date: Callable[[], Awaitable[bool]],
        *,
        simulated: bool = False,
    ) -> None:
        """`standing`: the unit's position, or why it has none. `willing`: why the unit shares in no deal now, if so.

        `bring_up_to_date`: read the device if nobody has done so lately, and say whether that was so.

        `simulated`: no real current flows here, so that failures may be tried.
        """
        self._simulated = simulated
        self._settings = settings
        self._cluster = cluster
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._standing = standing
        self._willing = willing
        self._bring_up_to_date = bring_up_to_date
        self._reservations: dict[str, _Reservation] = {}
        # Who would accept to charge or discharge, where somebody foresees it; None to ask all.
        self.who_accepts: Callable[[Direction], Collection[str]] | None = None
        cluster.handle(REQUEST, self._on_request)
        cluster.handle(CONFIRM, self._on_confirm)
        cluster.handle(RELEASE, self._on_release)

    def promises(self, besides: str = "") -> tuple[slots.Promise, ...]:
        """What the unit is bound to beside the deals in the store, and beside one negotiation."""
        if not self._reservations:
            return ()
        now_s = self._clock.wall()
        stored = {deal.negotiation_id for deal in self._board.own_deals(self._settings.unit_id)}
        self._reservations = {
            key: reservation for key, reservation in self._reservations.items() if reservation.until_wall_s > now_s and key not in stored
        }
        return tuple(reservation.promise for key, reservation in self._reservations.items() if key != besides)

    def release(self, negotiation_id: str) -> None:
        """Nothing is reserved for a negotiation any more: its deal is in the store, or there will be none."""
        self._reservations.pop(negotiation_id, None)

    def refusal(self, direction: Direction, grid_current_a: float, besides: str = "") -> str | None:
        """Why the unit has no room for one more deal; what `besides` has reserved is not counted."""
        unit_id = self._settings.unit_id
        capacity_a = self._settings.hardware.grid_current_capacity_a
        deals = self._board.own_deals(unit_id)
        return slots.refusal(unit_id, direction, grid_current_a, capacity_a, deals, self.promises(besides))

    def line_is_full(self) -> str | None:
        """Why the line has no room for one more deal, whoever makes it, or None."""
        policy = self._settings.policy
        return admission.is_full(self._board.agreed_a(), policy.deal_grid_current_a, policy)

    async def accepted_directions(self) -> frozenset[Direction]:
        """What the unit might accept until its deals or its battery's band change, whoever asks."""
        if self._board.own_deals(self._settings.unit_id):
            # What it expects to have changes with its load while its deals go on.
            return self.directions_with_room()
        await self._bring_up_to_date()
        return frozenset(direction for direction in Direction if self.accepts(direction))

    def directions_with_room(self) -> frozenset[Direction]:
        """What the unit has room for, whatever its battery holds."""
        room_a = self._settings.policy.deal_grid_current_a
        return frozenset(direction for direction in Direction if self.refusal(direction, room_a) is None)

    def accepts(self, direction: Direction) -> bool:
        """Whether the unit accepts to do this, whoever asks, by what was last read; where it cannot be told, it may."""
        settings = self._settings
        if self.refusal(direction, settings.policy.deal_grid_current_a) is not None:
            return False
        standing = self._standing()
        if isinstance(standing, Decline):
            return True
        return isinstance(demand.acceptance(direction, settings.scenario, standing, settings.policy, settings.hardware), Offer)

    def is_nobody_there(self, direction: Direction) -> bool:
        """Whether it is foreseen that nobody accepts to do this now."""
        return self.who_accepts is not None and not set(self.who_accepts(direction)) - {self._settings.unit_id}

    async def negotiate(self, offer: Offer) -> Deal | Decline:
        """Offer a request to every live member, choose, and make the deal; or why there is none."""
        negotiation_id = self._new_id()
        policy, unit_id = self._settings.policy, self._settings.unit_id
        amount_wh = min(offer.amount_wh, policy.deal_amount_max_wh)
        self._reserve(negotiation_id, offer.direction, offer.grid_current_a, amount_wh, policy.negotiation_timeout_s + RESERVATION_S)
        try:
            accepts, reasons = await self._ask_all(negotiation_id, offer)
            deal = await self._settle(negotiation_id, offer, accepts, reasons)
        finally:
            self.release(negotiation_id)
        _LOGGER.debug("%s: %s", unit_id, deal)
        return deal

    async def create(
        self,
        giver: str,
        taker: str,
        amount_wh: int,
        current_a: float,
        requester: str,
        point_per_wh: float | None,
        who: str,
        *,
        faults: tuple[str, ...] = (),
    ) -> Deal:
        """Make a deal that a person wants. Its amount is not bound by the policy's steps.

        `faults`: stages that fail on purpose, between simulated units only.

        Raises:
            CommandRefusedError: with the reason of whoever refuses.

        """
        self._check_wish(giver, taker, requester)
        accepter = taker if requester == giver else giver
        offers = [
            Offer(
                unit_id=unit,
                direction=Direction.DISCHARGE if unit == giver else Direction.CHARGE,
                amount_wh=amount_wh,
                time=self._clock.now(),
                grid_current_a=current_a,
                point_per_wh=point_per_wh,
            )
            for unit in (requester, accepter)
        ]
        deal = matching.make_deal(
            offers[0], offers[1], amount_wh, deal_id=self._new_id(), negotiation_id=self._new_id(), create_time=self._clock.now()
        )
        deal = deal.changed(faults=faults)
        full = admission.refusal(deal, self._board.lasting_deals(), self._settings.policy)
        if full is not None:
            raise CommandRefusedError(full)
        try:
            grants, voltages = await self._grants(deal, (requester, accepter))
        except ApisError as error:
            await self._cluster.scatter((requester, accepter), RELEASE, {"negotiationId": deal.negotiation_id}, MESSAGE_TIMEOUT_S)
            raise CommandRefusedError(str(error)) from error
        deal = deal.changed(
            grants=grants,
            charge_unit_efficient_grid_voltage_v=voltages.get(taker),
            discharge_unit_efficient_grid_voltage_v=voltages.get(giver),
        )
        _LOGGER.info("deal %s from %s to %s over %d Wh was created by %s", deal.deal_id, giver, taker, amount_wh, who)
        await self._store(deal)
        return deal

    def _check_wish(self, giver: str, taker: str, requester: str) -> None:
        members, mode, alert = self._settings.policy.member_unit_ids, self._board.mode, self._board.alert
        for unit in (giver, taker):
            if unit not in members:
                raise CommandRefusedError(f"unit {unit}: expected one of {', '.join(members)}")
        if giver == taker:
            raise CommandRefusedError(f"{giver} cannot deal with itself")
        if requester not in (giver, taker):
            raise CommandRefusedError(f"requester: found {requester}, expected {giver} or {taker}")
        if mode not in (OperationMode.AUTONOMOUS, OperationMode.HETERONOMOUS):
            raise CommandRefusedError(f"the community's mode is {mode}: deals are made in autonomous and heteronomous")
        if alert is not None:
            raise CommandRefusedError(f"no new deals now: {alert.get('reason')}")

    async def _grants(self, deal: Deal, units: tuple[str, ...]) -> tuple[tuple[Grant, ...], dict[str, float | None]]:
        grants, voltages = [], {}
        for unit in units:
            answer = await self._cluster.request(unit, CONFIRM, {"deal": deal.to_json(), "wish": True}, MESSAGE_TIMEOUT_S)
            grants.append(_grant(unit, answer))
            voltages[unit] = answer.get("efficientGridVoltageV")
        return tuple(grants), voltages

    async def _ask_all(self, negotiation_id: str, offer: Offer) -> tuple[list[Offer], list[Decline]]:
        policy = self._settings.policy
        others = self._cluster.live() & set(policy.member_unit_ids) - {self._settings.unit_id}
        if self.who_accepts is not None:
            others &= set(self.who_accepts(offer.direction.opposite))
        message = {"negotiationId": negotiation_id, "request": self._worded(offer)}
        answers = await self._cluster.scatter(others, REQUEST, message, policy.negotiation_timeout_s)
        accepts, declines = [], [Decline(unit, "did not answer") for unit in sorted(others - set(answers))]
        for unit, answer in sorted(answers.items()):
            try:
                if "accept" in answer:
                    accepts.append(Offer.from_json(answer["accept"]))
                else:
                    declines.append(Decline(unit, str(answer.get("decline", "no reason given"))))
            except MessageError as error:
                declines.append(Decline(unit, str(error)))
        return accepts, declines

    async def _settle(self, negotiation_id: str, offer: Offer, accepts: list[Offer], declines: list[Decline]) -> Deal | Decline:
        """The deal with the best accept whose unit confirms; the losers' reservations are released at once."""
        unit_id, standing = self._settings.unit_id, self._standing()
        local = offer.time.astimezone(self._settings.zone)
        band = self._settings.scenario.band_at(local.time())
        strategy = band.accept_selection if band is not None else "amount"
        candidates = list(accepts)
        result: Deal | Decline | None = standing if isinstance(standing, Decline) else None
        while result is None:
            chosen = matching.choose(offer, candidates, strategy)
            if chosen is None:
                reasons = "; ".join(f"{d.unit_id}: {d.reason}" for d in declines) or "nobody was there to ask"
                result = Decline(unit_id, f"nobody accepted ({reasons})")
                break
            candidates.remove(chosen)
            outcome = await self._confirm(negotiation_id, offer, chosen)
            if isinstance(outcome, Deal):
                result = outcome
            else:
                declines.append(outcome)
        winner = result.accept_unit_id if isinstance(result, Deal) else None
        losers = {accept.unit_id for accept in accepts} - {winner}
        if losers:
            await self._cluster.scatter(losers, RELEASE, {"negotiationId": negotiation_id}, MESSAGE_TIMEOUT_S)
        return result

    async def _confirm(self, negotiation_id: str, offer: Offer, chosen: Offer) -> Deal | Decline:
        amount = matching.terms(offer, chosen, self._settings.policy)
        if isinstance(amount, Decline):
            return amount
        deal = matching.make_deal(
            offer, chosen, amount, deal_id=self._new_id(), negotiation_id=negotiation_id, create_time=self._clock.now()
        )
        full = admission.refusal(deal, self._board.lasting_deals(), self._settings.policy)
        if full is not None:
            return Decline(chosen.unit_id, full)
        try:
            answer = await self._cluster.request(chosen.unit_id, CONFIRM, {"deal": deal.to_json()}, MESSAGE_TIMEOUT_S)
        except ApisError as error:
            return Decline(chosen.unit_id, str(error))
        reason = self._willing(OperationMode.AUTONOMOUS)
        own_hold = self._reservations.get(negotiation_id)
        if reason is None and (own_hold is None or own_hold.until_wall_s <= self._clock.wall()):
            reason = "the negotiation took too long"
        reason = reason or self.refusal(offer.direction, deal.grid_current_a, negotiation_id)
        if reason is not None:
            await self._cluster.scatter((chosen.unit_id,), RELEASE, {"negotiationId": negotiation_id}, MESSAGE_TIMEOUT_S)
            return Decline(self._settings.unit_id, reason)
        own = Grant(self._settings.unit_id, self._clock.now() + timedelta(seconds=GRANT_S))
        deal = deal.changed(grants=(own, _grant(chosen.unit_id, answer)))
        await self._store(deal)
        return deal

    async def _store(self, deal: Deal) -> None:
        """Durable on this unit first, then seen by all."""
        if self._settings.unit_id in deal.unit_ids:
            await self._ledger.record_deal(deal)
        key, record = DEAL + deal.deal_id, deal.to_json()
        try:
            revision = await self._cluster.store.create(key, record)
        except ClusterError as error:
            # Nobody else knows of it. Should it have been stored all the same, its Grid Master's record replaces this one.
            now, reason = self._clock.now(), f"not stored: {error}"
            if self._settings.unit_id in deal.unit_ids:
                await self._ledger.record_deal(_given_up(deal, now, reason))
            raise
        # Seen here at once: the unit's next answer must already count this deal.
        self._board.note(Entry(key, record, revision))

    async def end_unknown(self) -> None:
        """End in this unit's ledger what the store has never had, or has lost: its process died in between, and nobody drives it.

        Raises:
            ClusterError: if the store does not answer.
            LedgerError: if it cannot be written down.

        """
        for deal in await self._ledger.open_deals():
            entry = await self._cluster.store.get(DEAL + deal.deal_id)
            if entry is None or entry.value is None:
                await self._ledger.record_deal(_given_up(deal, self._clock.now(), "not known to the others after a restart"))

    async def _on_request(self, _sender: str, message: Json) -> Json:
        wanted = Offer.from_json(message.get("request"))
        answer: Offer | Decline | None = self._cannot(wanted)
        if answer is None and await self._bring_up_to_date():
            # That took time, in which something may have been agreed.
            answer = self._cannot(wanted)
        answer = answer or self._consider(wanted)
        if isinstance(answer, Decline):
            return {"decline": answer.reason}
        amount_wh = min(wanted.amount_wh, answer.amount_wh, self._settings.policy.deal_amount_max_wh)
        self._reserve(str(message.get("negotiationId")), answer.direction, answer.grid_current_a, amount_wh, RESERVATION_S)
        return {"accept": self._worded(answer)}

    def _cannot(self, wanted: Offer) -> Decline | None:
        """Why a request is declined whatever the device says."""
        unit_id, settings = self._settings.unit_id, self._settings
        if wanted.unit_id not in settings.policy.member_unit_ids:
            return Decline(unit_id, f"{wanted.unit_id} is not a member")
        reason = self._willing(OperationMode.AUTONOMOUS)
        reason = reason or self.refusal(wanted.direction.opposite, settings.policy.deal_grid_current_a)
        return None if reason is None else Decline(unit_id, reason)

    def _consider(self, wanted: Offer) -> Offer | Decline:
        standing, settings = self._standing(), self._settings
        if isinstance(standing, Decline):
            return standing
        return demand.accept(wanted, settings.scenario, standing, settings.policy, settings.hardware)

    def _worded(self, offer: Offer) -> Json | Offer:
        """An offer as it is told: where messages are calls it is handed over as it is."""
        return offer if self._clock.is_quiet else offer.to_json()

    async def _on_confirm(self, _sender: str, message: Json) -> Json:
        deal = Deal.from_json(message.get("deal"))
        unit_id = self._settings.unit_id
        if deal.side_of(unit_id) is None:
            raise MessageError(f"deal {deal.deal_id}: {unit_id} is neither giver nor taker")
        direction = Direction.CHARGE if unit_id == deal.charge_unit_id else Direction.DISCHARGE
        held = self._reservations.get(deal.negotiation_id)
        await self._bring_up_to_date()
        if message.get("wish"):
            reason = self._refuses_wish(direction, deal.grid_current_a, deal.amount_wh)
            if deal.faults and not self._simulated:
                reason = "failures are tried on simulated units only"
        else:
            reason = self._willing(OperationMode.AUTONOMOUS) or self._differs(held, direction, deal)
        if reason is not None:
            raise CommandRefusedError(f"{unit_id}: {reason}")
        self._reserve(deal.negotiation_id, direction, deal.grid_current_a, deal.amount_wh, 2 * RESERVATION_S)
        ratio, standing = self._settings.hardware.efficient_battery_grid_voltage_ratio, self._standing()
        voltage_v = standing.battery_voltage_v if isinstance(standing, demand.Standing) else None
        expires = self._clock.now() + timedelta(seconds=GRANT_S)
        return {
            "grantExpires": format_time(expires, None),
            "efficientGridVoltageV": None if ratio is None or voltage_v is None else ratio * voltage_v,
        }

    def _differs(self, held: _Reservation | None, direction: Direction, deal: Deal) -> str | None:
        """Why a deal is not the one that was reserved for, or None."""
        if held is None or held.until_wall_s <= self._clock.wall():
            return "the reservation has run out"
        promise = held.promise
        if direction is not promise.direction or deal.grid_current_a > promise.grid_current_a or deal.amount_wh > promise.amount_wh:
            return f"the deal is not what was accepted: {promise.direction} of {promise.amount_wh:g} Wh at {promise.grid_current_a:g} A"
        return None

    def _refuses_wish(self, direction: Direction, grid_current_a: float, amount_wh: int) -> str | None:
        reason = self._willing(OperationMode.HETERONOMOUS) or self.refusal(direction, grid_current_a)
        capacity_wh = self._settings.hardware.battery_nominal_capacity_wh
        if reason is not None or amount_wh > capacity_wh:
            return reason or f"{amount_wh} Wh are more than the battery holds ({capacity_wh:g} Wh)"
        standing = self._standing()
        if isinstance(standing, Decline):
            return standing.reason
        if not standing.permission.allows(charging=direction is Direction.CHARGE):
            return f"the battery's permission is {standing.permission}"
        return None

    async def _on_release(self, _sender: str, message: Json) -> None:
        self.release(str(message.get("negotiationId")))

    def _reserve(self, key: str, direction: Direction, grid_current_a: float, amount_wh: float, length_s: float) -> None:
        promise = slots.Promise(direction, grid_current_a, amount_wh)
        self._reservations[key] = _Reservation(promise, self._clock.wall() + length_s)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))


def _grant(unit_id: str, answer: Json) -> Grant:
    return Grant(unit_id, parse_time(str(answer.get("grantExpires")), None))


async def wait_until(board: Board, condition: Callable[[], bool]) -> None:
    """Wait until the board shows something."""
    event = board.listen()
    try:
        while not condition():
            await event.wait()
            event.clear()
    finally:
        board.unlisten(event)


def _given_up(deal: Deal, now: datetime, reason: str) -> Deal:
    """The deal as one that nobody goes on with."""
    ended = {} if deal.activate_time is None else {"deactivate_time": now}
    return deal.changed(aborts=(*deal.aborts, Mark(now, reason)), abort_time=now, abort_reason=reason, **ended)
