"""A wish to change one line of a scenario."""

from dataclasses import dataclass
from typing import Any, Self

from .deal import Direction
from .errors import MessageError

KINDS = ("request", "accept")


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Where (`band` as files write it, `status` of the battery, `kind` request or accept, direction), and what is new there.

    None leaves a figure as it is; a line that was not there needs `limit_wh`. `remove` takes the line away.
    """

    band: str
    status: str
    kind: str
    direction: Direction
    limit_wh: int | None = None
    point_per_wh: float | None = None
    remove: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "band": self.band,
            "status": self.status,
            "kind": self.kind,
            "direction": str(self.direction),
            "limitWh": self.limit_wh,
            "pointPerWh": self.point_per_wh,
            "remove": self.remove,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the JSON form. Raises MessageError."""
        if not isinstance(data, dict):
            raise MessageError(f"rule: found {data!r:.40}, expected an object")
        kind, direction = data.get("kind"), data.get("direction")
        if kind not in KINDS or direction not in list(Direction):
            raise MessageError(f"rule: found {kind!r:.40}, {direction!r:.40}, expected {' or '.join(KINDS)}, {' or '.join(Direction)}")
        return cls(
            str(data.get("band")),
            str(data.get("status")),
            str(kind),
            Direction(str(direction)),
            data.get("limitWh"),
            data.get("pointPerWh"),
            bool(data.get("remove")),
        )
