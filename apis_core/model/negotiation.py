"""What units say to each other before there is a deal: request, accept, decline."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from .deal import Direction
from .errors import MessageError
from .times import format_time, parse_time


@dataclass(frozen=True, slots=True)
class Offer:
    """A request or an accept: what a unit would do with its battery, how much of it, and at what price.

    `direction` is the speaker's own. `grid_current_a` is the current it would carry [A]; `efficient_grid_voltage_v` the
    line voltage at which its converter works best [V].
    """

    unit_id: str
    direction: Direction
    amount_wh: int
    time: datetime
    grid_current_a: float
    point_per_wh: float | None = None
    pair_unit_id: str | None = None
    efficient_grid_voltage_v: float | None = None

    def to_json(self, zone: tzinfo | None = None) -> dict[str, Any]:
        """The original's form."""
        record: dict[str, Any] = {
            "type": str(self.direction),
            "amountWh": self.amount_wh,
            "pointPerWh": self.point_per_wh,
            "pairUnitId": self.pair_unit_id,
            "efficientGridVoltageV": self.efficient_grid_voltage_v,
            "dateTime": format_time(self.time, zone),
            "dealGridCurrentA": self.grid_current_a,
            "unitId": self.unit_id,
        }
        return {key: value for key, value in record.items() if value is not None}

    @classmethod
    def from_json(cls, data: Any, zone: tzinfo | None = None) -> Offer:
        """Read an offer, unless it has been read.

        Raises:
            MessageError: if a part is missing or impossible.

        """
        if isinstance(data, Offer):
            return data
        try:
            offer = cls(
                unit_id=str(data["unitId"]),
                direction=Direction(data["type"]),
                amount_wh=int(data["amountWh"]),
                time=parse_time(data["dateTime"], zone),
                grid_current_a=float(data["dealGridCurrentA"]),
                point_per_wh=None if data.get("pointPerWh") is None else float(data["pointPerWh"]),
                pair_unit_id=data.get("pairUnitId"),
                efficient_grid_voltage_v=data.get("efficientGridVoltageV"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MessageError(f"offer: {error!r} in {data!r:.200}") from error
        if offer.amount_wh <= 0 or offer.grid_current_a <= 0 or (offer.point_per_wh or 0) < 0:
            raise MessageError(f"offer of {offer.unit_id}: found {data!r:.200}, expected amount and current > 0 and no negative price")
        return offer


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a unit does not accept, in words for people."""

    unit_id: str
    reason: str
