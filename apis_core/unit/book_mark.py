"""Where a unit's counting stood when it was last written down: what a lost process is taken up from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ..model.deal import SideEnergy
from ..model.times import format_time, parse_time
from ..ports import Json
from ..rules.energy import Sample


@dataclass(frozen=True, slots=True)
class BookMark:
    """Counters by deal, what no deal was charged with [Wh] by cause, and (while energy flowed) what flowed then.

    `currents_a`: the signed current of each running deal [A]. `sample` and `time`: the last measurement. `kept`: when this was
    written down, which may be long after that where the device is silent.
    """

    counters: Mapping[str, SideEnergy]
    unattributed_wh: Mapping[str, float]
    currents_a: Mapping[str, float]
    sample: Sample | None
    time: datetime | None
    kept: datetime | None = None

    @property
    def unread_s(self) -> float:
        """For how long the device had been silent when this was written down [community s]."""
        return 0.0 if self.time is None or self.kept is None else max(0.0, (self.kept - self.time).total_seconds())

    def to_json(self) -> Json:
        """JSON form."""
        data: Json = {
            "unattributedWh": dict(self.unattributed_wh),
            "counters": {deal_id: side.to_json() for deal_id, side in self.counters.items()},
        }
        if self.time is not None and self.sample is not None:
            data["flow"] = {
                "time": format_time(self.time, None),
                "kept": format_time(self.kept or self.time, None),
                "currentsA": dict(self.currents_a),
                "batteryPowerW": self.sample.battery_power_w,
                "gridPowerW": self.sample.grid_power_w,
                "gridCurrentA": self.sample.grid_current_a,
            }
        return data

    @classmethod
    def from_json(cls, data: Json) -> BookMark:
        """Read the JSON form of this unit's own ledger."""
        counters = {str(key): SideEnergy.from_json(value) for key, value in data.get("counters", {}).items()}
        flow = data.get("flow")
        if flow is None:
            return cls(counters, data.get("unattributedWh", {}), {}, None, None)
        time = parse_time(flow["time"], None)
        kept = parse_time(flow["kept"], None) if "kept" in flow else time
        sample = Sample(float("-inf"), flow["batteryPowerW"], flow["gridPowerW"], flow["gridCurrentA"])
        return cls(counters, data.get("unattributedWh", {}), flow["currentsA"], sample, time, kept)
