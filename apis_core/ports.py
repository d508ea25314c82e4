"""What the inside needs from outside: time, a device, other units, and a place where nothing is lost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from .model.converter import Battery, Converter, ConverterMode, Reading
from .model.deal import Deal, SideEnergy
from .model.errors import ErrorReport

type Json = dict[str, Any]


class Clock(Protocol):
    """The community's time. Deadlines of messages and leases are wall time; everything about energy is not.

    With a wall clock both are the same; with an accelerated emulator a community second is shorter than a wall second;
    in virtual time both are the virtual loop's.
    """

    @property
    def is_quiet(self) -> bool:
        """Whether nothing can break: periods are endless then, and deadlines are kept without a word."""

    def now(self) -> datetime:
        """The community's time, UTC."""

    def monotonic(self) -> float:
        """Community seconds since some moment; never falls."""

    def wall(self) -> float:
        """Wall seconds since some moment; never falls."""

    def to_wall(self, seconds: float) -> float:
        """How long that many community seconds take on the wall [s]."""

    def period(self, seconds: float) -> float:
        """A period of a loop [community s], no shorter than a node can keep up with."""

    async def sleep(self, seconds: float) -> None:
        """Wait for community seconds."""

    async def sleep_wall(self, seconds: float) -> None:
        """Wait for wall seconds."""


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """One write to a device as a plain value: anyone who can send it can carry it out, a guard without the driver too.

    `expect_mode`: the mode the answer must show for the write to have succeeded.
    """

    method: str
    path: str
    expect_mode: ConverterMode | None = None


@dataclass(frozen=True, slots=True)
class DeviceData:
    """Everything a device says in one full read: in the original's objects, not yet checked, or read already."""

    dcdc: Json | Converter
    battery: Json | Battery
    house: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What comes with a driver.

    `dead_man`: who stops the converter when nobody commands it any more: the `device` itself, the `guard` (the driver's
    writes are HTTP requests that it can send too), or `none`. `simulated`: no real current flows, failures may be tried.
    `largest_grid_current_a` and `grid_voltage_range_v`: what the device permits, None where it does not say. `has_droop`
    False or `charge_only` True: it cannot hold the line's voltage; a device that only charges never gives energy.
    `base_url`: where a guard sends the driver's requests. `version`: of a driver that says how it is (`Driver.health`).
    `reads_at_once`: a reading takes no time and no bus, so that whoever decides reads first.
    """

    name: str
    dead_man: str = "none"
    simulated: bool = False
    largest_grid_current_a: float | None = None
    grid_voltage_range_v: tuple[float, float] | None = None
    has_droop: bool = True
    charge_only: bool = False
    base_url: str = ""
    version: str = ""
    reads_at_once: bool = False

    @property
    def can_hold_voltage(self) -> bool:
        """Whether the device may be the line's voltage reference."""
        return self.dead_man != "none" and self.has_droop and not self.charge_only


class Driver(Protocol):
    """A unit's hardware. Reads ask the device; setters only build requests, which the one writer sends."""

    @property
    def capabilities(self) -> Capabilities:
        """What the hardware can do."""

    async def read(self) -> DeviceData:
        """Everything. Raises DriverError."""

    async def status(self) -> Json | Converter:
        """Mode and meters, always asked from the device: those parts of `dcdc`, or the whole converter. Raises DriverError."""

    def set_mode(self, mode: ConverterMode, voltage_v: float, current_a: float, droop_ratio: float) -> DeviceRequest:
        """Set all four values."""

    def set_voltage(self, voltage_v: float, droop_ratio: float) -> DeviceRequest:
        """Set line voltage and droop."""

    def set_current(self, current_a: float) -> DeviceRequest:
        """Set the current limit."""

    def ask_status(self) -> DeviceRequest:
        """Ask for mode and meters: what `status` sends."""

    async def write(self, request: DeviceRequest) -> Json:
        """Send a request; the parts of `dcdc` the device answers. Raises DriverError."""

    async def health(self) -> Json:
        """How the driver itself is: `version`, `trouble`, `trips`, `line`; empty where it does not say. Raises DriverError."""

    async def spoil(self, fault: Json) -> None:
        """Make something go wrong on purpose; an empty object makes it well. Raises CommandRefusedError where nothing can."""

    async def close(self) -> None:
        """Let go of the device; what it does is not changed."""


