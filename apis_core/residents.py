"""Units of one process: they start, come, change, go and end, each without disturbing the others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import contextlib
import logging

from .herald import Herald
from .model.converter import ConverterMode
from .model.errors import ApisError, CommandRefusedError
from .model.limits import check_limits
from .model.policy import Policy
from .model.unit_plan import UnitPlan
from .model.view import Event
from .node import Node
from .ports import Clock
from .unit.board import Board

# How long deals may take to end when everything is to stop [wall s]; converters are put to wait after it all the same.
STOP_S = 20.0
_LOGGER = logging.getLogger(__name__)
# Opens a unit's device, and gives what makes the unit around it.
type Maker = Callable[[UnitPlan], Awaitable[Callable[[], Awaitable[Node]]]]


class Residents:
    """The units of this process, and what is told of them."""

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

    def observe(self, observer: Callable[[], None]) -> None:
        """Call after every change of the store."""
        self._observers.append(observer)

    def unit_ids(self) -> frozenset[str]:
        """All units that this process answers for, running or not."""
        return frozenset(self.nodes) | self.absent

    async def start(self, *, patient: bool = False) -> None:
        """Start all units at once. `patient`: one that cannot be started is `absent`, as long as another one can.

        Raises:
            ApisError: if one cannot start; the others are ended then.

        """
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

    def reference_leaves(self, unit_id: str) -> None:
        """The guard is about to take a unit's converter off the line it holds: whoever depends on it is told now."""
        if unit_id in self.nodes and unit_id not in self.dead:
            task = asyncio.create_task(self.nodes[unit_id].tell_leaving(), name=f"{unit_id} leaves")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

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
        self._expect_own_converter(plan)
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

    def _expect_own_converter(self, plan: UnitPlan) -> None:
        """Two units on one converter would drive it against each other. Raises CommandRefusedError."""
        for unit_id, other in self.plans.items():
            if unit_id != plan.unit_id and plan.drives_the_same(other):
                raise CommandRefusedError(
                    f"{plan.unit_id}: {unit_id} drives the converter at {plan.device.host}:{plan.device.port} already"
                )

    async def _update(self, plan: UnitPlan, who: str) -> None:
        self._expect_own_converter(plan)
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

    async def join(self, unit_id: str, who: str) -> None:
        """See Community."""
        if unit_id not in self.nodes or unit_id in self.dead:
            raise CommandRefusedError(f"{unit_id} is not running here: it joins where it can be asked")
        await self._member().charter.join(unit_id, who)

    async def leave(self, unit_id: str, who: str) -> None:
        """See Community."""
        await self._member().charter.leave(unit_id, who)

    async def policy(self) -> Policy:
        """See Community."""
        return next(iter(self._living() or self.nodes.values())).settings.policy

    def _living(self) -> list[Node]:
        return [node for unit_id, node in self.nodes.items() if unit_id not in self.dead]

    def _member(self) -> Node:
        """A living member: a unit that is none may say nothing to the others."""
        first = self._speaker()
        return next((node for node in self._living() if node.unit_id in node.settings.policy.member_unit_ids), first)

    def _speaker(self, unit_id: str | None = None) -> Node:
        """A living unit to act through, that one if it lives. Raises CommandRefusedError if none does."""
        living = {node.unit_id: node for node in self._living()}
        if not living:
            raise CommandRefusedError("no unit runs here")
        return living.get(str(unit_id)) or next(iter(living.values()))

    def _node(self, unit_id: str) -> Node:
        if unit_id not in self.nodes:
            raise CommandRefusedError(f"unit {unit_id}: expected one of {', '.join(self.nodes)}")
        return self.nodes[unit_id]

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
