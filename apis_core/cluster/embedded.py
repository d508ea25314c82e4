"""The embedded cluster: units of one process, joined in memory.

Messages and stored values are turned to JSON text and back, so that nobody shares an object with anybody and nothing
gets by that a network engine could not carry. Handlers run in tasks the hub owns.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
import functools
import itertools
import logging
from typing import Any

import orjson

from ..model.errors import ApisError, ClusterError, CommandRefusedError, MessageError, NoAnswerError
from ..ports import Entry, Handler, Json, Store
from .faults import Faults
from .memory_store import EmbeddedStore
from .port import Envelope, Port
from .store_file import StoreFile

_LOGGER = logging.getLogger(__name__)
SECOND_COPY_S = 0.05


def _loop_s() -> float:
    return asyncio.get_running_loop().time()


class EmbeddedHub:
    """What the units of one process share: the store, and who is there. `faults` is for tests."""

    def __init__(self, file: StoreFile | None = None, wall_s: Callable[[], float] = _loop_s, *, direct: bool = False) -> None:
        """Begin with nobody. `wall_s`: the machine's wall clock.

        `direct`: nothing happens to a message on its way, so that it is a call; for runs in virtual time without faults.
        """
        self.direct = direct
        self.store = EmbeddedStore(file, direct=direct)
        self.faults = Faults()
        self.wall_s = wall_s
        self.ends: dict[str, EmbeddedCluster] = {}
        self.numbers = itertools.count()

    def join(self, unit_id: str) -> EmbeddedCluster:
        """A new unit's end.

        Raises:
            ClusterError: if a unit with that id is there already.

        """
        if unit_id in self.ends:
            raise ClusterError(f"unit {unit_id} is already in this cluster")
        self.ends[unit_id] = EmbeddedCluster(self, unit_id)
        return self.ends[unit_id]


class MemberStore:
    """The store as one unit reaches it."""

    def __init__(self, hub: EmbeddedHub, unit_id: str) -> None:
        """Made by the unit's end."""
        self._hub = hub
        self._unit_id = unit_id

    @property
    def trouble(self) -> str:
        """See Store."""
        return self._hub.store.trouble

    async def _reached(self) -> EmbeddedStore:
        await self._hub.faults.reach_store(self._unit_id)
        return self._hub.store

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        return await (await self._reached()).get(key)

    async def items(self, prefix: str) -> tuple[Entry, ...]:
        """See Store."""
        return await (await self._reached()).items(prefix)

    async def create(self, key: str, value: Json) -> int:
        """See Store."""
        return await (await self._reached()).create(key, value)

    async def update(self, key: str, value: Json, revision: int) -> int:
        """See Store."""
        return await (await self._reached()).update(key, value, revision)

    async def put(self, key: str, value: Json) -> int:
        """See Store."""
        return await (await self._reached()).put(key, value)

    async def delete(self, key: str, revision: int | None = None) -> None:
        """See Store."""
        await (await self._reached()).delete(key, revision)

    async def watch(self, prefix: str) -> AsyncIterator[Entry]:
        """See Store."""
        await self._hub.faults.hear_store(self._unit_id)
        async for entry in self._hub.store.watch(prefix):
            await self._hub.faults.hear_store(self._unit_id)
            yield entry


