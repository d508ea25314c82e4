"""The Grid Master's lease, on top of any store with compare-and-set.

Each change of holder raises the epoch, and so does a holder that finds itself fenced off. A holder renews by compare-and-set; whoever watches judges by its own clock how
long the lease has not changed. A renewal whose answer was lost is read back: if it holds our own count it was applied.
"""

import asyncio
from collections.abc import Callable
import contextlib
import math

from ..model.errors import ClusterError, StoreConflictError
from ..ports import Clock, Entry, Store
from ..rules import role
from ..unit.board import LEASE


class StoreLease:
    """One unit's view of the lease."""

    def __init__(self, store: Store, clock: Clock, unit_id: str, length_s: Callable[[], float], on_lost: Callable[[], None]) -> None:
        """Nothing is asked yet. `length_s`: how long it lasts after its last renewal [wall s]; `on_lost`: it was held, and is no more."""
        self._length_s = length_s
        self._on_lost = on_lost
        self._store = store
        self._clock = clock
        self._unit_id = unit_id
        self._seen: tuple[int, role.LeaseRecord, float] | None = None
        self._held: role.LeaseRecord | None = None
        self._revision = 0
        self._renewed_wall_s = 0.0
        self._writing = asyncio.Lock()
        self.replaced_s = -math.inf

    @property
    def epoch(self) -> int:
        """See Lease; 0 while not held."""
        return self._held.epoch if self._held is not None else 0

    @property
    def renewed_wall_s(self) -> float:
        """See Lease."""
        return self._clock.wall() if self._clock.is_quiet and self._held is not None else self._renewed_wall_s

    @property
    def is_held(self) -> bool:
        """Whether this unit holds it and the last renewal is younger than its length."""
        return self._held is not None and self._clock.wall() < self.renewed_wall_s + self._length_s()

    @property
    def holder(self) -> str | None:
        """Who holds it as last seen; None if nobody does or it has not been renewed for its length."""
        if self._seen is None:
            return None
        _, record, since_s = self._seen
        expired = self._clock.wall() - since_s >= self._length_s() and not self._clock.is_quiet
        return None if expired or not record.holder else record.holder

    def observe(self, entry: Entry) -> None:
        """Take note of the lease as stored."""
        if entry.value is None:
            self._seen = None
            return
        if self._seen is None or self._seen[0] != entry.revision:
            self._seen = (entry.revision, role.LeaseRecord.from_json(entry.value), self._clock.wall())

    @property
    def seen_epoch(self) -> int:
        """The epoch in the lease as last seen."""
        return 0 if self._seen is None else self._seen[1].epoch

    async def try_take(self, highest_epoch: int, gone_unit_id: str | None = None) -> bool:
        """Take it if it is free: with an epoch above every one seen. `gone_unit_id`: a holder that all live members have fenced off."""
        entry = await self._store.get(LEASE)
        if entry is not None:
            self.observe(entry)
        record, unseen_s = None, 0.0
        if entry is not None and self._seen is not None:
            record, unseen_s = self._seen[1], self._clock.wall() - self._seen[2]
        # Back since then, and Grid Master again: that holding was not fenced off.
        gone = gone_unit_id if record is not None and record.epoch <= highest_epoch else None
        if not role.may_take(record, self._unit_id, unseen_s, self._length_s(), gone):
            return False
        self.replaced_s = self._seen[2] if self._seen is not None else -math.inf
        taken = role.LeaseRecord(self._unit_id, max(highest_epoch, record.epoch if record else 0) + 1)
        return await self._write(taken, entry.revision if entry is not None else None)

    async def renew(self, highest_epoch: int = 0) -> bool:
        """See Lease. `highest_epoch`: that a member has seen; if it is higher than this holding's, the holding goes on above it."""
        async with self._writing:
            if self._held is None:
                return False
            epoch = self._held.epoch if highest_epoch <= self._held.epoch else highest_epoch + 1
            renewed = role.LeaseRecord(self._unit_id, epoch, self._held.renewal + 1)
            return await self._write(renewed, self._revision)

    async def hand_to(self, unit_id: str) -> None:
        """Give it to another unit (or, with an empty id, to nobody)."""
        async with self._writing:
            if self._held is None:
                return
            record = role.LeaseRecord(unit_id, self._held.epoch + (1 if unit_id else 0))
            self._held = None
            with contextlib.suppress(ClusterError):
                await self._store.update(LEASE, record.to_json(), self._revision)

    async def _write(self, record: role.LeaseRecord, revision: int | None) -> bool:
        sent_wall_s = self._clock.wall()
        try:
            if revision is None:
                self._revision = await self._store.create(LEASE, record.to_json())
            else:
                self._revision = await self._store.update(LEASE, record.to_json(), revision)
        except StoreConflictError:
            entry = await self._store.get(LEASE)
            if entry is None or entry.value != record.to_json():
                if entry is not None:
                    self.observe(entry)
                if self._held is not None:
                    self._held = None
                    self._on_lost()
                return False
            self._revision = entry.revision
        self._held, self._renewed_wall_s = record, sent_wall_s
        self._seen = (self._revision, record, sent_wall_s)
        return True