class GuardRole(StrEnum):
    """What a converter is on its line, as far as its dead-man is concerned."""

    OFF = "off"
    CURRENT = "current"
    REFERENCE = "reference"

    @classmethod
    def of(cls, mode: ConverterMode | None) -> GuardRole:
        """The role that comes with a mode; an unknown mode may push current."""
        if mode is ConverterMode.WAIT:
            return cls.OFF
        return cls.REFERENCE if mode is ConverterMode.VOLTAGE_REFERENCE else cls.CURRENT


@dataclass(frozen=True, slots=True)
class GuardOrders:
    """What a dead-man does when the beats stop, as the policy wants it now.

    `line`: all units of the line. The two times count from the last beat. `wait` puts the converter to wait at once.
    `window_v`: for a device that looks itself, the line voltages that the converter stays on at: the lowest, the highest in
    a current mode (below what it may push the line to when nobody holds it), and the highest as reference.
    """

    line: tuple[str, ...]
    current_mode_s: float
    reference_s: float
    wait: DeviceRequest
    window_v: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What the dead-man knows of a converter: `trip` is why it was stopped, until its unit re-arms it.

    `is_off`: read in wait since then, for the first time `off_ago_s` ago. The ages are wall seconds.
    """

    role: GuardRole
    epoch: int
    trip: str
    tripped_ago_s: float
    is_off: bool
    off_ago_s: float
    beat_ago_s: float

    @classmethod
    def from_json(cls, status: Json, now_s: float) -> GuardReport:
        """As a dead-man tells it; its moments are seconds of the clock that says `now_s`. Raises KeyError, TypeError, ValueError."""
        return cls(
            GuardRole(status["role"]),
            int(status["epoch"]),
            str(status["trip"]),
            now_s - float(status["trippedS"]),
            bool(status["isOff"]),
            now_s - float(status["offS"]),
            now_s - float(status["lastBeatS"]),
        )


class Guard(Protocol):
    """A unit's way to its converter's one writer, which goes on when the unit's process does not."""

    async def arm(self, role: GuardRole, epoch: int, orders: GuardOrders) -> None:
        """Watch the converter (anew, after a trip): the unit has read what it does. Raises DriverError."""

    async def beat(self) -> bool:
        """The unit is well and has the right to go on. Never raises: what does not arrive is missed there.

        False if what should watch the converter was started anew and does not know it: it has to be armed again.
        """

    async def write(self, request: DeviceRequest, *, epoch: int, deadline_s: float, role: GuardRole | None) -> Json:
        """Send a device request; the parts of `dcdc` the device answers.

        `deadline_s`: the last moment for it [wall s]. `role`: what the converter is afterwards, None for no change.
        Raises DriverError, or CommandRefusedError if it is late, of an older epoch, or active after a trip.
        """

    async def report(self, unit_id: str) -> GuardReport | None:
        """What is known of any converter of the same writer; None if it is not its own or the writer does not answer."""

    async def close(self) -> None:
        """Let go; the watch goes on."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in the shared store; `value` is None where it was deleted. `revision` grows with every change of the store."""

    key: str
    value: Json | None
    revision: int


