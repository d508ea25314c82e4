"""Who should be Grid Master, and whether a lease still holds.

Times of a lease are judged on the observer's own monotonic clock from the moment it last saw the lease change: no two
machines' clocks are ever compared.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeIs

from ..model.errors import MessageError
from ..model.policy import Policy

# No community changes its Grid Master so often while a unit is away.
EPOCH_STEP_MAX = 100_000


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The lease as stored. `epoch` is the fencing token: it never falls, and no two holders ever have the same."""

    holder: str
    epoch: int
    renewal: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {"holder": self.holder, "epoch": self.epoch, "renewal": self.renewal}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LeaseRecord:
        """Read the JSON form.

        Raises:
            MessageError: if it is not one.

        """
        try:
            return cls(str(data["holder"]), int(data["epoch"]), int(data["renewal"]))
        except (KeyError, TypeError, ValueError) as error:
            raise MessageError(f"lease: {error!r} in {data!r:.200}") from error


def is_plausible(epoch: object, known: int) -> TypeIs[int]:
    """Whether an epoch as somebody told it can be one, where `known` is the highest there was: a wild one would bar every holder for good."""
    return isinstance(epoch, int) and epoch <= known + EPOCH_STEP_MAX


def hears_nothing(answer: Mapping[str, Any] | None, silence_s: float) -> bool:
    """Whether a member, asked for the highest epoch, has answered, and has not heard the Grid Master's word for so long [wall s]."""
    unheard_s = answer.get("unheardS", 0.0) if answer is not None else 0.0
    return unheard_s is None or (isinstance(unheard_s, int | float) and unheard_s >= silence_s)


def desired_unit(policy: Policy, reference_unit_id: str | None, live: Collection[str]) -> str | None:
    """The live unit that should hold the role, or None for no preference. A dead fixed unit is no preference."""
    wanted = {"fixed": policy.grid_master_fixed_unit_id, "voltageReferenceUnit": reference_unit_id}.get(policy.grid_master_selection)
    return wanted if wanted in live else None


def follows_reference(policy: Policy) -> bool:
    """Whether the role is wanted where the line's voltage is held."""
    return policy.grid_master_selection == "voltageReferenceUnit"


def may_take(record: LeaseRecord | None, unit_id: str, unseen_s: float, length_s: float, gone_unit_id: str | None = None) -> bool:
    """Whether a unit may try to take the role: nobody has it, it is its own, it was not renewed for its length, or its holder is gone."""
    return record is None or record.holder in ("", unit_id, gone_unit_id) or unseen_s >= length_s
