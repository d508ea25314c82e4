"""Test devices: a converter and a Modbus battery on pseudo-terminals, fed by a unit of an emulator, with every fault of a line.

The other end of a line cannot tell them from real ones, but for what is named here: there is no noise unless it is asked for,
and a pseudo-terminal has no speed; the time a frame takes at the line's speed is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
import contextlib
from enum import StrEnum
import os
from pathlib import Path
import pty
import random
import struct
import tty

from ..drivers.eza2500 import codec
from ..drivers.eza2500.codec import ANSWER_START, COMMANDS, REFUSED, REQUEST_START, Frame, Message
from ..drivers.eza2500.parser import Parser
from ..drivers.modbus_battery import FIRST_INPUT_REGISTER, RegisterMap
from ..model.converter import ConverterMode
from ..model.errors import DriverError
from ..ports import Json

type Ask = Callable[[str], Awaitable[Json]]

TURN_S = 0.005
CONVERTER_BAUD, BATTERY_BAUD = 19200, 9600
BITS_PER_BYTE = 10
LATE_S = 0.25
REQUEST_LENGTHS: Mapping[int, frozenset[int]] = {
    code: frozenset({0, *(command.data.length() for command in COMMANDS if command.code == code)}) for code in {c.code for c in COMMANDS}
}
READ_INPUT_REGISTERS = 4
MODBUS_REQUEST = struct.Struct(">BBHH")


class LineFault(StrEnum):
    """What can go wrong on a line."""

    SILENCE = "silence"
    JUNK = "junk"
    LATE = "late"
    BUSY = "busy"
    REFUSED = "refused"
    CHECKSUM = "checksum"
    CUT = "cut"
    UNPLUG = "unplug"


class PseudoTerminal:
    """One end of a line that looks like a serial port at `link`; it can be pulled out and put in again."""

    def __init__(self, link: Path, received: Callable[[bytes], None]) -> None:
        """`received` gets what the other end sends."""
        self._link = link
        self._received = received
        self._ours: int | None = None
        self._theirs: int | None = None

    def plug_in(self) -> None:
        """Be there."""
        if self._ours is not None:
            return
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._ours)
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._theirs))
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def unplug(self) -> None:
        """Be gone, as an adapter that was pulled out."""
        if self._ours is None or self._theirs is None:
            return
        asyncio.get_running_loop().remove_reader(self._ours)
        self._link.unlink(missing_ok=True)
        os.close(self._ours)
        os.close(self._theirs)
        self._ours = self._theirs = None

    def send(self, data: bytes) -> None:
        """Put bytes on the line, if it is there."""
        if self._ours is not None and data:
            with contextlib.suppress(OSError):
                os.write(self._ours, data)

    def _read(self) -> None:
        assert self._ours is not None
        with contextlib.suppress(OSError):
            self._received(os.read(self._ours, 4096))


class _Device:
    """What both devices share: the line, its faults, and one answer at a time."""

    def __init__(self, link: Path, baud_rate: int, rng: random.Random) -> None:
        self.fault: LineFault | None = None
        self.damage: Callable[[bytes], bytes] = lambda answer: answer
        self.served = 0
        self.log: list[tuple[bytes, bytes]] = []
        self._byte_s = BITS_PER_BYTE / baud_rate
        self._rng = rng
        self.link = link
        self._line = PseudoTerminal(link, self._take)
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()

    def _take(self, data: bytes) -> None:
        raise NotImplementedError

    async def _answer(self, request: bytes) -> bytes:
        raise NotImplementedError

    def _refused(self, request: bytes, fault: LineFault) -> bytes:
        raise NotImplementedError

    async def run(self) -> None:
        """Answer until cancelled."""
        self._line.plug_in()
        try:
            while True:
                request = await self._requests.get()
                if self.fault is LineFault.SILENCE:
                    continue
                if self.fault in (LineFault.BUSY, LineFault.REFUSED):
                    answer = self._refused(request, self.fault)
                else:
                    try:
                        answer = await self._answer(request)
                    except DriverError:
                        # The house behind it does not answer: neither does the device.
                        continue
                self.served += 1
                await asyncio.sleep(TURN_S + (len(request) + len(answer)) * self._byte_s)
                sent = await self._spoilt(answer)
                self.log.append((request, sent))
                del self.log[:-200]
                self._line.send(sent)
        finally:
            self._line.unplug()

    async def _spoilt(self, answer: bytes) -> bytes:
        match self.fault:
            case LineFault.JUNK:
                return self._rng.randbytes(self._rng.randrange(1, 9)) + answer
            case LineFault.LATE:
                await asyncio.sleep(LATE_S)
            case LineFault.CHECKSUM:
                return answer[:-1] + bytes((answer[-1] ^ 0x5A,))
            case LineFault.CUT:
                return answer[: len(answer) // 2]
        return self.damage(answer)

    def set_fault(self, fault: LineFault | None) -> None:
        """Let something go wrong from now on, or nothing."""
        self.fault = fault
        if fault is LineFault.UNPLUG:
            self._line.unplug()
        else:
            self._line.plug_in()


class SimulatedConverter(_Device):
    """A converter on a line, whose current flows in the emulator."""

    def __init__(self, link: Path, unit_id: str, ask: Ask, rng: random.Random) -> None:
        """`ask` carries a path of the emulator's device API."""
        super().__init__(link, CONVERTER_BAUD, rng)
        self._unit_id = unit_id
        self._ask = ask
        self._parser = Parser(REQUEST_START, REQUEST_LENGTHS, (codec.CONVERTER_ADDRESS, codec.DRIVER_ADDRESS))
        self.frames: list[Frame] = []
        self.alarms = codec.Alarms(0, 0, 0)
        self.kept: dict[int, Message] = {
            codec.BATTERY_TARGET.code: codec.BatteryTarget(57.6, 0),
            codec.BUS_TARGET.code: codec.BusTarget(360, 0),
            codec.DEAD_ZONE.code: codec.DeadZone(0, 0),
            codec.PROTECTION.code: codec.Protection(52, 2, 40, 300, 59, 400),
            codec.BATTERY_CHARGE.code: codec.BatteryCharge(3, 57.6, 49, 1.2, 1.8),
            codec.CHARGE_RELEASE.code: codec.ChargeRelease(0, 0),
            codec.AUXILIARY.code: codec.Auxiliary(0, 0, 5.0, 1, 1, 1, 1, 1),
            codec.MEASUREMENT_SCALES.code: codec.Scales(14, 13, 14, 13, 11, 11, 0, 7),
            codec.AUXILIARY_SCALES.code: codec.Scales(0, 0, 10, 0, 0, 0, 0, 0),
            codec.RATINGS.code: codec.Ratings(380, 0, 125, 4, 48, 0, 5208, 0, 2500, 0),
            codec.VERSION.code: codec.Version(0, 1),
            codec.SECOND_VERSION.code: codec.Version(0, 1),
        }

    def _take(self, data: bytes) -> None:
        for frame in self._parser.feed(data):
            self.frames.append(frame)
            del self.frames[:-200]
            self._requests.put_nowait(frame.to_bytes())

    def _refused(self, request: bytes, fault: LineFault) -> bytes:
        error = codec.BusyError.code if fault is LineFault.BUSY else codec.BadParameterError.code
        return Frame(ANSWER_START, request[2], request[3], request[4] | REFUSED, struct.pack("<H", error)).to_bytes()

    async def _answer(self, request: bytes) -> bytes:
        code, data = request[4], request[codec.HEADER_LENGTH : -2]
        try:
            answer = await self._values(code, data)
        except codec.OutOfRangeError:
            return self._refused(request, LineFault.REFUSED)
        return Frame(ANSWER_START, request[2], request[3], code, answer).to_bytes()

    async def _values(self, code: int, data: bytes) -> bytes:
        dcdc = (await self._ask(f"/get/unit/{self._unit_id}"))["dcdc"]
        mode = ConverterMode(dcdc["status"]["status"])
        if code == codec.MODE.code:
            return await self._mode(data) if data else codec.Mode(int(mode, 16)).pack()
        if code == codec.STATE.code:
            return _state(mode, dcdc).pack()
        if code == codec.MEASUREMENTS.code:
            return _measured(dcdc["meter"]).pack()
        if code == codec.READ_ALARMS.code:
            if data:
                self.alarms = codec.Alarms(0, 0, 0)
            return data or self.alarms.pack()
        if data:
            self.kept[code] = type(self.kept[code]).unpack(data)
            await self._set(mode, code)
        return self.kept[code].pack()

    async def _mode(self, data: bytes) -> bytes:
        code = int(codec.Mode.unpack(data).mode)
        target, protection = self._setpoints()
        query = f"mode=0x{code:04x}&dvg={target.voltage_v}&dig={protection.bus_current_a}&drg={target.droop_pct}"
        dcdc = await self._ask(f"/set/dcdc/{self._unit_id}?{query}")
        return codec.Mode(int(dcdc["status"]["status"], 16)).pack()

    async def _set(self, mode: ConverterMode, code: int) -> None:
        target, protection = self._setpoints()
        if mode is ConverterMode.WAIT:
            return
        if code == codec.BUS_TARGET.code:
            await self._ask(f"/set/dcdc/voltage/{self._unit_id}?dvg={target.voltage_v}&drg={target.droop_pct}")
        elif code == codec.PROTECTION.code:
            await self._ask(f"/set/dcdc/current/{self._unit_id}?dig={protection.bus_current_a}")

    def _setpoints(self) -> tuple[codec.BusTarget, codec.Protection]:
        target, protection = self.kept[codec.BUS_TARGET.code], self.kept[codec.PROTECTION.code]
        assert isinstance(target, codec.BusTarget)
        assert isinstance(protection, codec.Protection)
        return target, protection


