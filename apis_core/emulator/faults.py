"""Faults on purpose: what can be wrong with an emulated device, and how its answers change by it."""

from dataclasses import asdict, dataclass, fields
import random
from typing import Any

from ..model.errors import MessageError


@dataclass(frozen=True, slots=True)
class UnitFault:
    """Everything that is wrong with one unit; the default is nothing.

    `silent`: it never answers. `delay_s`: it answers so much later. `http_error`: it answers with this status.
    `frozen`: its readings stay what they were. `noise`: relative, one standard deviation, on its voltages and currents.
    `offset_a`, `offset_v`: what its grid meters show too much. `stuck`: commands are answered and not carried out.
    `no_ramp`: as a reference it never raises the line. `heavy_alarm`: it goes to wait and stays there. `lost`: it is gone.
    """

    silent: bool = False
    delay_s: float = 0.0
    http_error: int | None = None
    frozen: bool = False
    noise: float = 0.0
    offset_a: float = 0.0
    offset_v: float = 0.0
    stuck: bool = False
    no_ramp: bool = False
    heavy_alarm: bool = False
    lost: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON form: what is not as it should be."""
        return {key: value for key, value in asdict(self).items() if value != getattr(UnitFault(), key)}

    @classmethod
    def from_json(cls, data: Any) -> UnitFault:
        """Read the JSON form.

        Raises:
            MessageError: naming the key, what was found and what was expected.

        """
        if not isinstance(data, dict):
            raise MessageError(f"fault: found {type(data).__name__}, expected an object")
        known = {item.name: getattr(cls(), item.name) for item in fields(cls)}
        for key, value in data.items():
            if key not in known:
                raise MessageError(f"fault.{key}: expected one of {', '.join(known)}")
            good, expected = _check(key, value, known[key])
            if not good:
                raise MessageError(f"fault.{key}: found {value!r:.40}, expected {expected}")
        return cls(**data)

    def shown(self, answer: Any, rng: random.Random) -> Any:
        """An answer of the device with its meters off."""
        if not (self.noise or self.offset_a or self.offset_v) or not isinstance(answer, dict):
            return answer
        changed = dict(answer)
        for key, value in answer.items():
            if key == "meter":
                changed[key] = self._meter(value, rng)
            elif key == "dcdc":
                changed[key] = self.shown(value, rng)
        return changed

    def _meter(self, meter: dict[str, float], rng: random.Random) -> dict[str, float]:
        shaken = {key: meter[key] * (1 + rng.gauss(0, self.noise)) if self.noise else meter[key] for key in ("vg", "ig", "ib")}
        shaken["ig"] += self.offset_a
        shaken["vg"] += self.offset_v
        return {**meter, **{key: round(value, 6) for key, value in shaken.items()}}


def _check(key: str, value: Any, default: Any) -> tuple[bool, str]:
    if isinstance(default, bool):
        return isinstance(value, bool), "true or false"
    if key == "http_error":
        return value is None or (isinstance(value, int) and 400 <= value <= 599), "null or a status from 400 to 599"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in ("offset_a", "offset_v"):
        return number and abs(value) <= 1000, "a number from -1000 to 1000"
    return number and 0 <= value <= 60, "a number from 0 to 60"
