"""The emulator's device API, ours or the original's (`dcdc_emulator`; hardware reference 1.2).

    all data   /get/unit/<id>
    status     /get/dcdc/status/<id>
    mode       /set/dcdc/<id>?mode=0x0014&dvg=350.0&dig=2.3&drg=0
    voltage    /set/dcdc/voltage/<id>?dvg=350.0&drg=0
    current    /set/dcdc/current/<id>?dig=1.0

How a request reaches the emulator is another matter: over HTTP (`http.py`) or, in virtual time, as a call.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ..model.converter import Converter, ConverterMode
from ..model.errors import CommandRefusedError, DriverError, UnknownAnswerError
from ..ports import Capabilities, DeviceData, DeviceRequest, Json

type Send = Callable[[DeviceRequest], Awaitable[Any]]


def decimal_text(value: float) -> str:
    """A number as the original prints it: with a fraction, without binary remainders; no droop is a plain 0."""
    return repr(round(float(value), 6))


def droop_text(ratio: float) -> str:
    """A droop as the original prints it."""
    return decimal_text(ratio) if ratio else "0"


class EmulatorDriver:
    """See Driver."""

    def __init__(
        self,
        unit_id: str,
        send: Send,
        base_url: str = "",
        close: Callable[[], Awaitable[None]] | None = None,
        spoil: Callable[[Json], Awaitable[None]] | None = None,
        more: Callable[[], Json] = dict,
    ) -> None:
        """`send` carries a request to the emulator at `base_url` and returns its JSON answer, or raises DriverError.

        `spoil`: how something goes wrong on purpose. `more`: what is known of the house beside the emulator's answers.
        """
        self._more = more
        self._spoil = spoil
        self._unit_id = unit_id
        self._capabilities = Capabilities("emulator", "guard", simulated=True, base_url=base_url)
        self._send = send
        self._close = close

    @property
    def capabilities(self) -> Capabilities:
        """See Driver."""
        return self._capabilities

    async def read(self) -> DeviceData:
        """See Driver."""
        data = await self._ask(f"/get/unit/{self._unit_id}")
        house = data.get("emu")
        if not isinstance(house, dict) or not isinstance(data.get("dcdc"), dict):
            raise DriverError(f"{self._unit_id}: the emulator answered {str(data)[:80]!r}, expected a unit with emu and dcdc")
        battery = {key: house.get(key) for key in ("rsoc", "battery_operation_status")}
        return DeviceData(data["dcdc"], battery, {**house, **self._more()})

    async def status(self) -> Json | Converter:
        """See Driver."""
        request = self.ask_status()
        return as_object(await self._send(request), request.path)

    def ask_status(self) -> DeviceRequest:
        """See Driver."""
        return DeviceRequest("GET", f"/get/dcdc/status/{self._unit_id}")

    def set_mode(self, mode: ConverterMode, voltage_v: float, current_a: float, droop_ratio: float) -> DeviceRequest:
        """See Driver."""
        query = f"mode={mode}&dvg={decimal_text(voltage_v)}&dig={decimal_text(current_a)}&drg={droop_text(droop_ratio)}"
        return DeviceRequest("GET", f"/set/dcdc/{self._unit_id}?{query}", mode)

    def set_voltage(self, voltage_v: float, droop_ratio: float) -> DeviceRequest:
        """See Driver."""
        return DeviceRequest("GET", f"/set/dcdc/voltage/{self._unit_id}?dvg={decimal_text(voltage_v)}&drg={droop_text(droop_ratio)}")

    def set_current(self, current_a: float) -> DeviceRequest:
        """See Driver."""
        return DeviceRequest("GET", f"/set/dcdc/current/{self._unit_id}?dig={decimal_text(current_a)}")

    async def write(self, request: DeviceRequest) -> Json:
        """See Driver."""
        return as_object(await self._send(request), request.path)

    async def health(self) -> Json:
        """See Driver."""
        return {}

    async def spoil(self, fault: Json) -> None:
        """See Driver."""
        if self._spoil is None:
            raise CommandRefusedError(f"{self._unit_id}: this emulator has no faults on purpose")
        await self._spoil(fault)

    async def close(self) -> None:
        """See Driver."""
        if self._close is not None:
            await self._close()

    async def _ask(self, path: str) -> Json:
        return as_object(await self._send(DeviceRequest("GET", path)), path)


def as_object(answer: Any, path: str) -> Json:
    """An answer that must be an object with something in it. Raises UnknownAnswerError."""
    # The original answers an unknown unit with an empty object and status 200.
    if not isinstance(answer, dict) or not answer:
        raise UnknownAnswerError(f"{path}: found {str(answer)[:80]!r}, expected an object that is not empty")
    return answer
