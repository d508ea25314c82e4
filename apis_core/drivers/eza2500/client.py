"""A converter on a line: one owner of the port, who takes one exchange after another and opens the port again when it is gone."""

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
from dataclasses import dataclass, field
from enum import IntEnum
import itertools
import logging
from typing import Any, Protocol

from ...ports import Clock
from .codec import (
    ANSWER_START,
    CONVERTER_ADDRESS,
    DRIVER_ADDRESS,
    REFUSED,
    Command,
    Frame,
    LineError,
    Message,
    OutOfRangeError,
    RefusalError,
    request,
)
from .parser import ANSWER_LENGTHS, Parser

_LOGGER = logging.getLogger(__name__)
REOPEN_FIRST_S, REOPEN_LONGEST_S = 0.1, 1.0


class NoAnswerOnLineError(LineError):
    """Nothing, or nothing that could be understood, came back in time."""


class PortError(LineError):
    """The port is not there, or has gone."""


class Port(Protocol):
    """An open serial port."""

    async def send(self, data: bytes) -> None:
        """Put bytes on the line, all of them. Raises OSError."""

    async def receive(self) -> bytes:
        """What has come in, as soon as there is something. Raises OSError if the port has gone."""

    def discard(self) -> None:
        """Forget what has come in unread."""

    def close(self) -> None:
        """Let go of it."""


class Priority(IntEnum):
    """Who goes first: a wait before other commands, commands before reading."""

    URGENT = 0
    COMMAND = 1
    READING = 2


class WithdrawnError(LineError):
    """A command that was not sent any more: something that counts more came before it."""


