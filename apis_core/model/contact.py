"""The Grid Master's contact: what a unit needs to go on, second by second, and to stop by itself when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import MessageError


@dataclass(frozen=True, slots=True)
class Target:
    """Where a unit stops a deal by itself: at this count of its own [Wh], or after this time [community s from now]."""

    stop_at_wh: float
    stop_within_s: float


@dataclass(frozen=True, slots=True)
class Contact:
    """Ages are wall seconds at sending.

    `renewal_age_s`: since the last confirmed renewal of the lease. `acknowledged_age_s`: since the newest renewal that
    the voltage reference has acknowledged, None while there is none. `targets`: by deal, then by unit.
    """

    epoch: int
    renewal_age_s: float
    acknowledged_age_s: float | None = None
    targets: Mapping[str, Mapping[str, Target]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "epoch": self.epoch,
            "renewalAgeS": self.renewal_age_s,
            "acknowledgedAgeS": self.acknowledged_age_s,
            "targets": {
                deal_id: {unit_id: [target.stop_at_wh, target.stop_within_s] for unit_id, target in units.items()}
                for deal_id, units in self.targets.items()
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Contact:
        """Read the JSON form.

        Raises:
            MessageError: if it is not one.

        """
        try:
            acknowledged = data["acknowledgedAgeS"]
            contact = cls(
                int(data["epoch"]),
                float(data["renewalAgeS"]),
                None if acknowledged is None else float(acknowledged),
                {
                    str(deal_id): {str(unit_id): Target(float(wh), float(s)) for unit_id, (wh, s) in units.items()}
                    for deal_id, units in data["targets"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MessageError(f"contact: {error!r} in {data!r:.200}") from error
        # A renewal of the future, or an age that is no number, would keep a converter on for ever.
        if not contact.renewal_age_s >= 0 or not (contact.acknowledged_age_s is None or contact.acknowledged_age_s >= 0):
            raise MessageError(f"contact: found ages {contact.renewal_age_s}, {contact.acknowledged_age_s} s, expected 0 or more")
        return contact
