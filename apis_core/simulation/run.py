"""A community in virtual time: the nodes, the cluster and the physics that run houses, on a clock that jumps."""

import asyncio
from collections.abc import Callable
from datetime import datetime
import random

from ..clock import VirtualClock, run_virtual
from ..cluster.embedded import EmbeddedHub
from ..emulator.leap import LeapingEngine
from ..emulator.profiles import bundled, with_files
from ..emulator.world import World
from ..ledger.memory import MemoryLedger
from ..model.deal import NO_ENERGY, Deal, Side
from ..model.errors import ErrorReport
from ..node import Node
from ..unit.board import Board
from ..unit.settings import Settings
from .driver import DirectDriver
from .options import Options
from .tables import Hour, Result
from .watch import Watchman

type Progress = Callable[[float], bool]
HOUR_S = 3600.0
# A clock that is nearer to the end of a run than this is there.
SECOND_PART_S = 0.5


class Simulation:
    """One run of one community."""

    def __init__(self, options: Options) -> None:
        """Everything in its place, nothing started; to be made on a virtual loop."""
        self.options = options
        quiet = not options.every_tick
        self.clock = VirtualClock(options.start.replace(tzinfo=options.zone), quiet=quiet)
        profiles = with_files(bundled(), options.load, options.solar)
        self.engine = LeapingEngine(options.houses(), profiles, options.start)
        self.world = World(self.engine, self.clock.monotonic)
        self.hub = EmbeddedHub(wall_s=self.clock.wall, direct=quiet)
        self.rng = random.Random(options.seed)
        self.deals: dict[str, Deal] = {}
        self.errors: list[tuple[datetime, ErrorReport]] = []
        self.hours: list[Hour] = []
        policy = options.chosen_policy()
        shared = Board(self.hub.store, lambda: policy.operation_mode) if quiet else None
        self.nodes = {
            member.unit_id: Node(
                Settings(member.unit_id, policy, member.hardware, member.scenario, options.zone, unit_name=member.unit_id),
                DirectDriver(member.unit_id, self.world),
                self.hub.join(member.unit_id),
                MemoryLedger(member.unit_id, self._ended, self._error),
                self.clock,
                random.Random(self.rng.random()),
                board=shared,
            )
            for member in options.chosen_members()
        }
        self._board = shared or Board(self.hub.store, lambda: policy.operation_mode)

    async def _note_live_deals(self) -> None:
        """Deals that go on as the run ends, with what both units have counted until now."""
        for deal in self._board.deals():
            if deal.deal_id in self.deals or deal.is_ended:
                continue
            told = {}
            for unit_id in deal.unit_ids:
                controller = self.nodes[unit_id].controller
                await controller.refresh()
                told[unit_id] = deal.side_energy(unit_id).merged(controller.account.deals.get(deal.deal_id, NO_ENERGY))
            counted_wh = told[deal.unit_on(Side(self.nodes[deal.charge_unit_id].settings.policy.reference_side))].battery_wh
            self.deals[deal.deal_id] = deal.changed(energy=told, cumulate_amount_wh=max(deal.cumulate_amount_wh, counted_wh))

    def _ended(self, deal: Deal) -> None:
        self.deals[deal.deal_id] = deal

    def _error(self, report: ErrorReport, time: datetime) -> None:
        self.errors.append((time, report))

    async def run(self, progress: Progress) -> Result:
        """The whole time; what was there when `progress` said no."""
        options = self.options
        tasks = []
        if options.sharing:
            tasks.append(asyncio.create_task(self._board.run()))
            for node in self.nodes.values():
                await node.start()
            if not options.every_tick:
                watchman = Watchman(self.nodes, self.engine, self.world.catch_up, self._board, self.clock)
                tasks.append(asyncio.create_task(watchman.run()))
        # Whole seconds: the last bit of a fraction of a day would be a sleep that the clock cannot show.
        end_s = max(1, round(options.days * 86_400))
        self.hours.append(Hour.of(self.engine))
        while (left_s := end_s - self.clock.monotonic()) > SECOND_PART_S and progress(1 - left_s / end_s):
            await self.clock.sleep(min(HOUR_S, left_s))
            self.world.catch_up()
            self.hours.append(Hour.of(self.engine))
        await self._note_live_deals()
        for node in self.nodes.values() if options.sharing else ():
            await node.kill()
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for failed in (end for end in ends if isinstance(end, Exception)):
            raise failed
        return Result(options, tuple(self.hours), tuple(self.deals.values()), tuple(self.errors))


def simulate(options: Options, progress: Progress = lambda _share: True) -> Result:
    """Run a simulation from beginning to end, on a loop of its own.

    Raises:
        ConfigError: if a data file is not in its form.

    """

    async def main() -> Result:
        return await Simulation(options).run(progress)

    return run_virtual(main)
