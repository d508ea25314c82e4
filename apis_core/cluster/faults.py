"""What can go wrong between units of one process, on purpose: a member cut off, slow, heard twice, or standing still."""

import asyncio
from collections.abc import Collection
import random

from ..model.errors import ClusterError, NoAnswerError

# How long a member that is cut off tries to reach the store before it gives up.
STORE_TIMEOUT_S = 1.0


class Faults:
    """Nothing is wrong until a test says so. All times are the event loop's."""

    def __init__(self) -> None:
        """Everybody reaches everybody."""
        self._island: dict[str, int] = {}
        self._delay_s: dict[str, float] = {}
        self._twice: set[str] = set()
        self._uneven: dict[str, tuple[float, float, random.Random]] = {}
        self._frozen: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()

    def cut(self, *unit_ids: str) -> None:
        """These units reach each other, but neither the others nor the store."""
        self._island |= dict.fromkeys(unit_ids, max(self._island.values(), default=0) + 1)
        self._tell()

    def delay(self, unit_id: str, seconds: float) -> None:
        """Every message from and to a unit takes so long."""
        self._delay_s[unit_id] = seconds

    def duplicate(self, unit_id: str) -> None:
        """Every message to a unit arrives twice."""
        self._twice.add(unit_id)

    def uneven(self, unit_id: str, seconds: float, lost: float, rng: random.Random) -> None:
        """Messages from and to a unit take up to so long, each its own time, and so large a share of them never arrives."""
        self._uneven[unit_id] = (seconds, lost, rng)

    def spare(self, *unit_ids: str) -> None:
        """Nothing is wrong with these units any more."""
        for unit_id in unit_ids:
            for wrong in (self._island, self._delay_s, self._uneven):
                wrong.pop(unit_id, None)
            self._twice.discard(unit_id)
            if (event := self._frozen.pop(unit_id, None)) is not None:
                event.set()
        self._tell()

    def freeze(self, unit_id: str) -> None:
        """A unit stands still: it is there, but nothing from or to it moves."""
        self._frozen.setdefault(unit_id, asyncio.Event())

    def stands_still(self, unit_id: str) -> bool:
        """Whether nothing from or to a unit moves."""
        return unit_id in self._frozen

    def heal(self) -> None:
        """All is well again; what stood still goes on where it was."""
        self.spare(*self._island, *self._delay_s, *self._uneven, *self._twice, *self._frozen)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def reaches(self, sender: str, receiver: str) -> bool:
        """Whether there is a way between two units."""
        return self._island.get(sender, 0) == self._island.get(receiver, 0)

    def within_reach(self, sender: str, receivers: Collection[str]) -> frozenset[str]:
        """Those of `receivers` there is a way to."""
        if not self._island:
            return frozenset(receivers)
        return frozenset(unit_id for unit_id in receivers if self.reaches(sender, unit_id))

    def arrives_twice(self, receiver: str) -> bool:
        """Whether a message to a unit is repeated."""
        return receiver in self._twice

    async def travel(self, sender: str, receiver: str) -> None:
        """A message's way. Raises NoAnswerError if it does not arrive."""
        await self.stand_still(sender)
        if sender == receiver:
            return
        delay_s = max(self._delay_s.get(sender, 0.0), self._delay_s.get(receiver, 0.0))
        lost = False
        for longest_s, share, rng in (self._uneven[unit] for unit in (sender, receiver) if unit in self._uneven):
            delay_s += rng.random() * longest_s
            lost |= rng.random() < share
        if delay_s:
            await asyncio.sleep(delay_s)
        if lost:
            raise NoAnswerError(f"a message from {sender} to {receiver} was lost")
        await self.stand_still(receiver)
        if not self.reaches(sender, receiver):
            raise NoAnswerError(f"no way from {sender} to {receiver}")

    async def stand_still(self, unit_id: str) -> None:
        """Return when the unit goes on."""
        while (event := self._frozen.get(unit_id)) is not None:
            await event.wait()

    async def reach_store(self, unit_id: str) -> None:
        """A unit's way to the store. Raises ClusterError if there is none."""
        await self.stand_still(unit_id)
        if self._island.get(unit_id, 0):
            await asyncio.sleep(STORE_TIMEOUT_S)
            raise ClusterError(f"{unit_id}: the store did not answer within {STORE_TIMEOUT_S:g} s")

    async def hear_store(self, unit_id: str) -> None:
        """Return when the store's news can reach a unit."""
        await self.stand_still(unit_id)
        while self._island.get(unit_id, 0):
            await self._changed.wait()
