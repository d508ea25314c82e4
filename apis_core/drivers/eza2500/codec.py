"""What is said on a converter's line: frames, fixed-point numbers, and every command (hardware reference 2.3).

A frame, numbers of several bytes little-endian:

    start      1  0x05 in a request, 0x02 in an answer
    n          1  number of data bytes
    address    2  the converter's, then the one who asks
    code       1  of the command; in an answer that refuses it plus 0x80
    data       n  in a refusal a 16-bit error code
    checksum   2  the plain sum of everything from the addresses to the data, modulo 65536

A number goes as value x 2^Q / rating, cut to an integer: what is read back is a little below what was set.
"""

from dataclasses import dataclass, fields
import struct
from typing import Any, Self

from ...model.errors import DriverError

REQUEST_START, ANSWER_START = 0x05, 0x02
REFUSED = 0x80
HEADER_LENGTH, FRAME_OVERHEAD = 5, 7
CONVERTER_ADDRESS, DRIVER_ADDRESS = 0, 16


class LineError(DriverError):
    """Something is wrong on a converter's line."""


class OutOfRangeError(LineError):
    """A value is outside what the device permits: it is not sent, or not believed."""


class RefusalError(LineError):
    """The device answered that it does not do it. `code` is the device's."""

    code = 0
    meaning = "refuses"
    is_passing = False

    @classmethod
    def of(cls, code: int) -> RefusalError:
        """The error that belongs to a code of the device."""
        kind = next((kind for kind in cls.__subclasses__() if kind.code == code), RefusalError)
        error = kind(f"the converter {kind.meaning} (0x{code:04x})")
        error.code = code
        return error


class UnknownCommandError(RefusalError):
    """The device does not know the command."""

    code = 0xFFFF
    meaning = "does not know this command"


class BadParameterError(RefusalError):
    """A parameter is outside what the device takes."""

    code = 0xFFFE
    meaning = "does not accept a parameter"


class NotNowError(RefusalError):
    """Right, but not in the present state."""

    code = 0xFFFD
    meaning = "cannot do this in its present state"
    is_passing = True


class BusyError(RefusalError):
    """The device is busy."""

    code = 0xFFFC
    meaning = "is busy"
    is_passing = True


class InternalFaultError(RefusalError):
    """The device's own parts do not talk to each other."""

    code = 0xFFFB
    meaning = "has a fault in its internal communication"


@dataclass(frozen=True, slots=True)
class Quantity:
    """How one number goes over the line: `value x 2^q / rating` as 16 (or 8) bits; `low` and `high` are what is permitted."""

    q: int = 0
    rating: float = 1.0
    low: float | None = None
    high: float | None = None
    signed: bool = False
    letter: str = ""

    @property
    def format(self) -> str:
        """The letter `struct` knows it by."""
        return self.letter or ("h" if self.signed else "H")

    def to_raw(self, name: str, value: float) -> int:
        """The number for the line.

        Raises:
            OutOfRangeError: if the value is not permitted or does not fit.

        """
        low, high = self.limits
        if not low <= value <= high:
            raise OutOfRangeError(f"{name}: found {value:g}, expected {low:g} to {high:g}")
        return int(value * 2**self.q / self.rating)

    def to_value(self, name: str, raw: int) -> float:
        """The value of a number from the line.

        Raises:
            OutOfRangeError: if the device cannot mean it.

        """
        value = raw * self.rating / 2**self.q if self.q else float(raw)
        low, high = self.limits
        # What the device cut off may be missing below.
        if not low - self.rating / 2**self.q <= value <= high:
            raise OutOfRangeError(f"{name}: the converter says {value:g}, expected {low:g} to {high:g}")
        return value

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and highest value."""
        bits = 8 * struct.calcsize(self.format)
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.signed else (0, 2**bits - 1)
        low = least * self.rating / 2**self.q if self.low is None else self.low
        return low, most * self.rating / 2**self.q if self.high is None else self.high


BUS_V, BATTERY_V, BUS_A, BATTERY_A, POWER_W = 380.0, 48.0, 7.8125, 52.08, 2500.0


def _bus_v(low: float, high: float) -> Quantity:
    return Quantity(14, BUS_V, low, high)


def _battery_v(low: float, high: float) -> Quantity:
    return Quantity(14, BATTERY_V, low, high)


_DROOP = Quantity(13, 1.0, 0, 3.999)
_BUS_LIMIT = _bus_v(260, 425)
_BATTERY_LIMIT = _battery_v(32, 68)
_DEVIATION = _battery_v(0, 12)
_WORD = Quantity()
_BYTE = Quantity(letter="B")
_RAW = Quantity(signed=True)


class Message:
    """The data of a frame: a dataclass of numbers in the order of the line, and how each of them goes."""

    __slots__ = ()
    QUANTITIES: tuple[Quantity, ...] = ()

    @classmethod
    def length(cls) -> int:
        """How many bytes it takes."""
        return struct.calcsize(cls._format())

    @classmethod
    def _format(cls) -> str:
        return "<" + "".join(quantity.format for quantity in cls.QUANTITIES)

    @classmethod
    def _named(cls) -> zip[tuple[str, Quantity]]:
        return zip((field.name for field in fields(cls)), cls.QUANTITIES, strict=True)  # type: ignore[arg-type]

    def pack(self) -> bytes:
        """The bytes. Raises OutOfRangeError."""
        return struct.pack(self._format(), *(quantity.to_raw(name, getattr(self, name)) for name, quantity in self._named()))

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """From bytes of the right number. Raises OutOfRangeError."""
        raw = struct.unpack(cls._format(), data)
        return cls(*(quantity.to_value(name, number) for (name, quantity), number in zip(cls._named(), raw, strict=True)))


@dataclass(frozen=True, slots=True)
class Mode(Message):
    """1: the mode register."""

    QUANTITIES = (_WORD,)
    mode: float


@dataclass(frozen=True, slots=True)
class State(Message):
    """2: the running state (bits 0-1 of `converter_state`: off, charge, discharge) and the alarm (bits 2-3: none, light, heavy)."""

    QUANTITIES = (_WORD, _WORD)
    converter_state: float
    extension: float


@dataclass(frozen=True, slots=True)
class BatteryTarget(Message):
    """3: what the battery side is held at [V], and its droop [%]."""

    QUANTITIES = (_battery_v(32, 62), _DROOP)
    voltage_v: float
    droop_pct: float


@dataclass(frozen=True, slots=True)
class BusTarget(Message):
    """4: what the bus is held at [V], and its droop [%]."""

    QUANTITIES = (_bus_v(260, 390), _DROOP)
    voltage_v: float
    droop_pct: float


@dataclass(frozen=True, slots=True)
class DeadZone(Message):
    """5: the bus voltage's dead zone above and below its target [V]."""

    QUANTITIES = (_bus_v(0, 57), _bus_v(0, 57))
    above_v: float
    below_v: float


