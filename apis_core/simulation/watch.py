"""Who wakes whom in a run in which nobody looks periodically.

A unit's wishes change when what is in its battery, with what its deals are still to bring, passes an edge of its scenario,
when a time band begins, when a deal of its own was made or has ended, or, while it asks in vain, when somebody begins to
accept what it asks for. When that will be is foreseen from the physics; who accepts nothing of the kind is not asked.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
import functools
import math

import numpy as np

from ..emulator.leap import LeapingEngine
from ..emulator.line import Array
from ..model.deal import Direction
from ..model.errors import ApisError
from ..model.scenario import TimeBand
from ..node import Node
from ..ports import Clock
from ..rules import demand, slots
from ..unit.board import DEAL, Board
from ..unit.settings import Settings
from ..waiting import wait_for

# A meter shows hundredths of a percent: a limit has surely been passed when the meter shows it too.
LIMIT_MARGIN_WH = 1.5
# So near to an edge a unit looks at every period: what comes or goes within a step, and what a reading leaves out, is less.
WISH_MARGIN_WH = 10.0
# What converters did is taken into account so much later at most.
CONVERTERS_S = 30.0


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

        # For what is in a battery, at which deals end; for what is expected in it, at which another is wanted or accepted.
        settings = [nodes[unit_id].settings for unit_id in engine.unit_ids]
        self._limits_wh = _table([self._limits_of(unit) for unit in settings])
        self._wishes_wh = _table([demand.edges_wh(unit.scenario, unit.policy) for unit in settings])
        self._is_free = np.ones(len(nodes), dtype=bool)
        self._low_wh = np.full((2, len(nodes)), -np.inf)
        self._high_wh = np.full((2, len(nodes)), np.inf)
        # What is expected in a battery beyond what it would hold without the line: changes when deals come and go.
        self._ahead_wh = engine.battery_integral_wh.copy()
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
            node.user.looks_always = functools.partial(self._looks_always, node.settings.unit_id)

    @staticmethod
    def _limits_of(settings: Settings) -> list[float]:
        policy, capacity_wh = settings.policy, settings.hardware.battery_nominal_capacity_wh
        return [percent * capacity_wh / 100 for percent in (policy.discharge_unit_lower_limit_pct, policy.charge_unit_upper_limit_pct)]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._catch_up()
            at_limit, passed = self._passed()
            await self._wake({*at_limit, *passed, *self._in_new_band()})
            await self._tell_master([unit_id for unit_id in at_limit if self._board.own_deals(unit_id)])
            await self._follow_deals()
            self._aim()
            due_s = self._offset_s + self._engine.first_outside_s(self._low_wh, self._high_wh)
            due_s = min(due_s, self._next_band_s)
            while await wait_for(self._clock, due_s, self._changed):
                if await self._follow_deals():
                    break
                # What a converter does has changed, perhaps, and with it when a battery comes to a limit.
                due_s = min(due_s, self._clock.monotonic() + CONVERTERS_S)

    def _courses_wh(self) -> Array:
        """What is in each battery, and what would be in it without the line [Wh], shape (2, N)."""
        return np.stack([self._engine.energy_wh, self._engine.without_exchange_wh()])

    def _passed(self) -> tuple[list[str], list[str]]:
        """Units whose battery has left the space between its limits; units for which what is expected in it has left that of its wishes."""
        courses_wh = self._courses_wh()
        outside = (courses_wh <= self._low_wh) | (courses_wh >= self._high_wh)
        at_limit, passed = ([self._engine.unit_ids[i] for i in np.flatnonzero(row)] for row in outside)
        return at_limit, passed

    async def _expect(self, unit_ids: Collection[str]) -> None:
        """What their deals are still to bring or take, now that these have changed."""
        for unit_id in sorted(unit_ids):
            node, i = self._nodes[unit_id], self._engine.index[unit_id]
            await node.controller.bring_up_to_date()
            deals = self._board.own_deals(unit_id)
            self._is_free[i] = not deals
            self._ahead_wh[i] = slots.promised_wh(unit_id, deals, (), node.controller.account.deals) + self._engine.battery_integral_wh[i]

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
        """What these accept now, or may at any moment; all that any of them does."""
        for unit_id in sorted(unit_ids):
            mediator = self._nodes[unit_id].mediator
            self._accepted[unit_id] = mediator.directions_with_room() if self._is_near(unit_id) else await mediator.accepted_directions()
        return frozenset().union(*(self._accepted[unit_id] for unit_id in unit_ids))

    def _is_near(self, unit_id: str) -> bool:
        """Whether what is expected in a battery is so near to an edge that what its unit wants may change at any moment."""
        i, engine = self._engine.index[unit_id], self._engine
        expected_wh = engine.energy_wh[i] - (0.0 if self._is_free[i] else engine.battery_integral_wh[i] - self._ahead_wh[i])
        return bool(np.abs(self._wishes_wh[i] - expected_wh).min() <= WISH_MARGIN_WH)

    def _looks_always(self, unit_id: str) -> bool:
        """Whether a unit has a reason to look at every period: it is near an edge, or somebody is who may give it what it asks for."""
        vain = self._nodes[unit_id].user.asks_in_vain
        if vain is None:
            return self._is_near(unit_id)
        return any(
            vain.opposite in accepted and self._is_near(other) for other, accepted in self._accepted.items() if other != unit_id
        ) or self._is_near(unit_id)

    async def _wake(self, unit_ids: Collection[str], *, has_room: bool = False) -> None:
        """These may want something else now; so may who asked in vain for what one of them accepts, or for room on the line."""
        if not unit_ids and not has_room:
            return
        accepted = await self._look_at(unit_ids)
        for unit_id, node in self._nodes.items():
            vain = node.user.asks_in_vain
            if unit_id in unit_ids:
                node.user.look_anew()
            elif vain is not None and (vain.opposite in accepted or has_room):
                node.user.wake.set()

    async def _follow_deals(self) -> bool:
        """Whose deals are others than before may want another, or accept one; whether there were any."""
        known, self._known = self._known, {deal.deal_id: deal.unit_ids for deal in self._board.deals()}
        changed = known.keys() ^ self._known.keys()
        concerned = {unit_id for deal_id in changed for unit_id in known.get(deal_id) or self._known[deal_id]}
        await self._expect(concerned)
        was_full, self._is_full = self._is_full, next(iter(self._nodes.values())).mediator.line_is_full() is not None
        await self._wake(concerned, has_room=was_full and not self._is_full)
        return bool(concerned)

    def _aim(self) -> None:
        """The edges next to where each battery is, and to what is expected in it."""
        engine, free = self._engine, self._is_free
        # Without deals what is in a battery is what is expected in it; a converter in wait draws on it a little.
        self._ahead_wh[free] = engine.battery_integral_wh[free]
        expected_wh = engine.without_exchange_wh() + self._ahead_wh
        limit_low_wh, limit_high_wh = _around(engine.energy_wh, self._limits_wh, LIMIT_MARGIN_WH)
        wish_low_wh, wish_high_wh = _around(expected_wh, self._wishes_wh, WISH_MARGIN_WH)
        # The second row is looked for without the line; who has no deals needs none.
        self._low_wh[0] = np.where(free, np.maximum(limit_low_wh, wish_low_wh), limit_low_wh)
        self._high_wh[0] = np.where(free, np.minimum(limit_high_wh, wish_high_wh), limit_high_wh)
        self._low_wh[1] = np.where(free, -np.inf, wish_low_wh - self._ahead_wh)
        self._high_wh[1] = np.where(free, np.inf, wish_high_wh - self._ahead_wh)

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


def _table(edges_wh: Sequence[Sequence[float]]) -> Array:
    """One row of edges for each unit [Wh], filled up with what is never reached."""
    longest = max(len(row) for row in edges_wh)
    return np.array([[*row, *[np.inf] * (longest - len(row))] for row in edges_wh])


def _around(energy_wh: Array, edges_wh: Array, margin_wh: float) -> tuple[Array, Array]:
    """The next energies below and above each [Wh] that are a margin away from an edge."""
    moments_wh = np.concatenate([edges_wh - margin_wh, edges_wh + margin_wh], axis=1)
    beside_wh = energy_wh[:, None]
    low_wh: Array = np.where(moments_wh < beside_wh, moments_wh, -np.inf).max(axis=1)
    high_wh: Array = np.where(moments_wh > beside_wh, moments_wh, np.inf).min(axis=1)
    return low_wh, high_wh
