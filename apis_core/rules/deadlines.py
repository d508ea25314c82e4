"""How long a converter may go on without its Grid Master: one anchor for every timer of the line.

The anchor is the last confirmed renewal of the Grid Master's lease that a unit knows of. The voltage reference goes by
it. A converter in a current mode goes by the older of it and the newest renewal that the reference has acknowledged, so
that no current mode outlives its reference, whichever side of a cut it is on. All times are the unit's own wall clock.
"""

from dataclasses import dataclass

from ..model.contact import Contact
from ..model.converter import ConverterMode
from ..model.safety_times import SafetyTimes


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a unit knows of its Grid Master [wall s]; a unit that starts counts its start as both."""

    renewal_s: float
    acknowledged_s: float

    def heard(self, contact: Contact, now_s: float) -> Anchor:
        """The anchor after a contact; an older one changes nothing."""
        acknowledged_s = self.acknowledged_s
        if contact.acknowledged_age_s is not None:
            acknowledged_s = max(acknowledged_s, now_s - contact.acknowledged_age_s)
        return Anchor(max(self.renewal_s, now_s - contact.renewal_age_s), acknowledged_s)

    def limit_s(self, mode: ConverterMode | None, times: SafetyTimes) -> float | None:
        """When a converter in `mode` has to be in wait [wall s]; None if it is."""
        if mode is ConverterMode.WAIT:
            return None
        if mode is ConverterMode.VOLTAGE_REFERENCE:
            return self.renewal_s + times.reference_limit_s
        return min(self.renewal_s, self.acknowledged_s) + times.current_mode_limit_s
