"""Holding the role: takes the lease when it is free, renews it, works while it holds it, and moves it where it belongs."""

import asyncio
from collections.abc import Callable, Collection
import logging
import math

from ..model.errors import Category, ClusterError, ErrorReport, Extent, Level
from ..ports import Clock, Cluster, Guard, Json
from ..rules import role
from ..unit.board import DEAL, LEASE, Board
from ..unit.settings import Settings
from ..unit.subjects import EPOCH
from ..waiting import wait_for
from .access import Access, store_owed
from .lease import StoreLease
from .master import GridMaster

_LOGGER = logging.getLogger(__name__)
EPOCH_TIMEOUT_S = 1.0
# How often the holder looks whether the role belongs elsewhere [wall s].
LOOK_S = 1.0


class Role:
    """One unit's part in the role."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        board: Board,
        clock: Clock,
        highest_epoch: Callable[[], int],
        report: Callable[[ErrorReport], None],
        guard: Guard | None = None,
    ) -> None:
        """`highest_epoch`: the highest this unit's converter has obeyed."""
        self._settings = settings
        self._cluster = cluster
        self._board = board
        self._clock = clock
        self._highest_epoch = highest_epoch
        self._report = report
        self._guard = guard
        # The units that could ever be reached from here, alive or not; None where that is nobody's question.
        self.reachable: Callable[[], Collection[str]] | None = None
        # How long ago the Grid Master's word came last [wall s].
        self.unheard_s: Callable[[], float] = lambda: math.inf
        # A holder that is there, but says nothing any more; and when the word came after which one that says nothing was still at work.
        self._silent: str | None = None
        self._answered_s = -math.inf
        self._leaving = False
        # What a holding had to store and could not: it outlives the holding.
        self._owed: dict[str, Json] = {}
        # When whoever this unit took the role from may command no more [wall s].
        self._free_s = -math.inf
        self._work: asyncio.Task[None] | None = None
        self._lease = StoreLease(cluster.store, clock, settings.unit_id, lambda: settings.policy.times.lease_length_s, self._end_work)
        self.master: GridMaster | None = None
        self.access: Access | None = None

    @property
    def read_only(self) -> str:
        """Why this unit does not take the role: it is no member, or some members cannot be reached from its process at all."""
        members = self._settings.policy.member_unit_ids
        if self._settings.unit_id not in members:
            return f"{self._settings.unit_id} is not a member"
        missing = sorted(set(members) - set(self.reachable())) if self.reachable is not None else []
        return f"no Grid Master here: {', '.join(missing)} of memberUnitIds run in no unit of this process" if missing else ""

    @property
    def is_held(self) -> bool:
        """Whether this unit is Grid Master."""
        return self.master is not None

    @property
    def holder(self) -> str | None:
        """The Grid Master as this unit knows it."""
        return self._lease.holder

    async def run(self) -> None:
        """Watch the lease until cancelled; work whenever it is ours."""
        wake = self._board.listen(lambda key: key == LEASE)
        try:
            while True:
                try:
                    await store_owed(self._cluster.store, self._owed)
                    if not self._leaving and not self.read_only and await self._should_try() and await self._take():
                        await (self._lease.hand_to("") if self._leaving else self._hold())
                        # However a holding ends, none follows another without a pause.
                        await self._clock.sleep_wall(self._settings.policy.times.lease_retry_s)
                except ClusterError as error:
                    # Cut off from the store: whoever reaches it takes the role.
                    _LOGGER.debug("%s: the role: %s", self._settings.unit_id, error)
                await wait_for(self._clock, self._clock.monotonic() + self._retry_s(), wake)
        finally:
            self._board.unlisten(wake)

    async def leave(self) -> None:
        """Give the role to another live unit; take it no more."""
        self._leaving = True
        await self.step_down()

    async def step_down(self) -> None:
        """Give the role to another live unit, if it is held."""
        if self.master is not None:
            async with self.master.turn:
                others = sorted(self._live_members() - {self._settings.unit_id})
                await self._lease.hand_to(others[0] if others else "")
                self._end_work()

    async def _take(self) -> bool:
        """Take the role with an epoch above all that members report; from a holder that is gone once all others who are there agree."""
        holder = self._lease.holder
        gone = holder if holder != self._settings.unit_id else None
        live = self._live_members() - {gone}
        highest = max(await self._highest_of(live), self._highest_epoch(), self._lease.seen_epoch)
        if gone is not None:
            if gone != self._silent and gone in self._cluster.live():
                return False
            fenced = await self._cluster.scatter(live, EPOCH, {"epoch": highest + 1}, EPOCH_TIMEOUT_S)
            if set(fenced) != set(live):
                return False
        taken = await self._lease.try_take(highest, gone)
        if taken and gone is not None:
            # Whoever held it may command until its last renewal is so old.
            self._free_s = self._lease.replaced_s + self._settings.policy.times.command_right_s
            await self._clock.sleep_wall(self._free_s - EPOCH_TIMEOUT_S - self._clock.wall())
            # Others who wanted it too may have had this one fenced off as well, before they saw that it was taken.
            taken = await self._lease.renew(await self._highest_of(live))
        if taken:
            await self._clock.sleep_wall(self._free_s - self._clock.wall())
        return taken

    async def _highest_of(self, unit_ids: Collection[str]) -> int:
        """The highest epoch that any of these reports, and that can be one."""
        answers = await self._cluster.scatter(unit_ids, EPOCH, {}, EPOCH_TIMEOUT_S)
        known = max(self._highest_epoch(), self._lease.seen_epoch)
        return max((epoch for answer in answers.values() if role.is_plausible(epoch := answer.get("epoch"), known)), default=0)

    def _live_members(self) -> frozenset[str]:
        return self._cluster.live() & set(self._settings.policy.member_unit_ids)

    def _retry_s(self) -> float:
        if self._clock.is_quiet:
            return math.inf
        times, unheard_s = self._settings.policy.times, self.unheard_s()
        is_heard = unheard_s < times.silence_s
        ahead_s = max(times.silence_s - unheard_s, times.lease_retry_s) if is_heard else times.lease_renewal_s
        # These are wall time; the wait is in the community's.
        return ahead_s / self._clock.to_wall(1.0)

    async def _has_fallen_silent(self, holder: str) -> bool:
        """Whether a holder whose word comes no more answers nobody; it is as good as gone then, and fenced off before it is followed.

        A holder tells its word only while anything is on: one that answers a question is at work.
        """
        times, unheard_s = self._settings.policy.times, self.unheard_s()
        heard_s = self._clock.wall() - unheard_s
        if not times.silence_s <= unheard_s < times.lease_length_s or heard_s <= self._answered_s:
            return False
        live = self._live_members()
        answers = await self._cluster.scatter(live, EPOCH, {}, EPOCH_TIMEOUT_S)
        if holder in answers:
            self._answered_s = heard_s
            return False
        return all(role.hears_nothing(answers.get(unit_id), times.silence_s) for unit_id in live - {holder})

    async def _should_try(self) -> bool:
        entry = await self._cluster.store.get(LEASE)
        if entry is not None:
            self._lease.observe(entry)
        holder = self._lease.holder
        if holder is not None and holder != self._settings.unit_id:
            # One that has left, or stands still, is followed as soon as all others agree; else when its lease ends.
            self._silent = None
            if holder not in self._cluster.live():
                return True
            self._silent = holder if await self._has_fallen_silent(holder) else None
            return self._silent is not None
        if holder is not None:
            return True
        wanted = role.desired_unit(self._settings.policy, None, self._cluster.live())
        return wanted in (None, self._settings.unit_id)

    async def _hold(self) -> None:
        """Work with the lease until it is lost or handed on."""
        unit_id = self._settings.unit_id
        _LOGGER.info("%s is Grid Master, epoch %d", unit_id, self._lease.epoch)
        self.access = Access(self._settings, self._cluster, self._board, self._clock, self._lease, self._guard, self._tell, self._end_work)
        self.master = GridMaster(unit_id, self.access, self._report, self._owed)
        self._work = work = asyncio.create_task(self.master.run(), name=f"grid master {unit_id}")
        try:
            await self._renew_while(work)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            self.master = self.access = self._work = None
            _LOGGER.info("%s is no longer Grid Master", unit_id)

    def _tell(self, message: str) -> None:
        self._report(ErrorReport(self._settings.unit_id, Category.USER, Extent.GLOBAL, Level.WARN, message))

    async def _renew_while(self, work: asyncio.Task[None]) -> None:
        times = self._settings.policy.times
        due_s = self._clock.wall() + times.lease_renewal_s
        while self._lease.epoch and not work.done():
            if await self._move_if_wanted():
                return
            now_s, pause_s = self._clock.wall(), LOOK_S
            if now_s >= due_s:
                try:
                    if not await self._lease.renew():
                        return
                    due_s = now_s + times.lease_renewal_s
                except ClusterError as unreachable:
                    pause_s = times.lease_retry_s
                    if not self._lease.is_held:
                        _LOGGER.warning("%s gives up the role: %s", self._settings.unit_id, unreachable)
                        return
            await self._pause(work, min(pause_s, max(times.lease_retry_s, due_s - now_s)))
        if self.access is not None and self.access.contacts.is_overtaken:
            if await self._lease.renew():
                # The lease is this unit's, and yet a member has seen a higher epoch: once more, above that one.
                await self._lease.hand_to("")
        elif work.done() and not work.cancelled() and (error := work.exception()) is not None:
            _LOGGER.error("Grid Master of %s failed", self._settings.unit_id, exc_info=error)
            message = f"the Grid Master stopped: {error!r}"
            self._report(ErrorReport(self._settings.unit_id, Category.LOGIC, Extent.LOCAL, Level.WARN, message))
            await self._lease.hand_to("")
            # Somebody else may fare better; taken again at once it would fail again at once.
            await self._clock.sleep_wall(times.lease_renewal_s)

    async def _pause(self, work: asyncio.Task[None], pause_s: float) -> None:
        """Until there is something to look at: the work has ended, or it is time; in a quiet run, the voltage has moved."""
        if not self._clock.is_quiet or self.access is None:
            await asyncio.wait({work}, timeout=pause_s)
            return
        if not role.follows_reference(self._settings.policy):
            await asyncio.wait({work})
            return
        reference, changed = self.access.reference_unit_id, self._board.listen(lambda key: key.startswith(DEAL))

        def is_over(_work: asyncio.Task[None]) -> None:
            changed.set()

        work.add_done_callback(is_over)
        try:
            while not work.done() and self.access.reference_unit_id == reference:
                await changed.wait()
                changed.clear()
        finally:
            work.remove_done_callback(is_over)
            self._board.unlisten(changed)

    async def _move_if_wanted(self) -> bool:
        """Hand the role to where the policy wants it, between two transitions."""
        if self.access is None or self.master is None or self.master.turn.locked():
            return False
        wanted = role.desired_unit(self._settings.policy, self.access.reference_unit_id, self._cluster.live())
        if self.read_only:
            # No member any more.
            wanted = next(iter(sorted(self._live_members())), "")
        if wanted in (None, self._settings.unit_id):
            return False
        async with self.master.turn:
            _LOGGER.info("the role moves from %s to %s", self._settings.unit_id, wanted)
            await self._lease.hand_to(wanted)
            self._end_work()
        return True

    def _end_work(self) -> None:
        if self._work is not None:
            self._work.cancel()
