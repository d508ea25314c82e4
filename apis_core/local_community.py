"""A community whose units run in this process."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
import contextlib
from datetime import datetime
import logging

from .herald import Herald
from .model.converter import ConverterMode
from .model.deal import FAULTS, Deal
from .model.errors import ApisError, CommandRefusedError, ConfigError
from .model.hardware import Hardware
from .model.limits import check_limits
from .model.modes import Command, OperationMode
from .model.policy import Policy
from .model.rule_change import RuleChange
from .model.scenario import Scenario
from .model.unit_plan import UnitPlan
from .model.version import VERSION
from .model.view import Event, Snapshot, UnitView
from .node import Node
from .ports import Clock, Json
from .presets import PRESETS, community_scenario
from .rules import by_hand, demand, edges, preview, scenario_rule, statement
from .rules.slots import promised_wh
from .rules.statement import Totals
from .unit.board import ISOLATED, Board
from .unit_view import view_of

# How long deals may take to end when everything is to stop [wall s]; converters are put to wait after it all the same.
STOP_S = 20.0
_LOGGER = logging.getLogger(__name__)
# Opens a unit's device, and gives what makes the unit around it.
type Maker = Callable[[UnitPlan], Awaitable[Callable[[], Awaitable[Node]]]]


class LocalCommunity:
    """The units of this process."""

    def __init__(self, nodes: tuple[Node, ...], clock: Clock) -> None:
        """Not started yet; at least one node."""
        self.nodes = {node.unit_id: node for node in nodes}
        self.clock = clock
        self._herald = Herald(clock)
        self.dead: set[str] = set()
        # Units of this process whose devices have not answered yet.
        self.absent: set[str] = set()
        # What units were made from, where somebody keeps that as data.
        self.plans: dict[str, UnitPlan] = {}
        # How long the units may take to end in order [wall s]; None: as long as their policy gives their deals.
        self.end_within_s: float | None = None
        # Bring a file up to date, for whoever copies it.
        self.checkpoints: list[Callable[[bool], Awaitable[None]]] = []
        # Makes a unit that comes while the others run, where this is possible.
        self.maker: Maker | None = None
        self.guard = ""
        self.reloaded = asyncio.Event()
        self._board = Board(nodes[0].cluster.store, lambda: nodes[0].settings.policy.operation_mode)
        self._observers: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._changes = asyncio.Lock()
        self._ends = False
        for node in nodes:
            self._listen_to(node)

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

    async def start(self, *, patient: bool = False) -> None:
        """Start all units at once. `patient`: one that cannot be started is `absent`, as long as another one can.

        Raises:
            ApisError: if one cannot start; the others are ended then.

        """
        for deal in await self.deals():
            if deal.is_ended:
                self._herald.count(deal)
        self._tasks = [asyncio.create_task(self._board.run()), asyncio.create_task(self._observe())]
        try:
            results = await asyncio.gather(*(node.start() for node in self.nodes.values()), return_exceptions=True)
            failures = {node: result for node, result in zip(self.nodes.values(), results, strict=True) if result is not None}
            for failure in failures.values():
                if not patient or len(failures) == len(self.nodes) or not isinstance(failure, ApisError):
                    raise failure
            for node, failure in failures.items():
                self.dead.add(node.unit_id)
                self.absent.add(node.unit_id)
                self._herald.last_errors[node.unit_id] = str(failure)
                await node.kill()
        except BaseException:
            await self._kill_all()
            raise

    def unit_ids(self) -> frozenset[str]:
        """All units that this process answers for, running or not."""
        return frozenset(self.nodes) | self.absent

    async def close(self) -> None:
        """End in order: all deals first, then every unit's converter and role."""
        self._ends = True
        # Whoever is coming or going now gets there first, within bounds: nobody is left behind half-started.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S if self.end_within_s is None else self.end_within_s / 2), self._changes:
                pass
        await asyncio.gather(*self._closing, return_exceptions=True)
        living = self._living()
        # One that fails holds nobody else up on the way to wait.
        share_s = None if self.end_within_s is None else self.end_within_s / 2
        results = await asyncio.gather(*(node.end_own_deals("shutdown", share_s) for node in living), return_exceptions=True)
        results += await asyncio.gather(*(node.stop("shutdown", share_s) for node in living), return_exceptions=True)
        await self._stop_watching()
        for failure in (result for result in results if isinstance(result, Exception)):
            raise failure

    def _listen_to(self, node: Node) -> None:
        node.errors.listeners.append(self._herald.on_error)
        node.on_fatal = lambda reason: self._close_unit(node, reason)

    def _close_unit(self, node: Node, reason: str) -> None:
        """A unit that cannot go on ends in order; the others of this process go on."""

        async def close() -> None:
            try:
                await node.stop(reason)
            finally:
                self.dead.add(node.unit_id)
            self._herald.tell(Event("notice", self.clock.now(), f"{node.unit_id} was closed: {reason}", node.unit_id))

        task = asyncio.create_task(close(), name=f"close {node.unit_id}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def reference_leaves(self, unit_id: str) -> None:
        """The guard is about to take a unit's converter off the line it holds: whoever depends on it is told now."""
        if unit_id in self.nodes and unit_id not in self.dead:
            task = asyncio.create_task(self.nodes[unit_id].tell_leaving(), name=f"{unit_id} leaves")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def kill_unit(self, unit_id: str) -> None:
        """End one unit as if its process had been killed."""
        self.dead.add(unit_id)
        await self.nodes[unit_id].kill()
        self._herald.tell(Event("notice", self.clock.now(), f"{unit_id} was killed", unit_id))

    async def start_unit(self, node: Node) -> None:
        """Take a unit that was ended in again, as a new process of it would come back.

        Raises:
            ApisError: if it cannot start.

        """
        self._listen_to(node)
        self.nodes[node.unit_id] = node
        try:
            await node.start()
        except ApisError:
            self.dead.add(node.unit_id)
            await node.kill()
            raise
        if self._ends:
            await node.stop("shutdown")
            self.dead.add(node.unit_id)
            raise CommandRefusedError(f"{node.unit_id}: the community ends")
        self.dead.discard(node.unit_id)
        self.absent.discard(node.unit_id)
        self._herald.tell(Event("notice", self.clock.now(), f"{node.unit_id} is here", node.unit_id))

    def observe(self, observer: Callable[[], None]) -> None:
        """Call after every change of the store."""
        self._observers.append(observer)

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
        await self._living()[0].set_global_mode(mode, who)

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
        node = self._living_or(requester or giver)
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
        node = self._living()[0]
        if unit_id not in node.settings.policy.member_unit_ids:
            raise CommandRefusedError(f"unit {unit_id}: expected one of {', '.join(node.settings.policy.member_unit_ids)}")
        known = self.nodes.get(unit_id)
        if known is not None and unit_id not in self.dead and known.controller.usable_reading() is not None:
            raise CommandRefusedError(f"{unit_id} answers: what its converter does is read, not declared")
        await node.cluster.store.put(ISOLATED + unit_id, {"who": who, "time": self.clock.now().isoformat()})

    async def join(self, unit_id: str, who: str) -> None:
        """See Community."""
        if unit_id not in self.nodes or unit_id in self.dead:
            raise CommandRefusedError(f"{unit_id} is not running here: it joins where it can be asked")
        await self._member().charter.join(unit_id, who)

    async def leave(self, unit_id: str, who: str) -> None:
        """See Community."""
        await self._member().charter.leave(unit_id, who)

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
            "zone": str(self._member().settings.zone),
            "units": units,
            "events": [event.to_json() for event in self.events],
        }

    @contextlib.asynccontextmanager
    async def _change(self) -> AsyncIterator[None]:
        """Units come and go one at a time, and none once the community ends."""
        async with self._changes:
            if self._ends:
                raise CommandRefusedError("the community ends")
            yield

    async def try_again(self, unit_id: str, make: Callable[[], Awaitable[Node]]) -> None:
        """Start a unit that could not be started, if that still is so. Raises ApisError if it still cannot."""
        async with self._change():
            if unit_id in self.absent:
                await self.start_unit(await make())

    async def add_unit(self, plan: UnitPlan, who: str) -> None:
        """See Community."""
        async with self._change():
            await self._add(plan, who)

    async def _add(self, plan: UnitPlan, who: str) -> None:
        if plan.unit_id in self.nodes and plan.unit_id not in self.dead:
            raise CommandRefusedError(f"{plan.unit_id} runs here already: give the new unit another id")
        await self.start_unit(await self._made(plan))
        self.plans[plan.unit_id] = plan
        if plan.unit_id not in (await self.policy()).member_unit_ids:
            try:
                await self.join(plan.unit_id, who)
            except ApisError:
                await self._drop(plan.unit_id, "it could not join")
                raise

    async def update_unit(self, plan: UnitPlan, who: str) -> None:
        """See Community."""
        async with self._change():
            await self._update(plan, who)

    async def _update(self, plan: UnitPlan, who: str) -> None:
        if plan.unit_id in self.absent and plan.unit_id not in self.nodes:
            # It could not even be opened: from now on it is tried with what is said now.
            self.plans[plan.unit_id] = plan
            await self.start_unit(await self._made(plan))
            return
        old, before = self._node(plan.unit_id), self.plans.get(plan.unit_id)
        make = await self._prepared(plan)
        if plan.unit_id not in self.dead:
            await old.stop(f"changed by {who}")
            self.dead.add(plan.unit_id)
        try:
            _let_go(old, before, plan)
            await self.start_unit(await make())
        except ApisError:
            if before is not None:
                await self._go_back_to(before)
            raise
        self.plans[plan.unit_id] = plan

    async def _go_back_to(self, plan: UnitPlan) -> None:
        """Run a unit as it was before; if even that cannot be, it is absent and tried again."""
        try:
            await self.start_unit(await self._made(plan))
        except ApisError as error:
            _LOGGER.warning("%s is as it was, and cannot be started again yet: %s", plan.unit_id, error)
            self.absent.add(plan.unit_id)

    async def remove_unit(self, unit_id: str, who: str) -> None:
        """See Community."""
        async with self._change():
            await self._remove(unit_id, who)

    async def _remove(self, unit_id: str, who: str) -> None:
        if unit_id in self.absent and unit_id not in self.nodes:
            if unit_id in (await self.policy()).member_unit_ids:
                await self.leave(unit_id, who)
            self.absent.discard(unit_id)
            self.plans.pop(unit_id, None)
            return
        node = self._node(unit_id)
        if len(self.nodes) == 1:
            raise CommandRefusedError(f"{unit_id} is the last unit here: remove the community instead")
        # That a converter nobody reaches is off the line is a person's word, never a consequence: without it, `leave` refuses.
        if unit_id not in self.dead:
            await node.end_own_deals(f"removed by {who}")
        if unit_id in (await self.policy()).member_unit_ids:
            try:
                await self.leave(unit_id, who)
            except ApisError:
                node.reopen()
                raise
        await self._drop(unit_id, f"removed by {who}")

    async def checkpoint(self, *, hold: bool = False) -> None:
        """See Community."""
        for checkpoint in self.checkpoints:
            await checkpoint(hold)

    async def check_limits(self, hardware: Hardware) -> tuple[str, ...]:
        """See Community."""
        return tuple(str(problem) for problem in check_limits(hardware, await self.policy()))

    async def _prepared(self, plan: UnitPlan) -> Callable[[], Awaitable[Node]]:
        """What makes a unit whose limits go with the policy and whose device answers."""
        if self.maker is None:
            raise CommandRefusedError("the units of this community stand in files, or are emulated: they are changed there")
        problems = check_limits(plan.hardware, await self.policy(), plan.unit_id)
        if problems:
            raise CommandRefusedError("; ".join(map(str, problems)))
        return await self.maker(plan)

    async def _made(self, plan: UnitPlan) -> Node:
        return await (await self._prepared(plan))()

    async def _drop(self, unit_id: str, reason: str) -> None:
        if unit_id not in self.dead:
            await self.nodes[unit_id].stop(reason)
        self.dead.discard(unit_id)
        self.absent.discard(unit_id)
        self.plans.pop(unit_id, None)
        del self.nodes[unit_id]
        self._herald.tell(Event("notice", self.clock.now(), f"{unit_id} has gone: {reason}", unit_id))

    async def policy(self) -> Policy:
        """See Community."""
        return self._member().settings.policy

    async def propose(self, policy: Policy, who: str) -> None:
        """See Community."""
        await self._member().charter.propose(policy, who)

    def _living(self) -> list[Node]:
        return [node for unit_id, node in self.nodes.items() if unit_id not in self.dead]

    def _member(self) -> Node:
        """A living member: a unit that is none may say nothing to the others."""
        living = self._living()
        return next((node for node in living if node.unit_id in node.settings.policy.member_unit_ids), living[0])

    def _living_or(self, unit_id: str) -> Node:
        living = {node.unit_id: node for node in self._living()}
        return living.get(unit_id) or next(iter(living.values()))

    def _node(self, unit_id: str) -> Node:
        if unit_id not in self.nodes:
            raise CommandRefusedError(f"unit {unit_id}: expected one of {', '.join(self.nodes)}")
        return self.nodes[unit_id]

    def _master_node(self) -> Node | None:
        return next((node for node in self._living() if node.role.is_held), None)

    def _view(self, node: Node) -> UnitView:
        own = [deal for deal in self._board.own_deals(node.unit_id) if not deal.is_ended]
        ended, error = self._herald.totals.get(node.unit_id, Totals()), self._herald.last_errors.get(node.unit_id, "")
        return view_of(node, own, ended, alive=node.unit_id not in self.dead, last_error=error, now=self.clock.now())

    async def _observe(self) -> None:
        """Turn changes of the store into events."""
        changed = self._board.listen()
        while True:
            await changed.wait()
            changed.clear()
            self._herald.look(self._board)
            for observer in self._observers:
                observer()

    async def _kill_all(self) -> None:
        await asyncio.gather(*(node.kill() for node in self._living()), return_exceptions=True)
        await self._stop_watching()

    async def _stop_watching(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _let_go(old: Node, before: UnitPlan | None, plan: UnitPlan) -> None:
    """Whether a unit's old device may be left to itself. Raises CommandRefusedError."""
    same = before is not None and (before.device, before.system_type) == (plan.device, plan.system_type)
    if not same and old.controller.converter.mode not in (None, ConverterMode.WAIT):
        raise CommandRefusedError(f"{plan.unit_id}: its converter was not read in wait, and would be left on without anybody's watch")


def later(first: Deal | None, second: Deal) -> Deal:
    """The copy that knows more: an ended one, else the one with more counted."""
    if first is None:
        return second

    def key(deal: Deal) -> tuple[bool, float, int]:
        return deal.is_ended, deal.cumulate_amount_wh, sum(energy.sequence for energy in deal.energy.values())

    return second if key(second) >= key(first) else first