type Open = Callable[[], Awaitable[Port]]


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a line is: wall seconds, and how often an exchange is tried again."""

    answer_s: float = 0.1
    gap_s: float = 0.01
    retry_pause_s: float = 0.1
    error_retries: int = 3
    timeout_retries: int = 3


@dataclass(slots=True)
class Counters:
    """What has happened on a line."""

    exchanges: int = 0
    retries: int = 0
    failures: int = 0
    openings: int = 0


@dataclass(order=True)
class _Job:
    priority: int
    number: int
    unless: Callable[[], str] = field(compare=False)
    command: Command[Any] = field(compare=False)
    value: Message | None = field(compare=False)
    answer: asyncio.Future[Any] = field(compare=False)


class Converter:
    """One converter's line.

    `exchange` may be called from anywhere; `run` owns the port and has to be running.
    """

    def __init__(
        self,
        name: str,
        open_port: Open,
        clock: Clock,
        timing: Timing | None = None,
        *,
        converter: int = CONVERTER_ADDRESS,
        asker: int = DRIVER_ADDRESS,
    ) -> None:
        """`name`: the port, for messages to people."""
        self.name = name
        self._open = open_port
        self._clock = clock
        self._timing = timing or Timing()
        self._addresses = (converter, asker)
        self._parser = Parser(ANSWER_START, ANSWER_LENGTHS, self._addresses)
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        # How many of the jobs that wait go before everything else.
        self._urgent = 0
        self._port: Port | None = None
        self._reopen_at_s = 0.0
        self._reopen_pause_s = REOPEN_FIRST_S
        self.counters = Counters()
        self.on_frame: Callable[[str, bytes], None] = lambda _direction, _data: None

    async def read[T: Message](self, command: Command[T], priority: Priority = Priority.READING) -> T:
        """Ask for a command's values.

        Raises:
            LineError: if the converter cannot be reached, refuses, or says what cannot be.

        """
        return await self._exchange(command, None, priority, _nothing)

    async def write[T: Message](
        self, command: Command[T], value: T, priority: Priority = Priority.COMMAND, unless: Callable[[], str] | None = None
    ) -> T:
        """Write a command's values; what holds then.

        `unless` is asked right before each try: a reason there withdraws it.

        Raises:
            OutOfRangeError: if a value is not permitted; nothing has been sent.
            WithdrawnError: with the reason of `unless`.
            LineError: as for reading.

        """
        request(command, value)
        return await self._exchange(command, value, priority, unless or _nothing)

    async def _exchange[T: Message](self, command: Command[T], value: T | None, priority: Priority, unless: Callable[[], str]) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._urgent += priority is Priority.URGENT
        self._jobs.put_nowait(_Job(priority, next(self._numbers), unless, command, value, answer))
        return await answer

    async def run(self) -> None:
        """Own the port until cancelled. Whatever happens here, whoever waits for an answer gets one."""
        job: _Job | None = None
        try:
            while True:
                job = await self._jobs.get()
                self._urgent -= job.priority is Priority.URGENT
                if job.answer.cancelled():
                    continue
                try:
                    result = await self._carry_out(job)
                except LineError as error:
                    self.counters.failures += 1
                    _fail(job, error)
                else:
                    if not job.answer.done():
                        job.answer.set_result(result)
        finally:
            # An answer that is cancelled would end who waits for it as if that had been cancelled: the dead-man does wait.
            self._drop()
            gone = PortError(f"{self.name}: nobody speaks on this line any more")
            if job is not None:
                _fail(job, gone)
            while not self._jobs.empty():
                _fail(self._jobs.get_nowait(), gone)
            self._urgent = 0

    @property
    def is_open(self) -> bool:
        """Whether the port is there."""
        return self._port is not None

    async def _carry_out(self, job: _Job) -> Message:
        """One exchange with its tries: each kind of trouble has a number of them."""
        errors, timeouts = self._timing.error_retries, self._timing.timeout_retries
        while True:
            reason = job.unless()
            if reason:
                raise WithdrawnError(f"{self.name}: {job.command.name} is not sent: {reason}")
            try:
                return await self._try(job.command, job.value)
            except NoAnswerOnLineError:
                timeouts -= 1
                if timeouts < 0:
                    raise
            except RefusalError as error:
                errors -= 1
                if not error.is_passing or errors < 0:
                    raise
            except OutOfRangeError:
                # The plain sum lets some damage through; what cannot be is asked for again.
                errors -= 1
                if errors < 0:
                    raise
            if job.priority is not Priority.URGENT and self._urgent:
                raise WithdrawnError(f"{self.name}: {job.command.name} gives way to a stop")
            self.counters.retries += 1
            await self._clock.sleep_wall(self._timing.retry_pause_s)

    async def _try(self, command: Command[Any], value: Message | None) -> Message:
        port = await self._opened()
        self.counters.exchanges += 1
        frame = request(command, value, *self._addresses)
        port.discard()
        self._parser.reset()
        try:
            self.on_frame(">", frame)
            await port.send(frame)
            async with asyncio.timeout(self._timing.answer_s):
                answer = await self._answer(port, command, value)
        except TimeoutError:
            raise NoAnswerOnLineError(f"{self.name}: no answer to {command.name} within {self._timing.answer_s:g} s") from None
        except OSError as error:
            self._drop()
            raise PortError(f"{self.name}: {error}") from error
        await self._clock.sleep_wall(self._timing.gap_s)
        if answer.is_refusal:
            raise RefusalError.of(int.from_bytes(answer.data, "little"))
        data: type[Message] = command.data
        return data.unpack(answer.data)

    async def _answer(self, port: Port, command: Command[Any], value: Message | None) -> Frame:
        """The frame that answers this command; what answers an earlier one, late, is passed over."""
        while True:
            data = await port.receive()
            self.on_frame("<", data)
            for frame in self._parser.feed(data):
                if frame.code == command.code | REFUSED:
                    return frame
                expected = command.data.length()
                if frame.code == command.code and len(frame.data) == expected and (value is None or frame.data == value.pack()):
                    return frame

    async def _opened(self) -> Port:
        if self._port is not None:
            return self._port
        now_s = self._clock.wall()
        if now_s < self._reopen_at_s:
            raise PortError(f"{self.name}: the port has gone; it is tried again soon")
        try:
            self._port = await self._open()
        except OSError as error:
            self._reopen_at_s = now_s + self._reopen_pause_s
            self._reopen_pause_s = min(2 * self._reopen_pause_s, REOPEN_LONGEST_S)
            raise PortError(f"{self.name}: {error}") from error
        self._reopen_pause_s = REOPEN_FIRST_S
        self.counters.openings += 1
        if self.counters.openings > 1:
            _LOGGER.warning("%s is there again", self.name)
        return self._port

    def _drop(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError):
                self._port.close()
        self._port = None


def _nothing() -> str:
    return ""


def _fail(job: _Job, error: LineError) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)