@dataclass(frozen=True, slots=True)
class Protection(Message):
    """6: the limits: currents of battery and bus [A], under- and over-voltages of both sides [V]."""

    QUANTITIES = (Quantity(13, BATTERY_A, 0, 56.77), Quantity(13, BUS_A, 0, 8.5162), _BATTERY_LIMIT, _BUS_LIMIT, _BATTERY_LIMIT, _BUS_LIMIT)
    battery_current_a: float
    bus_current_a: float
    battery_under_voltage_v: float
    bus_under_voltage_v: float
    battery_over_voltage_v: float
    bus_over_voltage_v: float


@dataclass(frozen=True, slots=True)
class BatteryCharge(Message):
    """7: the setting word, the charging voltage, the end of discharge, and the deviations that warn [V]."""

    QUANTITIES = (_WORD, _battery_v(32, 62), _battery_v(32, 64), _DEVIATION, _DEVIATION)
    setting: float
    charge_voltage_v: float
    end_of_discharge_v: float
    charge_deviation_v: float
    discharge_deviation_v: float


@dataclass(frozen=True, slots=True)
class ChargeRelease(Message):
    """8: the deviations at which charging and discharging are released again [V]."""

    QUANTITIES = (_DEVIATION, _DEVIATION)
    charge_deviation_v: float
    discharge_deviation_v: float


@dataclass(frozen=True, slots=True)
class Alarms(Message):
    """9, reading: three words of alarm bits, which the maker does not explain."""

    QUANTITIES = (_WORD, _WORD, _WORD)
    alarm_1: float
    alarm_2: float
    alarm_3: float


@dataclass(frozen=True, slots=True)
class AlarmsToClear(Message):
    """9, writing: two bytes, both zero to clear all alarms."""

    QUANTITIES = (_BYTE, _BYTE)
    first: float = 0
    second: float = 0


@dataclass(frozen=True, slots=True)
class Measurements(Message):
    """10: voltages [V], currents [A] and powers [W] of bus and battery, a raw internal current, and the temperature [degrees C]."""

    QUANTITIES = (
        Quantity(14, BUS_V, signed=True),
        Quantity(13, BUS_A, signed=True),
        Quantity(14, BATTERY_V, signed=True),
        Quantity(13, BATTERY_A, signed=True),
        Quantity(11, POWER_W, signed=True),
        Quantity(11, POWER_W, signed=True),
        _RAW,
        Quantity(7, 1.0, signed=True),
    )
    bus_voltage_v: float
    bus_current_a: float
    battery_voltage_v: float
    battery_current_a: float
    bus_power_w: float
    battery_power_w: float
    internal_current_raw: float
    temperature_c: float


