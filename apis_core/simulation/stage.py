"""Guarded units in virtual time on an emulated line: the whole of a community, with nothing left out that could break."""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
from datetime import UTC, datetime
import random
from typing import Any

from ..clock import VirtualClock
from ..cluster.embedded import EmbeddedHub
from ..drivers.emulator import EmulatorDriver
from ..emulator.engine import MODES, Engine
from ..emulator.houses import House
from ..emulator.profiles import Profiles
from ..emulator.world import World
from ..guard.memory import MemoryGuard, MemoryUnitGuard
from ..ledger.database import LedgerDatabase
from ..ledger.unit_ledger import LedgerWriter, UnitLedger
from ..local_community import LocalCommunity
from ..model.converter import ConverterMode
from ..model.deal import Deal
from ..model.hardware import Hardware
from ..model.policy import Policy
from ..model.scenario import Scenario
from ..node import Node
from ..ports import Clock, DeviceRequest, GuardOrders, GuardReport, GuardRole, Ledger
from ..unit.board import DEAL
from ..unit.settings import Settings


class ReachedByNode:
    """A node's way to its guard, along which nothing moves while the node stands still."""

    def __init__(
        self, guard: MemoryUnitGuard, standing_still: Callable[[], Awaitable[None]], written: Callable[[int, GuardRole | None], None]
    ) -> None:
        """`standing_still` returns when the node moves; `written` gets epoch and role of each write that was carried out."""
        self._guard = guard
        self._standing_still = standing_still
        self._written = written

    async def arm(self, role: GuardRole, epoch: int, orders: GuardOrders) -> None:
        """See Guard."""
        await self._standing_still()
        await self._guard.arm(role, epoch, orders)

    async def beat(self) -> bool:
        """See Guard."""
        await self._standing_still()
        return await self._guard.beat()

    async def write(self, request: DeviceRequest, *, epoch: int, deadline_s: float, role: GuardRole | None) -> Any:
        """See Guard."""
        await self._standing_still()
        answer = await self._guard.write(request, epoch=epoch, deadline_s=deadline_s, role=role)
        self._written(epoch, role)
        return answer

    async def report(self, unit_id: str) -> GuardReport | None:
        """See Guard."""
        await self._standing_still()
        return await self._guard.report(unit_id)

    async def close(self) -> None:
        """See Guard."""
        await self._guard.close()


class Stage:
    """To be made on a virtual loop. A unit's node, its guard and its device each have their own way to fail."""

    def __init__(
        self,
        houses: tuple[House, ...],
        profiles: Profiles,
        start: datetime,
        policy: Policy,
        hardware: Hardware,
        scenario: Scenario,
        *,
        seed: int = 1,
        units: tuple[str, ...] | None = None,
    ) -> None:
        """`units`: those that run here; all houses by default. `start`: the houses' local time, which is UTC."""
        self.policy = policy
        self.clock = VirtualClock(start.replace(tzinfo=UTC))
        self.engine = Engine(houses, profiles, start)
        self.world = World(self.engine, self.clock.monotonic)
        self.database = LedgerDatabase()
        self.writer = LedgerWriter(self.database, threaded=False)
        self.hub = EmbeddedHub(wall_s=self.clock.wall)
        self.guard = MemoryGuard(self.clock)
        self.rng = random.Random(seed)
        self._deals: tuple[int, tuple[Deal, ...]] = (-1, ())
        nodes = tuple(self.a_node(unit, hardware, scenario) for unit in units or tuple(house.unit_id for house in houses))
        self.community = LocalCommunity(nodes, self.clock)

    def a_node(self, unit: str, hardware: Hardware, scenario: Scenario) -> Node:
        """A unit's node as it is started, or started again."""
        settings = Settings(unit, self.policy, hardware, scenario, UTC, unit_name=unit)
        driver = EmulatorDriver(unit, lambda request: self.send_of_node(unit, request))
        # The guard is a process of its own: it reaches the device when the node stands still.
        its_end = self.guard.unit(unit, EmulatorDriver(unit, lambda request: self.send(unit, request)))
        guard = ReachedByNode(its_end, lambda: self.hub.faults.stand_still(unit), lambda epoch, role: self.written(unit, epoch, role))
        rng = random.Random(self.rng.random())
        return Node(settings, driver, self.hub.join(unit), self.a_ledger(unit), self.clock_of(unit), rng, guard=guard)

    def a_ledger(self, unit: str) -> Ledger:
        """A unit's ledger."""
        return UnitLedger(self.writer, unit)

    def clock_of(self, unit: str) -> Clock:
        """A unit's clock."""
        del unit
        return self.clock

    async def revive(self, unit: str) -> None:
        """A killed unit's process comes back, with its ledger."""
        settings = self.community.nodes[unit].settings
        await self.community.start_unit(self.a_node(unit, settings.hardware, settings.scenario))

    async def send_of_node(self, unit: str, request: DeviceRequest) -> Any:
        """A request on its way from the node to the device and back."""
        await self.hub.faults.stand_still(unit)
        answer = await self.send(unit, request)
        await self.hub.faults.stand_still(unit)
        return answer

    async def send(self, unit: str, request: DeviceRequest) -> Any:
        """A request to the device."""
        del unit
        return await self.world.send(request)

    def written(self, unit: str, epoch: int, role: GuardRole | None) -> None:
        """A unit's device was written to, with an epoch; `role` is what the converter is then, None for no change."""

    def deals(self) -> tuple[Deal, ...]:
        """Every deal as the store has it: what the community shows is what its first unit hears, and that may be cut off."""
        store = self.hub.store
        if self._deals[0] != store.revision:
            found = (entry.value for entry in store.there(DEAL))
            self._deals = store.revision, tuple(Deal.from_json(value) for value in found if value is not None)
        return self._deals[1]

    def modes(self) -> list[ConverterMode]:
        """Every converter's mode as the device has it."""
        return [MODES[index] for index in self.engine.mode]

    async def play(self, story: Callable[[], Awaitable[None]]) -> None:
        """Start, run a story, and end in order."""
        watching = asyncio.create_task(self.guard.run())
        try:
            await self.community.start()
            await story()
            await self.community.close()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            with contextlib.suppress(Exception):
                await asyncio.gather(*(node.ledger.flush() for node in self.community.nodes.values()))
