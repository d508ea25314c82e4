"""Who wakes whom in a run in which nobody looks periodically.

A unit's wishes change when its battery passes an edge of its scenario, when a time band begins, when one of its deals
has ended, or, while it asks in vain, when somebody begins to accept what it asks for. When that will be is foreseen from
the physics; who accepts nothing of the kind is not asked.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
import math

import numpy as np

from ..emulator.leap import LeapingEngine
from ..model.deal import Direction
from ..model.errors import ApisError
from ..model.scenario import TimeBand
from ..node import Node
from ..ports import Clock
from ..rules import demand
from ..rules.schedule import next_on_grid_s
from ..unit.board import DEAL, Board
from ..waiting import wait_for

# A meter shows hundredths of a percent: an edge has surely been passed when the meter shows it too.
MARGIN_WH = 2.0


class Watchman:
    """Looks after all units of a run."""

    def __init__(self, nodes: Mapping[str, Node], engine: LeapingEngine, catch_up: Callable[[], None], board: Board, clock: Clock) -> None:
        """Nothing has been seen yet."""
        self._nodes = nodes
        self._engine = engine
        self._catch_up = catch_up
        self._board = board
        self._clock = clock
        self._offset_s = clock.monotonic() - engine.elapsed_s
        self._period_s = min(node.settings.policy.house_keeping_period_s for node in nodes.values())
        self._edges = [self._edges_of(nodes[unit_id]) for unit_id in engine.unit_ids]
        self._low_wh = np.full(len(nodes), -np.inf)
        self._high_wh = np.full(len(nodes), np.inf)
        self._known: dict[str, tuple[str, ...]] = {}
        self._accepted: dict[str, frozenset[Direction]] = dict.fromkeys(nodes, frozenset(Direction))
        self._bands: dict[str, TimeBand | None] = {}
        self._next_band_s = -math.inf
        self._is_full = False
        # What was found out in this moment, as long as no deal has changed.
        self._moment, self._now = (-1.0, 0), dict[tuple[str, Direction], bool]()
        self._changed = board.listen(lambda key: key.startswith(DEAL))
        for node in nodes.values():
            node.mediator.who_accepts = self._who_accepts

    @staticmethod
    def _edges_of(node: Node) -> tuple[list[float], list[float]]:
        policy, capacity_wh = node.settings.policy, node.settings.hardware.battery_nominal_capacity_wh
        limits = [percent * capacity_wh / 100 for percent in (policy.discharge_unit_lower_limit_pct, policy.charge_unit_upper_limit_pct)]
        edges = sorted({*demand.edges_wh(node.settings.scenario, policy), *limits})
        return [edge - MARGIN_WH for edge in edges], [edge + MARGIN_WH for edge in edges]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._catch_up()
            passed = self._passed()
            await self._wake({*passed, *self._in_new_band()})
            await self._tell_master([unit_id for unit_id in passed if self._board.own_deals(unit_id)])
            await self._follow_deals()
            self._aim()
            due_s = self._offset_s + self._engine.first_outside_s(self._low_wh, self._high_wh)
            due_s = min(due_s, self._next_band_s)
            if await wait_for(self._clock, due_s, self._changed):
                # What a converter does has changed, perhaps: all that happens within one period is looked at once.
                await self._follow_deals()
                await self._clock.sleep(next_on_grid_s(self._clock.monotonic(), self._period_s))

    def _passed(self) -> list[str]:
        """Units whose battery has left the space between its edges."""
        energy_wh = self._engine.energy_wh
        return [self._engine.unit_ids[i] for i in np.flatnonzero((energy_wh <= self._low_wh) | (energy_wh >= self._high_wh))]

    def _in_new_band(self) -> list[str]:
        """Units for which another time band has begun since the last look."""
        if self._clock.monotonic() < self._next_band_s:
            return []
        now, found = self._clock.now(), []
        for unit_id, node in self._nodes.items():
            band = node.settings.scenario.band_at(now.astimezone(node.settings.zone).time())
            if self._bands.get(unit_id) != band:
                self._bands[unit_id] = band
                found.append(unit_id)
        self._next_band_s = self._find_next_band_s()
        return found

    def _who_accepts(self, direction: Direction) -> list[str]:
        """Units that accepted this when their deals or their battery's band last changed, and still do as far as is known."""
        return [
            unit_id for unit_id, accepted in self._accepted.items() if direction in accepted and self._may_accept_now(unit_id, direction)
        ]

    def _may_accept_now(self, unit_id: str, direction: Direction) -> bool:
        """Whether a unit accepts this if it was looked at in this very moment, else True: many may ask it at once, and be too late."""
        node = self._nodes[unit_id]
        if node.controller.reading_age_s() > 0:
            return True
        moment = (self._clock.monotonic(), self._board.version)
        if moment != self._moment:
            self._moment, self._now = moment, {}
        known = self._now.get((unit_id, direction))
        if known is None:
            known = self._now[unit_id, direction] = node.mediator.accepts(direction)
        return known

    async def _look_at(self, unit_ids: Collection[str]) -> frozenset[Direction]:
        """What these accept now; all that any of them does."""
        for unit_id in sorted(unit_ids):
            self._accepted[unit_id] = await self._nodes[unit_id].mediator.accepted_directions()
        return frozenset().union(*(self._accepted[unit_id] for unit_id in unit_ids))

    async def _wake(self, unit_ids: Collection[str], *, has_room: bool = False) -> None:
        """These may want something else now; so may who asked in vain for what one of them accepts, or for room on the line."""
        accepted = await self._look_at(unit_ids)
        for unit_id, node in self._nodes.items():
            vain = node.user.asks_in_vain
            if unit_id in unit_ids:
                node.user.look_anew()
            elif vain is not None and (vain.opposite in accepted or has_room):
                node.user.wake.set()

    async def _follow_deals(self) -> None:
        """Who had a deal that has left the store may want another, or accept one; who has made one accepts less."""
        known, self._known = self._known, {deal.deal_id: deal.unit_ids for deal in self._board.deals()}
        await self._look_at({unit_id for deal_id in set(self._known) - set(known) for unit_id in self._known[deal_id]})
        was_full, self._is_full = self._is_full, next(iter(self._nodes.values())).mediator.line_is_full() is not None
        ended = {unit_id for deal_id in set(known) - set(self._known) for unit_id in known[deal_id]}
        await self._wake(ended, has_room=was_full and not self._is_full)

    def _aim(self) -> None:
        """The edges next to where each battery is."""
        for i, energy_wh in enumerate(self._engine.energy_wh.tolist()):
            downs, ups = self._edges[i]
            below, above = bisect_left(downs, energy_wh), bisect_right(ups, energy_wh)
            self._low_wh[i] = downs[below - 1] if below else -np.inf
            self._high_wh[i] = ups[above] if above < len(ups) else np.inf

    def _find_next_band_s(self) -> float:
        """When another time band of any scenario begins [community s]."""
        now = self._clock.now()
        changes = (demand.next_change(node.settings.scenario, now, node.settings.zone) for node in self._nodes.values())
        ahead_s = min(((moment - now).total_seconds() for moment in changes if moment is not None), default=math.inf)
        return self._clock.monotonic() + ahead_s

    async def _tell_master(self, unit_ids: Collection[str]) -> None:
        """Have the Grid Master look at units whose battery may be at a limit that ends their deals."""
        for node in self._nodes.values() if unit_ids else ():
            if node.role.access is not None:
                try:
                    await node.role.access.read(*unit_ids)
                except ApisError:
                    continue
                node.board.wake()
