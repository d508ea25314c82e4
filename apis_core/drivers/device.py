"""Device drivers behind a Web API: the original's two families, ours speaks both (behaviour reference 5.4).

            v1                                              v2
all data    /remote/get, and /1/log/data of the battery     /all/get
status      /remote/get/status                              /dcdc/get/status
mode        /remote/set?mode=0x0014&dvg=350.0&dig=2.3&drg=0 /dcdc/set?mode=0x0014&dvg=350.0&dig=2.3&drg=0
voltage     /remote/set/voltage?dvg=350.0&drg=0             /dcdc/set?dvg=350.0&drg=0
current     /remote/set/current?dig=1.0                     /dcdc/set?dig=1.0
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..model.converter import ConverterMode
from ..model.errors import CommandRefusedError, DriverError, UnknownAnswerError
from ..ports import Capabilities, DeviceData, DeviceRequest, Json
from .emulator import Send, as_object, decimal_text, droop_text

INTERFACE_MAJOR = "2"
HEALTH = "/api/v1/health"


@dataclass(frozen=True, slots=True)
class Family:
    """The paths of a family."""

    name: str
    full: str
    status: str
    mode: str
    voltage: str
    current: str
    battery: str = ""


V1 = Family("dcdc_v1", "/remote/get", "/remote/get/status", "/remote/set", "/remote/set/voltage", "/remote/set/current", "/1/log/data")
V2 = Family("dcdc_v2", "/all/get", "/dcdc/get/status", "/dcdc/set", "/dcdc/set", "/dcdc/set")


class DeviceDriver:
    """See Driver."""

    def __init__(
        self,
        family: Family,
        send: Send,
        capabilities: Capabilities,
        send_to_battery: Send | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`send` carries a request to the converter's driver, `send_to_battery` to the battery's where that is another."""
        self._family = family
        self._send = send
        self._send_to_battery = send_to_battery or send
        self._capabilities = capabilities
        self._close = close

    @property
    def capabilities(self) -> Capabilities:
        """See Driver."""
        return self._capabilities

    async def read(self) -> DeviceData:
        """See Driver."""
        answer = await self._ask(self._send, self._family.full)
        said = await self._ask(self._send_to_battery, self._family.battery) if self._family.battery else answer
        if not isinstance(answer.get("status"), dict) or not isinstance(answer.get("meter"), dict):
            raise DriverError(f"{self._family.full}: found {str(answer)[:80]!r}, expected status and meter")
        battery = {key: said.get(key) for key in ("rsoc", "battery_operation_status")}
        dcdc: Json = {key: answer[key] for key in ("status", "meter", "vdis", "param") if key in answer}
        return DeviceData(dcdc, battery, {key: value for key, value in said.items() if key not in dcdc and key not in battery})

    async def status(self) -> Json:
        """See Driver."""
        return _with_code(await self._ask(self._send, self._family.status))

    def ask_status(self) -> DeviceRequest:
        """See Driver."""
        return DeviceRequest("GET", self._family.status)

    def set_mode(self, mode: ConverterMode, voltage_v: float, current_a: float, droop_ratio: float) -> DeviceRequest:
        """See Driver."""
        query = f"mode={mode}&dvg={decimal_text(voltage_v)}&dig={decimal_text(current_a)}&drg={droop_text(droop_ratio)}"
        return DeviceRequest("GET", f"{self._family.mode}?{query}", mode)

    def set_voltage(self, voltage_v: float, droop_ratio: float) -> DeviceRequest:
        """See Driver."""
        return DeviceRequest("GET", f"{self._family.voltage}?dvg={decimal_text(voltage_v)}&drg={droop_text(droop_ratio)}")

    def set_current(self, current_a: float) -> DeviceRequest:
        """See Driver."""
        return DeviceRequest("GET", f"{self._family.current}?dig={decimal_text(current_a)}")

    async def write(self, request: DeviceRequest) -> Json:
        """See Driver."""
        return as_object(await self._send(request), request.path)

    async def health(self) -> Json:
        """See Driver."""
        if not self._capabilities.version:
            return {}
        return as_object(await self._send(DeviceRequest("GET", HEALTH)), HEALTH)

    async def spoil(self, fault: Json) -> None:
        """See Driver: a real device is never spoilt."""
        raise CommandRefusedError(f"found {fault!r:.40}: a real device has no faults on purpose")

    async def close(self) -> None:
        """See Driver."""
        if self._close is not None:
            await self._close()

    async def _ask(self, send: Send, path: str) -> Json:
        return as_object(await send(DeviceRequest("GET", path)), path)


def _with_code(answer: Json) -> Json:
    """The original's driver tells no mode code with the status: where its words leave no doubt, it is added."""
    status: Any = answer.get("status")
    if not isinstance(status, dict) or "status" in status:
        return answer
    match status.get("operationMode"), status.get("runningState"):
        case "Waiting", _:
            mode = ConverterMode.WAIT
        case "Grid Autonomy", _:
            mode = ConverterMode.VOLTAGE_REFERENCE
        case "Heteronomy CV", "charge":
            mode = ConverterMode.CHARGE
        case "Heteronomy CV", "discharge":
            mode = ConverterMode.DISCHARGE
        case _:
            return answer
    return {**answer, "status": {**status, "status": str(mode)}}


async def capabilities_of(family: Family, send: Send) -> Capabilities:
    """What a device driver can do: ours says so itself; behind the original's, the node's guard stops the converter.

    Raises:
        DriverError: if it does not answer, or speaks another interface.

    """
    if family is V2:
        told = as_object(await send(DeviceRequest("GET", "/version/get")), "/version/get").get("comm_interface_version")
        if str(told).partition(".")[0] != INTERFACE_MAJOR:
            raise DriverError(f"/version/get: found interface {told!r}, expected {INTERFACE_MAJOR}.x")
    try:
        health = as_object(await send(DeviceRequest("GET", HEALTH)), HEALTH)
        said = health["capabilities"]
        low_v, high_v = said["gridVoltageV"]
        return Capabilities(
            family.name,
            str(said["deadMan"]),
            largest_grid_current_a=float(said["largestGridCurrentA"]),
            grid_voltage_range_v=(float(low_v), float(high_v)),
            has_droop=bool(said["droop"]),
            version=str(health["version"]),
        )
    except UnknownAnswerError, KeyError, TypeError, ValueError:
        return Capabilities(family.name, "guard")