def _state(mode: ConverterMode, dcdc: Json) -> codec.State:
    running = 1 if mode is ConverterMode.CHARGE else 2 if mode is not ConverterMode.WAIT else 0
    alarm = 2 if dcdc["status"].get("alarmState") == "Heavy alarm" else 0
    return codec.State(running | alarm << 2, 0)


def _measured(meter: Json) -> codec.Measurements:
    values = [meter["vg"], meter["ig"], meter["vb"], meter["ib"], meter["wg"], meter["wb"], 0.0, meter["tmp"]]
    limits = [quantity.limits for quantity in codec.Measurements.QUANTITIES]
    return codec.Measurements(*(min(max(value, low), high) for value, (low, high) in zip(values, limits, strict=True)))


class SimulatedBattery(_Device):
    """A battery on a Modbus RTU line, whose charge is the emulated house's."""

    def __init__(self, link: Path, unit_id: str, ask: Ask, rng: random.Random, registers: RegisterMap | None = None) -> None:
        """`ask` carries a path of the emulator's device API."""
        super().__init__(link, BATTERY_BAUD, rng)
        self._unit_id = unit_id
        self._ask = ask
        self._registers = registers or RegisterMap()
        self._buffer = bytearray()
        self.is_denied: bool | None = None

    def _take(self, data: bytes) -> None:
        self._buffer += data
        length = MODBUS_REQUEST.size + 2
        while len(self._buffer) >= length:
            request = bytes(self._buffer[:length])
            if request[1] == READ_INPUT_REGISTERS and request == _with_crc(request[:-2]):
                del self._buffer[:length]
                self._requests.put_nowait(request)
            else:
                del self._buffer[0]

    def _refused(self, request: bytes, fault: LineFault) -> bytes:
        return _with_crc(bytes((request[0], request[1] | REFUSED, 6 if fault is LineFault.BUSY else 4)))

    async def _answer(self, request: bytes) -> bytes:
        unit, function, start, count = MODBUS_REQUEST.unpack(request[:-2])
        house = (await self._ask(f"/get/unit/{self._unit_id}"))["emu"]
        denied = house.get("battery_operation_status", 3) == 0 if self.is_denied is None else self.is_denied
        charge = round(house["rsoc"] / self._registers.charge_scale)
        values = {self._registers.charge_address: charge, self._registers.status_address: int(denied)}
        words = [values.get(FIRST_INPUT_REGISTER + start + index, 0) for index in range(count)]
        return _with_crc(bytes((unit, function, 2 * count)) + struct.pack(f">{count}H", *words))


def _with_crc(body: bytes) -> bytes:
    from pymodbus.framer import FramerRTU

    return body + struct.pack(">H", FramerRTU.compute_CRC(body))
