"""A community whose units run in this process."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
import contextlib
from datetime import datetime
import logging

from .model.converter import ConverterMode
from .model.deal import FAULTS, Deal
from .model.errors import ApisError, CommandRefusedError, ConfigError
from .model.hardware import Hardware
from .model.limits import check_limits
from .model.modes import Command, OperationMode
from .model.policy import Policy
from .model.rule_change import RuleChange
from .model.scenario import Scenario
from .model.version import VERSION
from .model.view import Event, Snapshot, UnitView
from .node import Node
from .ports import Json
from .presets import PRESETS, community_scenario
from .residents import STOP_S, Residents
from .rules import by_hand, demand, edges, preview, scenario_rule, statement
from .rules.slots import promised_wh
from .rules.statement import Totals
from .unit.board import ISOLATED, Board
from .unit_view import view_of

_LOGGER = logging.getLogger(__name__)


class LocalCommunity(Residents):
    """What the faces may ask of the units of this process: see Community."""

    async def start(self, *, patient: bool = False) -> None:
        """See Residents; what was exchanged before counts."""
        for deal in await self.deals():
            if deal.is_ended:
                self._herald.count(deal)
        await super().start(patient=patient)

    @property
    def events(self) -> deque[Event]:
        """What has happened, as far as it is kept."""
        return self._herald.events

    @property
    def grid_master_changes(self) -> int:
        """How often another unit has taken the role."""
        return self._herald.grid_master_changes

    @property
    def board(self) -> Board:
        """The shared store as this process sees it."""
        return self._board

    async def snapshot(self) -> Snapshot:
        """See Community."""
        return self.snapshot_now()

    def snapshot_now(self) -> Snapshot:
        """See Community; everything is in this process."""
        master = self._master_node()
        alert = self._board.alert
        for deal in self._board.deals():
            # It may have ended since the herald looked: no sum falls meanwhile.
            if deal.is_ended:
                self._herald.count(deal)
        running = tuple(deal for deal in self._board.deals() if not deal.is_ended)
        return Snapshot(
            time=self.clock.now(),
            mode=self._board.mode,
            units=tuple(self._view(node) for node in self.nodes.values()),
            deals=running,
            grid_master=master.unit_id if master is not None else None,
            epoch=max((node.controller.highest_epoch for node in self.nodes.values()), default=0),
            alert=str(alert.get("reason")) if alert is not None else None,
            guard=self.guard,
            acceleration=1.0 / self.clock.to_wall(1.0),
            version=VERSION,
            shared_wh=self._herald.shared_wh() + sum(statement.of_deal(deal.discharge_unit_id, deal).shared_wh for deal in running),
            dropped=dict(sum((Counter(node.cluster.dropped) for node in self.nodes.values()), Counter())),
        )

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """See Community."""
        async with contextlib.aclosing(self._herald.subscribe(after)) as events:
            async for event in events:
                yield event

    async def deals(self, start: datetime | None = None, end: datetime | None = None, unit_id: str | None = None) -> tuple[Deal, ...]:
        """See Community."""
        wanted = [self._node(unit_id)] if unit_id is not None else list(self.nodes.values())
        found: dict[str, Deal] = {}
        # One that ends meanwhile leaves the board only after the ledgers have it, which may have been read before.
        seen = self._board.deals()
        for node in wanted:
            for deal in await node.ledger.deals(start, end):
                found[deal.deal_id] = later(found.get(deal.deal_id), deal)
        for deal in (*seen, *self._board.deals()):
            if deal.deal_id in found:
                found[deal.deal_id] = later(found[deal.deal_id], deal)
        return tuple(sorted(found.values(), key=lambda d: (d.create_time, d.deal_id)))

    async def set_mode(self, mode: OperationMode | None, unit_id: str | None, who: str) -> None:
        """See Community."""
        if unit_id is not None:
            await self._node(unit_id).set_local_mode(mode, who)
            return
        if mode is None:
            raise CommandRefusedError(f"mode: found nothing, expected one of {', '.join(OperationMode)}")
        await self._speaker().set_global_mode(mode, who)

    async def set_scenario(self, unit_id: str, scenario: Scenario, who: str) -> None:
        """See Community."""
        await self._node(unit_id).set_scenario(scenario, who)

    async def update_scenario_rule(self, unit_id: str, change: RuleChange, who: str) -> None:
        """See Community."""
        node = self._node(unit_id)
        try:
            await node.set_scenario(scenario_rule.changed(node.settings.scenario, change), who)
        except ConfigError as error:
            raise CommandRefusedError(str(error)) from error

    async def create_deal(
        self,
        giver: str,
        taker: str,
        amount_wh: int,
        *,
        who: str,
        requester: str | None = None,
        current_a: float | None = None,
        point_per_wh: float | None = None,
        faults: tuple[str, ...] = (),
    ) -> Deal:
        """See Community."""
        if amount_wh <= 0:
            raise CommandRefusedError(f"amount: found {amount_wh} Wh, expected more than 0")
        if current_a is not None and current_a <= 0:
            raise CommandRefusedError(f"current: found {current_a} A, expected more than 0")
        if point_per_wh is not None and point_per_wh < 0:
            raise CommandRefusedError(f"price: found {point_per_wh}, expected 0 or more")
        unknown = set(faults) - set(FAULTS)
        if unknown:
            raise CommandRefusedError(f"fault {min(unknown)}: expected one of {', '.join(FAULTS)}")
        node = self._speaker(requester or giver)
        amperes = current_a if current_a is not None else node.settings.policy.deal_grid_current_a
        deal = await node.mediator.create(giver, taker, amount_wh, amperes, requester or giver, point_per_wh, who, faults=faults)
        # Whoever asks next sees it.
        self._board.note(node.board.entry(deal.deal_id))
        return deal

    async def stop_deal(self, deal_id: str, who: str) -> None:
        """See Community."""
        deal = self._board.deal(deal_id)
        if deal is None or deal.is_ended:
            raise CommandRefusedError(f"deal {deal_id}: there is no such deal now")
        await self._board.ask_to_stop(deal_id, f"stopped by {who}")

    async def control_converter(self, unit_id: str, command: Command, duration_s: float | None = None) -> None:
        """See Community."""
        node = self._node(unit_id)
        converters = {other.unit_id: other.controller.converter for other in self._living()}
        reason = by_hand.refusal(unit_id, command, converters, node.settings.policy)
        if reason is not None and node.mode is OperationMode.MANUAL:
            raise CommandRefusedError(f"{unit_id}: {reason}")
        await node.command_by_hand(command, duration_s)

    async def stop_all(self, who: str) -> dict[str, str]:
        """See Community."""
        failures: dict[str, str] = {}
        try:
            await self.set_mode(OperationMode.STOP, None, who)
        except ApisError as error:
            _LOGGER.warning("the mode could not be set: %s", error)
        living = self._living()
        await asyncio.gather(*(node.end_deals(f"stopped by {who}", STOP_S) for node in living), return_exceptions=True)
        # Whoever holds the line's voltage leaves it last.
        references = [node for node in living if node.controller.converter.mode is ConverterMode.VOLTAGE_REFERENCE]
        for group in ([node for node in living if node not in references], references):
            results = await asyncio.gather(*(node.ensure_wait(f"stopped by {who}") for node in group), return_exceptions=True)
            found = {node.unit_id: str(result) for node, result in zip(group, results, strict=True) if isinstance(result, Exception)}
            failures.update(found)
        failures.update(dict.fromkeys(self.dead | self.absent, "it does not run"))
        return failures

    async def inject_fault(self, unit_id: str, fault: Json, duration_s: float | None, who: str) -> None:
        """See Community."""
        await self._node(unit_id).inject_fault(fault, duration_s)
        self._herald.tell(
            Event("notice", self.clock.now(), f"{who} made {unit_id} {'fail' if fault else 'well'} on purpose", unit_id, fault)
        )

    async def declare_isolated(self, unit_id: str, who: str) -> None:
        """See Community."""
        node = self._speaker()
        if unit_id not in node.settings.policy.member_unit_ids:
            raise CommandRefusedError(f"unit {unit_id}: expected one of {', '.join(node.settings.policy.member_unit_ids)}")
        known = self.nodes.get(unit_id)
        if known is not None and unit_id not in self.dead and known.controller.usable_reading() is not None:
            raise CommandRefusedError(f"{unit_id} answers: what its converter does is read, not declared")
        await node.cluster.store.put(ISOLATED + unit_id, {"who": who, "time": self.clock.now().isoformat()})

    async def scenario(self, unit_id: str) -> Scenario:
        """See Community."""
        return self._node(unit_id).settings.scenario

    async def scenario_versions(self, unit_id: str) -> tuple[Json, ...]:
        """See Community."""
        return await self._node(unit_id).ledger.scenarios()

    async def set_preset(self, unit_id: str, preset: str, who: str) -> None:
        """See Community."""
        node = self._node(unit_id)
        if preset not in PRESETS:
            raise CommandRefusedError(f"preset: found {preset}, expected one of {', '.join(PRESETS)}")
        await node.set_scenario(community_scenario(node.settings.hardware.battery_nominal_capacity_wh, preset), who)

    async def move_edges(self, unit_id: str, *, request_below_pct: float | None, offer_above_pct: float | None, who: str) -> None:
        """See Community."""
        node = self._node(unit_id)
        wh_per_pct = node.settings.hardware.battery_nominal_capacity_wh / 100
        present = edges.edges(node.settings.scenario)
        if present is None:
            raise CommandRefusedError(f"{unit_id}: this scenario cannot be said in two figures, edit it as a whole")
        request_wh = present.request_wh if request_below_pct is None else request_below_pct * wh_per_pct
        offer_wh = present.offer_wh if offer_above_pct is None else offer_above_pct * wh_per_pct
        wanted = edges.moved(node.settings.scenario, edges.Edges(request_wh, offer_wh))
        try:
            await node.set_scenario(wanted, who)
        except ConfigError as error:
            raise CommandRefusedError(str(error)) from error

    async def preview_scenario(self, unit_id: str, scenario: Scenario | None = None) -> Json:
        """See Community."""
        node = self._node(unit_id)
        reading, settings = node.controller.reading, node.settings
        remaining_wh = None if reading is None else reading.remaining_wh(settings.hardware.battery_nominal_capacity_wh)
        if reading is None or remaining_wh is None:
            raise CommandRefusedError(f"{unit_id}: its battery has not been read")
        standing = demand.Standing(
            unit_id,
            self.clock.now(),
            settings.zone,
            remaining_wh,
            promised_wh(unit_id, self._board.own_deals(unit_id)),
            reading.battery.permission,
            reading.converter.meter.battery_voltage_v,
        )
        return preview.preview(scenario or settings.scenario, standing, settings.policy, settings.hardware)

    async def statement(self, unit_id: str, start: datetime | None = None, end: datetime | None = None) -> tuple[Json, ...]:
        """See Community."""
        node = self._node(unit_id)
        lines = statement.statement(unit_id, await self.deals(start, end, unit_id), node.settings.zone)
        return tuple({"month": line.month, "partner": line.partner_id, "deals": line.deals, **line.totals.to_json()} for line in lines)

    async def presets(self) -> tuple[str, ...]:
        """See Community."""
        return tuple(PRESETS)

    async def resume(self, who: str) -> None:
        """See Community."""
        if self._board.alert is None:
            raise CommandRefusedError("nothing was stopped in an emergency: there is nothing to resume from")
        await self.set_mode(OperationMode.AUTONOMOUS, None, who)

    async def diagnostics(self) -> Json:
        """See Community."""
        units = {
            unit_id: {"hardware": node.settings.hardware.to_json(), "scenario": node.settings.scenario.to_json()}
            for unit_id, node in self.nodes.items()
        }
        return {
            "snapshot": self.snapshot_now().to_json(),
            "policy": (await self.policy()).to_json(),
            "zone": str(next(iter(self.nodes.values())).settings.zone),
            "units": units,
            "events": [event.to_json() for event in self.events],
        }

    async def checkpoint(self, *, hold: bool = False) -> None:
        """See Community."""
        for checkpoint in self.checkpoints:
            await checkpoint(hold)

    async def check_limits(self, hardware: Hardware) -> tuple[str, ...]:
        """See Community."""
        return tuple(str(problem) for problem in check_limits(hardware, await self.policy()))

    async def propose(self, policy: Policy, who: str) -> None:
        """See Community."""
        await self._member().charter.propose(policy, who)

    def _master_node(self) -> Node | None:
        return next((node for node in self._living() if node.role.is_held), None)

    def _view(self, node: Node) -> UnitView:
        own = [deal for deal in self._board.own_deals(node.unit_id) if not deal.is_ended]
        ended, error = self._herald.totals.get(node.unit_id, Totals()), self._herald.last_errors.get(node.unit_id, "")
        return view_of(node, own, ended, alive=node.unit_id not in self.dead, last_error=error, now=self.clock.now())


def later(first: Deal | None, second: Deal) -> Deal:
    """The copy that knows more: an ended one, else the one with more counted."""
    if first is None:
        return second

    def key(deal: Deal) -> tuple[bool, float, int]:
        return deal.is_ended, deal.cumulate_amount_wh, sum(energy.sequence for energy in deal.energy.values())

    return second if key(second) >= key(first) else first
