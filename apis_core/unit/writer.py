"""The one place that writes to a unit's converter: through the guard where the device has no dead-man of its own."""

from ..model.converter import ConverterMode
from ..model.errors import DriverError
from ..ports import DeviceRequest, Driver, Guard, GuardRole, Json
from ..rules.sequences import SetCurrent, SetMode, SetVoltage


class Writer:
    """Turns actions into device requests and sends them, one at a time."""

    def __init__(self, driver: Driver, guard: Guard | None) -> None:
        """Nothing is written yet."""
        self._driver = driver
        self._guard = guard

    def request(self, action: SetMode | SetVoltage | SetCurrent) -> DeviceRequest:
        """The action as a plain value."""
        match action:
            case SetMode():
                return self._driver.set_mode(action.mode, action.voltage_v, action.current_a, action.droop_ratio)
            case SetVoltage():
                return self._driver.set_voltage(action.voltage_v, action.droop_ratio)
            case SetCurrent():
                return self._driver.set_current(action.current_a)

    async def write(self, action: SetMode | SetVoltage | SetCurrent, *, epoch: int, deadline_s: float) -> Json:
        """Send it; the parts of `dcdc` the device answers.

        Raises:
            CommandRefusedError: if the guard does not let it pass.
            DriverError: if the device did not take it or does not show the mode it was set to.

        """
        request = self.request(action)
        role = GuardRole.of(action.mode) if isinstance(action, SetMode) else None
        if self._guard is None:
            answer = await self._driver.write(request)
        else:
            answer = await self._guard.write(request, epoch=epoch, deadline_s=deadline_s, role=role)
        if request.expect_mode is not None:
            _check_mode(answer, request.expect_mode)
        return answer


def _check_mode(answer: Json, expected: ConverterMode) -> None:
    status = answer.get("status")
    shown = status.get("operationMode") if isinstance(status, dict) else None
    if shown != expected.operation_mode:
        raise DriverError(f"mode {expected.name}: the converter shows {shown!r}, expected {expected.operation_mode!r}")
