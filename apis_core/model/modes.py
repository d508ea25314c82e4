"""Operation modes, the commands a converter can be given, and what a command answers."""

from dataclasses import dataclass
from enum import StrEnum
import math
from typing import Any

from .converter import ConverterMode
from .errors import MessageError


class OperationMode(StrEnum):
    """How the community (or one unit) works."""

    AUTONOMOUS = "autonomous"
    HETERONOMOUS = "heteronomous"
    STOP = "stop"
    MANUAL = "manual"


LOCAL_MODES = (OperationMode.HETERONOMOUS, OperationMode.STOP)


# The longest that all tries of one device request may take.
LONGEST_DEADLINE_S = 300.0


class CommandKind(StrEnum):
    """What a Grid Master (or, in manual mode, a person) can tell a converter."""

    WAIT = "WAIT"
    SCRAM = "scram"
    VOLTAGE_REFERENCE = "VOLTAGE_REFERENCE"
    CHARGE = "CHARGE"
    DISCHARGE = "DISCHARGE"
    CURRENT = "current"
    VOLTAGE = "voltage"
    AUTHORISE = "voltageReferenceAuthorization"
    WILL_HAND_OVER = "voltageReferenceWillHandOver"
    WILL_TAKE_OVER = "voltageReferenceWillTakeOver"
    DID_HAND_OVER = "voltageReferenceDidHandOver"
    DID_TAKE_OVER = "voltageReferenceDidTakeOver"


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its parameters, the commander's epoch and its deadline.

    `deadline_s` is how long after its arrival it may still begin a write [s, wall time]. `epoch` is the fencing token of
    the lease: a unit refuses anything below the highest it has seen.
    """

    kind: CommandKind
    epoch: int
    deadline_s: float
    grid_current_a: float | None = None
    grid_voltage_v: float | None = None
    mode: ConverterMode | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The original's `{command, params}` with epoch and deadline."""
        params = {"gridCurrentA": self.grid_current_a, "gridVoltageV": self.grid_voltage_v, "mode": self.mode and self.mode.name}
        return {
            "command": str(self.kind),
            "params": {key: value for key, value in params.items() if value is not None},
            "epoch": self.epoch,
            "deadlineS": self.deadline_s,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Command:
        """Read a command.

        Raises:
            MessageError: if it is not one.

        """
        try:
            params = data.get("params", {})
            mode = params.get("mode")
            command = cls(
                kind=CommandKind(data["command"]),
                epoch=int(data["epoch"]),
                deadline_s=float(data["deadlineS"]),
                grid_current_a=None if params.get("gridCurrentA") is None else float(params["gridCurrentA"]),
                grid_voltage_v=None if params.get("gridVoltageV") is None else float(params["gridVoltageV"]),
                mode=None if mode is None else ConverterMode[mode],
                reason=str(data.get("reason", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MessageError(f"command: {error!r} in {data!r:.200}") from error
        numbers = (command.deadline_s, command.grid_current_a or 0.0, command.grid_voltage_v or 0.0)
        if not all(math.isfinite(value) and value >= 0 for value in numbers) or command.deadline_s > LONGEST_DEADLINE_S:
            raise MessageError(f"command: found {data!r:.200}, expected numbers of 0 or more, a deadline within {LONGEST_DEADLINE_S:g} s")
        return command