@dataclass(frozen=True, slots=True)
class Auxiliary(Message):
    """11: two raw temperatures, the control supply [V], and five fans."""

    QUANTITIES = (_RAW, _RAW, Quantity(10, 1.0, signed=True), _RAW, _RAW, _RAW, _RAW, _RAW)
    secondary_temperature_raw: float
    primary_temperature_raw: float
    control_supply_v: float
    fan_1: float
    fan_2: float
    fan_3: float
    fan_4: float
    fan_5: float


@dataclass(frozen=True, slots=True)
class Scales(Message):
    """12 and 13: the Q of each number of the measurements, or of the auxiliary values, in their order."""

    QUANTITIES = (_WORD,) * 8
    q_1: float
    q_2: float
    q_3: float
    q_4: float
    q_5: float
    q_6: float
    q_7: float
    q_8: float


@dataclass(frozen=True, slots=True)
class Ratings(Message):
    """14: the ratings of bus and battery voltage and current and of the power, each as a number and its Q."""

    QUANTITIES = (_WORD,) * 10
    bus_voltage: float
    bus_voltage_q: float
    bus_current: float
    bus_current_q: float
    battery_voltage: float
    battery_voltage_q: float
    battery_current: float
    battery_current_q: float
    power: float
    power_q: float


@dataclass(frozen=True, slots=True)
class Version(Message):
    """15 and 16: a version."""

    QUANTITIES = (_BYTE, _BYTE)
    minor: float
    major: float


@dataclass(frozen=True, slots=True)
class Command[T: Message]:
    """Something a converter can be asked or told: its code, and what its data are. A write is answered with what holds then."""

    name: str
    code: int
    data: type[T]


MODE = Command("mode", 0x00, Mode)
STATE = Command("state", 0x01, State)
BATTERY_TARGET = Command("battery target", 0x18, BatteryTarget)
BUS_TARGET = Command("bus target", 0x1A, BusTarget)
DEAD_ZONE = Command("dead zone", 0x17, DeadZone)
PROTECTION = Command("protection", 0x1C, Protection)
BATTERY_CHARGE = Command("battery charge settings", 0x1D, BatteryCharge)
CHARGE_RELEASE = Command("charge release", 0x16, ChargeRelease)
READ_ALARMS = Command("alarms", 0x12, Alarms)
CLEAR_ALARMS = Command("clear alarms", 0x12, AlarmsToClear)
MEASUREMENTS = Command("measurements", 0x09, Measurements)
AUXILIARY = Command("auxiliary values", 0x0A, Auxiliary)
MEASUREMENT_SCALES = Command("scales of the measurements", 0x0D, Scales)
AUXILIARY_SCALES = Command("scales of the auxiliary values", 0x0E, Scales)
RATINGS = Command("ratings", 0x11, Ratings)
VERSION = Command("version", 0x1E, Version)
SECOND_VERSION = Command("second version", 0x1F, Version)
COMMANDS: tuple[Command[Any], ...] = (
    MODE,
    STATE,
    BATTERY_TARGET,
    BUS_TARGET,
    DEAD_ZONE,
    PROTECTION,
    BATTERY_CHARGE,
    CHARGE_RELEASE,
    READ_ALARMS,
    CLEAR_ALARMS,
    MEASUREMENTS,
    AUXILIARY,
    MEASUREMENT_SCALES,
    AUXILIARY_SCALES,
    RATINGS,
    VERSION,
    SECOND_VERSION,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the line, its checksum already right."""

    start: int
    converter: int
    asker: int
    code: int
    data: bytes

    @property
    def is_refusal(self) -> bool:
        """Whether the device refuses."""
        return bool(self.code & REFUSED)

    def to_bytes(self) -> bytes:
        """What goes over the line."""
        summed = bytes((self.converter, self.asker, self.code)) + self.data
        return bytes((self.start, len(self.data))) + summed + struct.pack("<H", checksum(summed))


def checksum(summed: bytes) -> int:
    """The checksum of addresses, code and data."""
    return sum(summed) & 0xFFFF


def request[T: Message](
    command: Command[T], value: T | None = None, converter: int = CONVERTER_ADDRESS, asker: int = DRIVER_ADDRESS
) -> bytes:
    """The frame that asks for a command's values, or writes them.

    Raises:
        OutOfRangeError: if a value is not permitted; nothing has been sent then.

    """
    return Frame(REQUEST_START, converter, asker, command.code, b"" if value is None else value.pack()).to_bytes()
