"""The embedded cluster: units of one process, joined in memory.

Messages and stored values are turned to JSON text and back, so that nobody shares an object with anybody and nothing
gets by that a network engine could not carry. Handlers run in tasks the hub owns.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
import logging
from typing import Any

import orjson

from ..model.errors import ApisError, ClusterError, CommandRefusedError, MessageError, NoAnswerError, StoreConflictError
from ..ports import Entry, Handler, Json
from .store_file import StoreFile

_LOGGER = logging.getLogger(__name__)


class EmbeddedStore:
    """Key-value store with one revision counter; watchers see every change in order.

    With a file, a change is on disk when its method returns. Watchers may see it a moment earlier: they end with this
    process, as the change would.
    """

    def __init__(self, file: StoreFile | None = None) -> None:
        """Begin with what the file holds, or empty."""
        self._file = file
        self._values: dict[str, tuple[bytes, int]] = {}
        self._revision = 0
        if file is not None:
            self._values, self._revision = file.load()
        self._watchers: list[tuple[str, asyncio.Queue[Entry]]] = []

    @property
    def trouble(self) -> str:
        """See Store."""
        return "" if self._file is None else self._file.trouble

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        return self._entry(key)

    async def items(self, prefix: str) -> tuple[Entry, ...]:
        """See Store."""
        return tuple(entry for key in sorted(self._values) if key.startswith(prefix) and (entry := self._entry(key)))

    async def create(self, key: str, value: Json) -> int:
        """See Store."""
        if key in self._values:
            raise StoreConflictError(f"{key}: found revision {self._values[key][1]}, expected no value")
        return await self._set(key, value)

    async def update(self, key: str, value: Json, revision: int) -> int:
        """See Store."""
        self._expect(key, revision)
        return await self._set(key, value)

    async def put(self, key: str, value: Json) -> int:
        """See Store."""
        return await self._set(key, value)

    async def delete(self, key: str, revision: int | None = None) -> None:
        """See Store."""
        if revision is not None:
            self._expect(key, revision)
        if self._values.pop(key, None) is not None:
            self._revision += 1
            deleted = Entry(key, None, self._revision)
            self._tell(deleted)
            if self._file is not None:
                await self._file.keep(key, None, deleted.revision)

    async def watch(self, prefix: str) -> AsyncIterator[Entry]:
        """See Store. What was there when iteration began comes first."""
        queue: asyncio.Queue[Entry] = asyncio.Queue()
        for entry in await self.items(prefix):
            queue.put_nowait(entry)
        watcher = (prefix, queue)
        self._watchers.append(watcher)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(watcher)

    def _entry(self, key: str) -> Entry | None:
        if key not in self._values:
            return None
        value, revision = self._values[key]
        return Entry(key, orjson.loads(value), revision)

    def _expect(self, key: str, revision: int) -> None:
        found = self._values[key][1] if key in self._values else None
        if found != revision:
            raise StoreConflictError(f"{key}: found revision {found}, expected {revision}")

    async def _set(self, key: str, value: Json) -> int:
        old = self._entry(key)
        self._revision += 1
        revision, data = self._revision, orjson.dumps(value)
        self._values[key] = (data, revision)
        self._tell(Entry(key, orjson.loads(data), revision))
        if self._file is not None and not _is_renewal(None if old is None else old.value, value):
            await self._file.keep(key, data, revision)
        return revision

    def _tell(self, entry: Entry) -> None:
        for prefix, queue in self._watchers:
            if entry.key.startswith(prefix):
                queue.put_nowait(entry)


def _is_renewal(old: Json | None, new: Json) -> bool:
    """Whether a lease was only renewed: nothing of it is needed after this process, which alone can hold it."""
    return old is not None and "renewal" in new and {**old, "renewal": 0} == {**new, "renewal": 0}


class EmbeddedHub:
    """What the units of one process share: the store, and who is there."""

    def __init__(self, file: StoreFile | None = None) -> None:
        """Begin with nobody."""
        self.store = EmbeddedStore(file)
        self.ends: dict[str, EmbeddedCluster] = {}

    def join(self, unit_id: str) -> EmbeddedCluster:
        """A new unit's end.

        Raises:
            ClusterError: if a unit with that id is there already.

        """
        if unit_id in self.ends:
            raise ClusterError(f"unit {unit_id} is already in this cluster")
        self.ends[unit_id] = EmbeddedCluster(self, unit_id)
        return self.ends[unit_id]


class EmbeddedCluster:
    """One unit's end of the hub."""

    def __init__(self, hub: EmbeddedHub, unit_id: str) -> None:
        """Made by the hub."""
        self._hub = hub
        self._unit_id = unit_id
        self._handlers: dict[str, Handler] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def unit_id(self) -> str:
        """See Cluster."""
        return self._unit_id

    @property
    def store(self) -> EmbeddedStore:
        """See Cluster."""
        return self._hub.store

    @property
    def subjects(self) -> frozenset[str]:
        """What this end listens to."""
        return frozenset(self._handlers)

    def live(self) -> frozenset[str]:
        """See Cluster."""
        return frozenset(self._hub.ends)

    def handle(self, subject: str, handler: Handler) -> None:
        """See Cluster."""
        self._handlers[subject] = handler

    async def publish(self, subject: str, payload: Json) -> None:
        """See Cluster."""
        message = orjson.dumps(payload)
        for unit_id, end in list(self._hub.ends.items()):
            if unit_id != self._unit_id and subject in end.subjects:
                end.begin(end.deliver_quietly(subject, self._unit_id, message))

    async def request(self, unit_id: str, subject: str, payload: Json, timeout_s: float) -> Json:
        """See Cluster."""
        end = self._hub.ends.get(unit_id)
        if end is None:
            raise NoAnswerError(f"{subject}: unit {unit_id} is not in the cluster")
        task = end.begin(end.deliver(subject, self._unit_id, orjson.dumps(payload)))
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if not done:
            raise NoAnswerError(f"{subject}: no answer from {unit_id} within {timeout_s:g} s")
        if task.cancelled():
            raise NoAnswerError(f"{subject}: unit {unit_id} left while it was asked")
        error = task.exception()
        if isinstance(error, CommandRefusedError):
            raise CommandRefusedError(str(error)) from error
        if error is not None:
            raise ClusterError(f"{subject}: {unit_id} failed: {error}") from error
        answer: Json = orjson.loads(task.result())
        return answer

    async def scatter(self, units: Collection[str], subject: str, payload: Json, timeout_s: float) -> dict[str, Json]:
        """See Cluster."""
        message = orjson.dumps(payload)
        tasks = {
            end.begin(end.deliver(subject, self._unit_id, message)): unit_id
            for unit_id in sorted(units)
            if (end := self._hub.ends.get(unit_id)) is not None
        }
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return {
            unit_id: orjson.loads(task.result())
            for task, unit_id in tasks.items()
            if task.done() and not task.cancelled() and task.exception() is None
        }

    async def close(self) -> None:
        """See Cluster. Whatever it still answers is cancelled."""
        self._hub.ends.pop(self._unit_id, None)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self, work: Any) -> asyncio.Task[Any]:
        """Run a piece of this end's work in a task it owns."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ApisError):
            _LOGGER.error("%s: a handler failed", self._unit_id, exc_info=error)

    async def deliver(self, subject: str, sender: str, message: bytes) -> bytes:
        """This end's answer to a message."""
        handler = self._handlers.get(subject)
        if handler is None:
            raise MessageError(f"{self._unit_id} does not answer {subject}")
        return orjson.dumps(await handler(sender, orjson.loads(message)) or {})

    async def deliver_quietly(self, subject: str, sender: str, message: bytes) -> None:
        """Take a publication; what is wrong with it is logged here."""
        try:
            await self.deliver(subject, sender, message)
        except ApisError as error:
            _LOGGER.warning("%s: %s from %s was dropped: %s", self._unit_id, subject, sender, error)
