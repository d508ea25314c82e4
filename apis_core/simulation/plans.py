"""What goes wrong in a run, and when: drawn from a seed, written as JSON, made smaller piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
import math
import random
from typing import Any

from ..model.errors import ConfigError, Problem

# By kind: what its value may be, from and to; None where it has none. All times in a plan are seconds of the run.
NETWORK: dict[str, tuple[float, float] | None] = {
    "cut": None, "freeze": None, "duplicate": None, "delay_messages": (0.1, 1.5), "reorder_messages": (0.1, 1.5), "drop_messages": (0.05, 0.5),
}  # fmt: skip
DEVICE: dict[str, tuple[float, float] | None] = {
    "silent": None, "delay_device": (0.1, 3.0), "http_error": None, "frozen_readings": None, "noise": (0.001, 0.05), "offset_a": (-0.5, 0.5),
    "offset_v": (-3.0, 3.0), "permission": (0.0, 2.99), "stuck": None, "no_ramp": None, "heavy_alarm": None, "lost": None,
}  # fmt: skip
LINE: dict[str, tuple[float, float] | None] = {"leak": (0.5, 3.0), "dip": (0.5, 0.9)}
PROCESS: dict[str, tuple[float, float] | None] = {
    "kill": None, "torn_write": (0.0, 1.0), "disk_full": None, "clock_step": (-90.0, 90.0), "clock_drift": (-0.1, 0.1), "steal_lease": None,
}  # fmt: skip
PEOPLE: dict[str, tuple[float, float] | None] = {
    "scenario": None, "policy": None, "stop_and_go": None, "deal": (5.0, 60.0), "stop_deal": None, "unit_stop": None,
}  # fmt: skip
KINDS = {**NETWORK, **DEVICE, **LINE, **PROCESS, **PEOPLE}
# What can rightly end in a scram: something electrical, or a device that does not say or do what is so.
PHYSICAL = frozenset({*LINE, "frozen_readings", "noise", "offset_a", "offset_v", "stuck", "no_ramp", "heavy_alarm", "lost"})
# What is done seldom and quickly: by the clock alone, faults would hardly ever meet it.
MOMENTS = ("hand_over", "transition")
AT_A_MOMENT = 0.4
# After the last fault the community gets this long to be one again [s].
QUIET_BEGIN_S = 120.0
# So long a fault waits for its moment; then it goes wrong without.
WAITED_S = 240.0


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that goes wrong `at_s`, `for_s` long, to `units`; `value` is its measure.

    `when`: one of MOMENTS; with one, it goes wrong at the first such moment after `at_s`, or WAITED_S later if there is none.
    """

    at_s: float
    for_s: float
    kind: str
    units: tuple[str, ...]
    value: float = 0.0
    when: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        data = {"at_s": self.at_s, "for_s": self.for_s, "kind": self.kind, "units": list(self.units), "value": self.value}
        return data | ({"when": self.when} if self.when else {})

    @classmethod
    def from_json(cls, data: Any, where: str) -> Fault:
        """Read the JSON form.

        Raises:
            ConfigError: if it is none.

        """
        try:
            fault = cls(
                float(data["at_s"]),
                float(data["for_s"]),
                str(data["kind"]),
                tuple(map(str, data["units"])),
                float(data.get("value", 0.0)),
                str(data.get("when", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError((Problem(where, repr(error), "at_s, for_s, kind, units, value and when"),)) from None
        if not fault.units:
            raise ConfigError((Problem(f"{where}.units", "[]", "one unit or more"),))
        for name, value in (("at_s", fault.at_s), ("for_s", fault.for_s), ("value", fault.value)):
            if not math.isfinite(value) or (name != "value" and value < 0):
                raise ConfigError((Problem(f"{where}.{name}", str(value), "a number" if name == "value" else "seconds, 0 or more"),))
        if fault.kind not in KINDS:
            raise ConfigError((Problem(f"{where}.kind", fault.kind, f"one of {', '.join(KINDS)}"),))
        if fault.when and fault.when not in MOMENTS:
            raise ConfigError((Problem(f"{where}.when", fault.when, f"one of {', '.join(MOMENTS)}, or none"),))
        return fault


type Plan = tuple[Fault, ...]


def draw(seed: int, units: Sequence[str], seconds: float) -> Plan:
    """A plan for a run of so many seconds: between one and eight faults, some at the same time."""
    rng = random.Random(seed)
    last_s = max(QUIET_BEGIN_S + 60.0, seconds - 300.0)
    faults = []
    for _ in range(rng.randint(1, 8)):
        kind = rng.choice(list(KINDS))
        limits = KINDS[kind]
        count = rng.randint(1, len(units) - 1) if kind in ("cut", "freeze") else 1
        at_s = round(rng.uniform(QUIET_BEGIN_S, last_s), 1)
        for_s = round(rng.choice((rng.uniform(1, 20), rng.uniform(20, 120), rng.uniform(120, 400))), 1)
        faults.append(
            Fault(
                at_s,
                for_s,
                kind,
                tuple(sorted(rng.sample(list(units), count))),
                round(rng.uniform(*limits), 3) if limits is not None else 0.0,
                rng.choice(MOMENTS) if rng.random() < AT_A_MOMENT else "",
            )
        )
    return tuple(sorted(faults))


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, the largest cuts first: halves, single faults out, fewer units, shorter."""
    if len(plan) > 2:
        half = len(plan) // 2
        yield plan[:half]
        yield plan[half:]
    for i in range(len(plan)):
        if len(plan) > 1:
            yield plan[:i] + plan[i + 1 :]
    for i, fault in enumerate(plan):
        others = plan[:i], plan[i + 1 :]
        if len(fault.units) > 1:
            for unit in fault.units:
                fewer = tuple(u for u in fault.units if u != unit)
                yield (*others[0], replace(fault, units=fewer), *others[1])
        if fault.for_s > 10:
            yield (*others[0], replace(fault, for_s=round(fault.for_s / 2, 1)), *others[1])
