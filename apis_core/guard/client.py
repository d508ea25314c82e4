"""A node's way to the guard process: starts it or takes the running one over, and speaks its lines of JSON."""

import asyncio
from collections.abc import Callable
import contextlib
import hashlib
import itertools
import logging
import os
from pathlib import Path
import sys
import tempfile
from typing import Any

import orjson

from ..model.errors import CommandRefusedError, DriverError
from ..ports import Clock, DeviceRequest, GuardOrders, GuardReport, GuardRole, Json

_LOGGER = logging.getLogger(__name__)
PROGRAM = Path(__file__).with_name("process.py")
START_S = 10.0
ANSWER_S = 2.0
LONGEST_LINE = 1 << 20


def socket_path(data_dir: Path) -> Path:
    """Where the guard of a data directory listens; short, because a socket's path may not be long."""
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"apis-guard-{os.getuid()}-{name}.sock"


class GuardProcess:
    """The connection to the one guard of this node's process."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        """Not connected yet."""
        self._socket = socket_path(data_dir)
        self._state = data_dir / "guard.json"
        self._log = data_dir / "guard.log"
        self.clock = clock
        # Told of a reference that the guard is about to take off the line.
        self.on_leaving: Callable[[str], None] = lambda _unit_id: None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._closed = False
        self._pid = 0
        # Each may be to a guard that has just been started.
        self.connections = 0

    def unit(
        self,
        unit_id: str,
        *,
        base_url: str,
        status: DeviceRequest,
        lock: Path,
        timeout_s: float,
    ) -> ProcessUnitGuard:
        """A unit's way to it."""
        claim = {
            "do": "arm",
            "unit": unit_id,
            "base": base_url,
            "status": {"method": status.method, "path": status.path},
            "waiting": {"path": ["status", "operationMode"], "value": "Waiting"},
            "lock": str(lock),
        }
        return ProcessUnitGuard(self, unit_id, claim, timeout_s)

    @property
    def scope(self) -> str:
        """What it outlives, in words for people."""
        return "the guard, a process of its own: it outlives this node, not its container, control group or machine"

    async def connect(self) -> None:
        """Reach the running guard, or start one.

        Raises:
            DriverError: if neither works.

        """
        async with self._connecting:
            if self._writer is not None or self._closed:
                return
            try:
                reader, self._writer = await self._open()
            except OSError:
                try:
                    self._start()
                except OSError as error:
                    raise DriverError(f"the guard cannot be started: {error}") from error
                reader, self._writer = await self._open_soon()
            self.connections += 1
            self._reading = asyncio.create_task(self._read(reader), name="guard")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._socket, limit=LONGEST_LINE)

    async def _open_soon(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(START_S):
                while True:
                    with contextlib.suppress(OSError):
                        return await self._open()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise DriverError(f"the guard did not start within {START_S:g} s; see {self._log}") from None

    def _start(self) -> None:
        self._socket.unlink(missing_ok=True)
        # Its own session: what ends the node's process group leaves it standing.
        # It is nobody's child to wait for: asyncio would end it together with its loop.
        arguments = [sys.executable, "-I", "-S", str(PROGRAM), str(self._socket), str(self._state)]
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(self._log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        ]
        self._pid = os.posix_spawn(sys.executable, arguments, os.environ, file_actions=files, setsid=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = orjson.loads(line)
                if "leaving" in message:
                    self.on_leaving(str(message["leaving"]))
                elif (future := self._waiting.pop(message.get("id"), None)) is not None and not future.done():
                    future.set_result(message)
        self._lost()

    def _lost(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        if self._pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, os.WNOHANG)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(DriverError("the guard has gone"))
        self._waiting.clear()
        if not self._closed:
            _LOGGER.warning("the guard has gone; a new one is started")

    async def ask(self, message: Json, timeout_s: float) -> dict[str, Any]:
        """A message and its answer.

        Raises:
            DriverError: if the guard cannot be reached or does not answer.

        """
        await self.connect()
        if self._writer is None:
            raise DriverError("the guard is closed")
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(orjson.dumps({"id": number, **message}) + b"\n")
        try:
            async with asyncio.timeout(timeout_s):
                answer: dict[str, Any] = await future
                return answer
        except TimeoutError:
            raise DriverError(f"the guard did not answer within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, message: Json) -> None:
        """A message without an answer."""
        if self._writer is not None:
            self._writer.write(orjson.dumps(message) + b"\n")

    async def close(self) -> None:
        """Let go; the guard goes on as long as a converter needs it."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._lost()


class ProcessUnitGuard:
    """See Guard."""

    def __init__(self, guard: GuardProcess, unit_id: str, claim: Json, timeout_s: float) -> None:
        """Made by the process's client."""
        self._guard = guard
        self._unit_id = unit_id
        self._claim = claim
        self._timeout_s = timeout_s
        self._role = GuardRole.OFF
        self._epoch = 0
        self._orders: GuardOrders | None = None
        # The connection on which the guard has last said that it watches the converter.
        self._known_on = 0

    async def arm(self, role: GuardRole, epoch: int, orders: GuardOrders) -> None:
        """See Guard."""
        self._role, self._epoch, self._orders = role, epoch, orders
        claim = {
            **self._claim,
            "line": list(orders.line),
            "wait": [{"method": orders.wait.method, "path": orders.wait.path}],
            "currentS": orders.current_mode_s,
            "referenceS": orders.reference_s,
        }
        answer = await self._guard.ask({**claim, "role": str(role), "epoch": epoch}, ANSWER_S)
        if "error" in answer:
            raise DriverError(f"{self._unit_id}: the guard does not take it: {answer['error']}")
        self._known_on = self._guard.connections

    async def beat(self) -> bool:
        """See Guard."""
        beat: Json = {"do": "beat", "unit": self._unit_id}
        try:
            await self._guard.connect()
            if self._known_on != self._guard.connections:
                answer = await self._guard.ask(beat, ANSWER_S)
                if "error" in answer:
                    return False
                self._known_on = self._guard.connections
        except DriverError as error:
            _LOGGER.debug("%s: beat: %s", self._unit_id, error)
            return True
        self._guard.tell(beat)
        return True

    async def write(self, request: DeviceRequest, *, epoch: int, deadline_s: float, role: GuardRole | None) -> Json:
        """See Guard."""
        message = {
            "do": "write",
            "unit": self._unit_id,
            "method": request.method,
            "path": request.path,
            "epoch": epoch,
            "deadlineS": min(deadline_s, self._guard.clock.wall() + 10 * self._timeout_s),
            "timeoutS": self._timeout_s,
            "role": None if role is None else str(role),
        }
        answer = await self._guard.ask(message, self._timeout_s + ANSWER_S)
        if "refused" in answer:
            raise CommandRefusedError(str(answer["refused"]))
        if "error" in answer:
            # A new guard that does not know the converter yet.
            if self._orders is not None:
                await self.arm(self._role, self._epoch, self._orders)
            raise DriverError(f"{self._unit_id}: the guard: {answer['error']}")
        if "failed" in answer or answer.get("status") != 200:
            raise DriverError(f"{request.path}: {answer.get('failed') or answer}, expected 200 and JSON")
        if role is not None:
            self._role = role
        self._epoch = max(self._epoch, epoch)
        try:
            content = orjson.loads(str(answer["text"]))
        except orjson.JSONDecodeError as error:
            raise DriverError(f"{request.path}: {error} in {str(answer['text'])[:80]!r}") from error
        if not isinstance(content, dict) or not content:
            raise DriverError(f"{request.path}: found {str(content)[:80]!r}, expected an object that is not empty")
        return content

    async def report(self, unit_id: str) -> GuardReport | None:
        """See Guard."""
        try:
            answer = await self._guard.ask({"do": "status", "unit": unit_id}, ANSWER_S)
        except DriverError:
            return None
        status, now_s = answer.get("status"), self._guard.clock.wall()
        if not status:
            return None
        try:
            return GuardReport.from_json(status, now_s)
        except (KeyError, TypeError, ValueError) as error:
            _LOGGER.warning("%s: what the guard kept of it is no report: %r", unit_id, error)
            return None

    async def close(self) -> None:
        """See Guard."""
