"""What a unit works by: who it is, and the policy, hardware and scenario that hold now."""

from dataclasses import dataclass
from datetime import tzinfo

from ..model.hardware import Hardware
from ..model.policy import Policy
from ..model.scenario import Scenario


@dataclass(slots=True)
class Settings:
    """A unit's settings. Scenario and hardware may be exchanged while it runs; each value itself is immutable."""

    unit_id: str
    policy: Policy
    hardware: Hardware
    scenario: Scenario
    zone: tzinfo
    community_id: str = "NA"
    cluster_id: str = "NA"
    unit_name: str = ""
    serial_number: str = "NA"
