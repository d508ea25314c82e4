"""The one place that writes to a unit's converter. Whatever watches over the writing process (a dead-man) sits here."""

from ..model.converter import ConverterMode
from ..model.errors import DriverError
from ..ports import DeviceRequest, Driver, Json
from ..rules.sequences import SetCurrent, SetMode, SetVoltage


class Writer:
    """Turns actions into device requests and sends them, one at a time."""

    def __init__(self, driver: Driver) -> None:
        """Nothing is written yet."""
        self._driver = driver

    def request(self, action: SetMode | SetVoltage | SetCurrent) -> DeviceRequest:
        """The action as a plain value."""
        match action:
            case SetMode():
                return self._driver.set_mode(action.mode, action.voltage_v, action.current_a, action.droop_ratio)
            case SetVoltage():
                return self._driver.set_voltage(action.voltage_v, action.droop_ratio)
            case SetCurrent():
                return self._driver.set_current(action.current_a)

    async def write(self, action: SetMode | SetVoltage | SetCurrent) -> Json:
        """Send it; the parts of `dcdc` the device answers.

        Raises:
            DriverError: if the device did not take it or does not show the mode it was set to.

        """
        request = self.request(action)
        answer = await self._driver.write(request)
        if request.expect_mode is not None:
            _check_mode(answer, request.expect_mode)
        return answer


def _check_mode(answer: Json, expected: ConverterMode) -> None:
    status = answer.get("status")
    shown = status.get("operationMode") if isinstance(status, dict) else None
    if shown != expected.operation_mode:
        raise DriverError(f"mode {expected.name}: the converter shows {shown!r}, expected {expected.operation_mode!r}")