class Store(Protocol):
    """The cluster's shared key-value store with compare-and-set. Nothing spans several keys."""

    @property
    def trouble(self) -> str:
        """Why what is stored now may be lost; empty if it is safe."""

    async def get(self, key: str) -> Entry | None:
        """The present value, or None."""

    async def items(self, prefix: str) -> tuple[Entry, ...]:
        """All values whose key begins so."""

    async def create(self, key: str, value: Json) -> int:
        """Store under a new key; its revision. Raises StoreConflictError if the key exists."""

    async def update(self, key: str, value: Json, revision: int) -> int:
        """Replace the value of that revision. Raises StoreConflictError if it is another."""

    async def put(self, key: str, value: Json) -> int:
        """Store whatever is there now."""

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Remove the value (of that revision). Raises StoreConflictError if it is another."""

    def watch(self, prefix: str) -> AsyncIterator[Entry]:
        """Present values, then every change, in order."""


type Handler = Callable[[str, Json], Awaitable[Json | None]]


class Cluster(Protocol):
    """How one unit reaches the others. Payloads are JSON objects; a handler gets sender and payload.

    The engine may be memory or a network: nothing above may rely on more than this.
    """

    @property
    def unit_id(self) -> str:
        """Whose end of the cluster this is."""

    @property
    def store(self) -> Store:
        """The shared store."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many messages this end has dropped, by what was wrong with them."""

    def live(self) -> frozenset[str]:
        """The units that can be reached now, this one included."""

    def trust(self, senders: Callable[[], Collection[str]]) -> None:
        """Drop what comes from anybody else."""

    def handle(self, subject: str, handler: Handler) -> None:
        """Answer requests and take publications on a subject."""

    async def publish(self, subject: str, payload: Json) -> None:
        """Tell every other live unit; no answer."""

    async def request(self, unit_id: str, subject: str, payload: Json, timeout_s: float) -> Json:
        """Ask one unit (or oneself). Raises NoAnswerError, or CommandRefusedError with its reason."""

    async def scatter(
        self,
        units: Collection[str],
        subject: str,
        payload: Json,
        timeout_s: float,
        on_answer: Callable[[str, Json], None] | None = None,
    ) -> dict[str, Json]:
        """Ask several units at once; the answers that came in time. Ends as soon as all have answered.

        `on_answer` gets each answer when it comes: what is told as so and so old is that old then, not when the last has answered.
        """

    async def close(self) -> None:
        """Leave."""


class Lease(Protocol):
    """The right to be Grid Master, with the epoch that fences off whoever had it before."""

    @property
    def epoch(self) -> int:
        """The fencing token of the present holding."""

    @property
    def renewed_wall_s(self) -> float:
        """When the last confirmed renewal was sent [wall s]."""

    async def renew(self) -> bool:
        """Confirm it by compare-and-set; False if somebody else has it now. Raises ClusterError."""


class Ledger(Protocol):
    """What happened to one unit and must not be lost. Whatever returns is durable."""

    @property
    def trouble(self) -> str:
        """Why nothing could be written last time; empty if it could."""

    async def record_deal(self, deal: Deal, account: Json | None = None) -> Deal:
        """A deal's present record, its transitions so far, both sides' energy, and (if given) the unit's account.

        The record as it is kept: what was known before of an energy counts where it is more.
        """

    async def record_reading(self, reading: Reading) -> None:
        """A reading; written in batches."""

    async def record_error(self, report: ErrorReport, time: datetime) -> None:
        """An error."""

    async def record_mode(self, scope: str, mode: str | None, who: str, time: datetime) -> None:
        """A mode change: scope `global` or `local`."""

    async def record_scenario(self, scenario: Json, who: str, time: datetime) -> None:
        """A new version of the unit's scenario."""

    async def scenarios(self) -> tuple[Json, ...]:
        """The versions of the unit's scenario, oldest first: `time` (ISO, UTC), `who`, `scenario`."""

    async def deals(self, start: datetime | None = None, end: datetime | None = None) -> tuple[Deal, ...]:
        """The unit's deals created within a span, oldest first."""

    async def open_deals(self) -> tuple[Deal, ...]:
        """The unit's deals that have not ended, oldest first."""

    async def energy(self) -> Mapping[str, SideEnergy]:
        """The unit's own counters of deals that have not ended, as last recorded."""

    async def state(self, key: str) -> Json | None:
        """A small value the unit remembers across restarts."""

    async def set_state(self, key: str, value: Json) -> None:
        """Remember a small value."""

    async def flush(self) -> None:
        """Write out the readings that are kept back."""