class EmbeddedCluster:
    """One unit's end of the hub."""

    def __init__(self, hub: EmbeddedHub, unit_id: str) -> None:
        """Made by the hub."""
        self._hub = hub
        self._unit_id = unit_id
        self._store = MemberStore(hub, unit_id)
        self._port = Port(unit_id, hub.wall_s)
        self._handlers: dict[str, Handler] = {}
        self._trusted: Callable[[], Collection[str]] = lambda: hub.ends
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def unit_id(self) -> str:
        """See Cluster."""
        return self._unit_id

    @property
    def store(self) -> Store:
        """See Cluster."""
        return self._store

    @property
    def subjects(self) -> frozenset[str]:
        """What this end listens to."""
        return frozenset(self._handlers)

    @property
    def dropped(self) -> Mapping[str, int]:
        """See Cluster."""
        return self._port.dropped

    def live(self) -> frozenset[str]:
        """See Cluster."""
        return self._hub.faults.within_reach(self._unit_id, self._hub.ends)

    def trust(self, senders: Callable[[], Collection[str]]) -> None:
        """See Cluster."""
        self._trusted = senders

    def handle(self, subject: str, handler: Handler) -> None:
        """See Cluster."""
        self._handlers[subject] = handler

    def _pack(self, subject: str, payload: Json) -> bytes:
        return Envelope(str(next(self._hub.numbers)), self._unit_id, subject, self._hub.wall_s(), payload).pack()

    def _send(self, end: EmbeddedCluster, message: bytes) -> asyncio.Task[bytes]:
        task = end.begin(end.take(self._unit_id, message))
        if end is not self and self._hub.faults.arrives_twice(end.unit_id):
            end.begin(end.take_again(self._unit_id, message))
        return task

    async def publish(self, subject: str, payload: Json) -> None:
        """See Cluster."""
        message = self._pack(subject, payload)
        for unit_id, end in list(self._hub.ends.items()):
            if unit_id != self._unit_id and subject in end.subjects:
                end.begin(end.take_quietly(self._unit_id, message))

    async def request(self, unit_id: str, subject: str, payload: Json, timeout_s: float) -> Json:
        """See Cluster."""
        end = self._hub.ends.get(unit_id)
        if end is None:
            raise NoAnswerError(f"{subject}: unit {unit_id} is not in the cluster")
        if self._hub.direct:
            try:
                return await end.answer(self._unit_id, subject, payload)
            except CommandRefusedError:
                raise
            except ApisError as failure:
                raise ClusterError(f"{subject}: {unit_id} failed: {failure}") from failure
        task = self._send(end, self._pack(subject, payload))
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        await self._hub.faults.stand_still(self._unit_id)
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

    async def scatter(
        self,
        units: Collection[str],
        subject: str,
        payload: Json,
        timeout_s: float,
        on_answer: Callable[[str, Json], None] | None = None,
    ) -> dict[str, Json]:
        """See Cluster."""
        ends = [end for unit_id in sorted(units) if (end := self._hub.ends.get(unit_id)) is not None]
        if self._hub.direct:
            return await self._call(ends, subject, payload, on_answer)
        answers: dict[str, Json] = {}
        over = False

        def take(unit_id: str, answer: Json) -> None:
            answers[unit_id] = answer
            if on_answer is not None:
                on_answer(unit_id, answer)

        def arrived(unit_id: str, task: asyncio.Task[bytes]) -> None:
            if not over and not task.cancelled() and task.exception() is None:
                take(unit_id, orjson.loads(task.result()))

        message = self._pack(subject, payload)
        tasks = {self._send(end, message): end.unit_id for end in ends}
        for task, unit_id in tasks.items():
            task.add_done_callback(functools.partial(arrived, unit_id))
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        over = True
        await self._hub.faults.stand_still(self._unit_id)
        return answers

    async def _call(
        self, ends: list[EmbeddedCluster], subject: str, payload: Json, on_answer: Callable[[str, Json], None] | None
    ) -> dict[str, Json]:
        """Scattering where messages are calls."""
        answers = {}
        for end in ends:
            try:
                answer = await end.answer(self._unit_id, subject, payload)
            except ApisError:
                continue
            answers[end.unit_id] = answer
            if on_answer is not None:
                on_answer(end.unit_id, answer)
        return answers

    async def answer(self, sender: str, subject: str, payload: Json) -> Json:
        """This end's answer to a call, as it is: in a run that keeps every tick the same messages travel as text. Raises what the handler raises."""
        return await self._handlers[subject](sender, payload) or {}

    async def close(self) -> None:
        """See Cluster. Whatever it still answers is cancelled."""
        self._hub.ends.pop(self._unit_id, None)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def begin[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a piece of this end's work in a task it owns."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ApisError):
            _LOGGER.error("%s: a handler failed", self._unit_id, exc_info=error)

    async def take(self, sender: str, message: bytes) -> bytes:
        """This end's answer to a message as it travels.

        Raises:
            MessageError: if the message was dropped, at the port or by whom it is for.
            NoAnswerError: if there is no way between the two.

        """
        await self._hub.faults.travel(sender, self._unit_id)
        envelope = self._port.unpack(message, self._trusted())
        handler = self._handlers.get(envelope.subject)
        if handler is None:
            raise self._port.drop("unknown subject", f"{self._unit_id} does not answer {envelope.subject:.80}")
        try:
            answer = await handler(envelope.sender, envelope.payload)
        except MessageError as error:
            raise self._port.drop("malformed", f"{envelope.subject} from {envelope.sender}: {error}") from error
        # The answer has a way to go as well.
        await self._hub.faults.travel(self._unit_id, sender)
        return orjson.dumps(answer or {})

    async def take_again(self, sender: str, message: bytes) -> None:
        """The same message once more, a moment later."""
        await asyncio.sleep(SECOND_COPY_S)
        await self.take_quietly(sender, message)

    async def take_quietly(self, sender: str, message: bytes) -> None:
        """The same where nobody waits for the answer; whatever is wrong with it has been told here."""
        try:
            await self.take(sender, message)
        except ApisError as error:
            _LOGGER.debug("%s: from %s: %s", self._unit_id, sender, error)
