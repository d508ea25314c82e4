"""A converter at the other end of a line in memory: what the recordings were made with, and whatever goes wrong on a line."""

import asyncio
from collections.abc import Callable, Iterator
import contextlib
from datetime import UTC, datetime
import struct

from apis_core.device.service import Service
from apis_core.device.settings import LineSettings, Settings
from apis_core.device.simulated import REQUEST_LENGTHS
from apis_core.drivers.eza2500 import codec
from apis_core.drivers.eza2500.codec import ANSWER_START, REFUSED, REQUEST_START, Frame
from apis_core.drivers.eza2500.parser import Parser
from apis_core.drivers.modbus_battery import BatteryError, BatteryReading
from apis_core.ports import Clock

type Spoil = Callable[[Frame, bytes], bytes | None]
START = datetime(2026, 7, 1, 12, tzinfo=UTC)
MEASURED = struct.pack("<8h", 15090, 0, 17749, -100, 0, -12, 0, 3403)


def faithful(_request: Frame, answer: bytes) -> bytes | None:
    """An answer as it is."""
    return answer


class Device:
    """The registers of a converter. `spoil` sees each request and its answer, and says what goes out; None: nothing."""

    def __init__(self) -> None:
        self.mode = 0
        self.state = 0
        self.alarms = (0, 0, 0)
        self.voltage_v: float | None = None
        self.spoil: Spoil = faithful
        self.frames: list[Frame] = []
        self.is_there = True
        self.registers = {
            0x1A: struct.pack("<HH", 15521, 0),
            0x1C: struct.pack("<6H", 8192, 2097, 13653, 12934, 20138, 17246),
            0x18: struct.pack("<HH", 19660, 0),
            0x1D: struct.pack("<5H", 3, 19660, 16725, 409, 614),
            0x16: bytes(4),
            0x17: bytes(4),
        }

    async def open(self) -> MemoryPort:
        """A port to it."""
        if not self.is_there:
            raise FileNotFoundError("the port is not there")
        return MemoryPort(self)

    def answer(self, request: Frame) -> bytes | None:
        self.frames.append(request)
        data = self._values(request)
        if data is None:
            return self.spoil(request, answer_to(request, struct.pack("<H", 0xFFFF), refused=True))
        return self.spoil(request, answer_to(request, data))

    def _values(self, request: Frame) -> bytes | None:
        code, data = request.code, request.data
        if code == 0x00:
            if data:
                self.mode = struct.unpack("<H", data)[0]
                self.state = {0: 0, 2: 2, 0x14: 2, 0x41: 1}.get(self.mode, 0)
            return struct.pack("<H", self.mode)
        if code == 0x01:
            return struct.pack("<HH", self.state, 0)
        if code == 0x12:
            self.alarms = (0, 0, 0) if data else self.alarms
            return data or struct.pack("<3H", *self.alarms)
        if code == 0x09:
            if self.voltage_v is None:
                return MEASURED
            return struct.pack("<h", int(self.voltage_v * 2**14 / 380)) + MEASURED[2:]
        if code not in self.registers:
            return None
        if data:
            self.registers[code] = data
        return self.registers[code]

    @property
    def writes(self) -> list[str]:
        """What was written, in order: m, v or i."""
        names = {0x00: "m", 0x1A: "v", 0x1C: "i"}
        return [names.get(frame.code, hex(frame.code)) for frame in self.frames if frame.data]


def answer_to(request: Frame, data: bytes, *, refused: bool = False) -> bytes:
    """The frame that answers a request."""
    code = request.code | (REFUSED if refused else 0)
    return Frame(ANSWER_START, request.converter, request.asker, code, data).to_bytes()


class MemoryPort:
    """See eza2500.client.Port."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._parser = Parser(REQUEST_START, REQUEST_LENGTHS, (codec.CONVERTER_ADDRESS, codec.DRIVER_ADDRESS))
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, data: bytes) -> None:
        if not self._device.is_there:
            raise OSError("Input/output error")
        for frame in self._parser.feed(data):
            answer = self._device.answer(frame)
            if answer is not None:
                self._incoming.put_nowait(answer)

    async def receive(self) -> bytes:
        return await self._incoming.get()

    def discard(self) -> None:
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                self._incoming.get_nowait()

    def close(self) -> None:
        """Nothing to let go of."""


class Battery:
    """See service.BatteryLine."""

    def __init__(self) -> None:
        self.charge_pct = 56.7
        self.is_permitted = True
        self.is_silent = False

    async def read(self) -> BatteryReading:
        if self.is_silent:
            raise BatteryError("battery: no answer")
        return BatteryReading(self.charge_pct, self.is_permitted, {})

    async def close(self) -> None:
        """Nothing to let go of."""


SETTINGS = Settings(LineSettings("memory", 19200), None)


def service(device: Device, clock: Clock, battery: Battery | None = None, settings: Settings = SETTINGS) -> Service:
    """A driver's service on that device."""
    return Service(settings, clock, device.open, battery)


def every_byte(frame: bytes) -> Iterator[tuple[int, int, bytes]]:
    """A frame with each byte changed to each other value."""
    for position, right in enumerate(frame):
        for value in range(256):
            if value != right:
                yield position, value, frame[:position] + bytes((value,)) + frame[position + 1 :]
