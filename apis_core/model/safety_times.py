"""The timers that keep a live line safe when something dies, and what they owe each other.

One anchor for all of them: the Grid Master's last confirmed lease renewal. A converter in a current mode (charge or
discharge) leaves the line before the voltage reference may; every inequality below says how much earlier.
"""

from dataclasses import dataclass, fields
from typing import Any

import probatio

from .keys import number, whole

# What is assumed of everything outside the policy [s].
COMPARE_AND_SET_OUTAGE_S = 8.0  # a replicated store after a hard loss of one of its servers
WAIT_SEQUENCE_S = 2.5  # a converter's way to wait, mode first
MESSAGE_S = 1.0  # one message with its answer
# A message is answered within MESSAGE_S or not at all: what comes later was held up on its way or by a standstill of the
# receiver, and the ages and deadlines in it would count from the wrong moment.
OLDEST_MESSAGE_S = 2.0
DETECTION_S = 5.0  # from a unit's end to the first wait sent for it
SET_OR_STATUS_S = 0.4  # one setting or one reading of a device
LONGEST_TRANSITION_S = 10.0  # a hand-over, a warm-up and the trim of the currents
LINE_DECAY_S, LINE_RAMP_S = 60.0, 180.0  # a line falling to rest, and rising again at the original's slowest


@dataclass(frozen=True, slots=True)
class SafetyTimes:
    """All timers [wall s]; in the policy file they stand under `safety.times`, in milliseconds."""

    contact_period_s: float = 1.0
    command_right_s: float = 2.0
    lease_renewal_s: float = 3.0
    lease_retry_s: float = 0.2
    lease_length_s: float = 15.0
    current_mode_limit_s: float = 25.0
    current_mode_dead_man_s: float = 5.0
    reference_limit_s: float = 35.0
    reference_dead_man_s: float = 35.0
    thaw_hold_s: float = 10.0
    emergency_spacing_s: float = 0.1
    status_period_s: float = 1.0
    status_repeat_s: float = 0.2
    status_deadline_s: float = 2.0
    interruption_limit_s: float = 300.0
    reference_losses_max: int = 3
    reference_ban_s: float = 600.0
    held_line_limit_s: float = 300.0
    hand_over_call_s: float = 1.0
    two_references_s: float = 4.0
    leak_check_gap_s: float = 30.0

    @property
    def silence_s(self) -> float:
        """After how long without the Grid Master's word its silence means something: three contacts."""
        return 3 * self.contact_period_s

    @property
    def known_off_s(self) -> float:
        """After how long without an answer a converter whose device has its own dead-man is known to be off."""
        return self.current_mode_limit_s + self.current_mode_dead_man_s + WAIT_SEQUENCE_S + MESSAGE_S

    def problems(self, members: int, scram_delay_s: float, period_s: float) -> tuple[tuple[str, str, str], ...]:
        """Every inequality that does not hold: key, what was found with its sum, what was expected.

        `period_s`: the longer of the policy's two reading periods.
        """
        h, lease, own = self.contact_period_s, self.lease_length_s, self
        limit_s, dead_man_s = self.current_mode_limit_s, self.current_mode_dead_man_s
        off_s = self.known_off_s
        rules: tuple[tuple[str, float, str, float, str], ...] = (
            ("contactPeriodMsec", own.silence_s + 2 * MESSAGE_S, "<=", 5.0, "3 contacts + 1 s answer + 1 s, the early take-over"),
            ("commandRightMsec", own.command_right_s, "<=", own.silence_s - MESSAGE_S, "3 contacts - 1 s message"),
            (
                "leaseLengthMsec",
                lease,
                ">",
                COMPARE_AND_SET_OUTAGE_S + own.lease_renewal_s + 1,
                "8 s store outage + renewal + 1 s",
            ),
            ("currentModeMsec", limit_s, ">", lease + COMPARE_AND_SET_OUTAGE_S + 1.2, "lease + 8 s store outage + 1.2 s"),
            ("currentModeDeadManMsec", dead_man_s, ">=", 3 * h + MESSAGE_S, "3 beats + 1 s"),
            (
                "currentModeDeadManMsec",
                dead_man_s,
                "<=",
                own.reference_limit_s - limit_s - WAIT_SEQUENCE_S - MESSAGE_S,
                "reference - current mode - 2.5 s wait - 1 s message",
            ),
            ("referenceMsec", own.reference_limit_s, ">=", off_s, "current mode + its dead-man + 2.5 s wait + 1 s message"),
            (
                "referenceDeadManMsec",
                own.reference_dead_man_s,
                ">=",
                off_s + h,
                "current mode + its dead-man + 2.5 s wait + 1 s message + 1 beat",
            ),
            ("thawHoldMsec", own.thaw_hold_s, ">=", dead_man_s + WAIT_SEQUENCE_S + MESSAGE_S, "dead-man + 2.5 s wait + 1 s"),
            (
                "emergencySpacingMsec",
                members * own.emergency_spacing_s + WAIT_SEQUENCE_S,
                "<",
                own.reference_limit_s - DETECTION_S,
                "the reference's limit - 5 s detection, for the pairs of all members + 2.5 s wait",
            ),
            (
                "statusPeriodMsec",
                own.status_period_s + own.status_repeat_s + own.status_deadline_s + WAIT_SEQUENCE_S,
                "<",
                6.0,
                "6 s for poll + repeat + deadline + 2.5 s wait",
            ),
            ("controller.scramVoltageReferenceDelayMsec", scram_delay_s, ">", WAIT_SEQUENCE_S + MESSAGE_S, "2.5 s wait + 1 s message"),
            ("twoReferencesMsec", own.two_references_s, ">=", 4 * SET_OR_STATUS_S, "2 settings + 2 readings of 0.4 s"),
            ("twoReferencesMsec", own.two_references_s, "<", limit_s - lease, "current mode - lease"),
            ("handOverCallMsec", own.hand_over_call_s, "<=", own.two_references_s / 2, "half of the time of two references"),
            (
                "leakCheckGapMsec",
                own.leak_check_gap_s,
                ">=",
                3 * period_s + LONGEST_TRANSITION_S,
                "3 reading periods + 10 s, the longest transition",
            ),
            (
                "interruptionMsec",
                own.interruption_limit_s,
                ">",
                own.reference_dead_man_s + LINE_DECAY_S + LINE_RAMP_S + 2,
                "the reference's dead-man + 60 s decay + 180 s ramp + 2 s",
            ),
        )
        compare = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
        return tuple(
            (
                key if key.startswith("controller.") else f"safety.times.{key}",
                f"{left:g} s",
                f"{relation} {right:g} s ({meaning})",
            )
            for key, left, relation, right, meaning in rules
            if not compare[relation](round(float(left), 6), round(float(right), 6))
        )

    def to_json(self) -> dict[str, Any]:
        """The file's form."""
        return {
            key: getattr(self, name) if key == "referenceLossesMax" else round(getattr(self, name) * 1000) for key, name in _NAMES.items()
        }

    @classmethod
    def from_json(cls, data: Any) -> SafetyTimes:
        """Read the file's form; what is not given has its default.

        Raises:
            probatio.Invalid: with the path of every key that is wrong.

        """
        values = _SCHEMA(data)
        return cls(**{_NAMES[key]: value if key == "referenceLossesMax" else value / 1000 for key, value in values.items()})


def _camel(name: str) -> str:
    first, *rest = name.removesuffix("_s").split("_")
    text = first + "".join(word.capitalize() for word in rest if word != "limit")
    return text + "Msec" if name.endswith("_s") else text


_NAMES = {_camel(field.name): field.name for field in fields(SafetyTimes)}
_SCHEMA = probatio.Schema({probatio.Optional(key): whole(at_least=1) if key == "referenceLossesMax" else number(above=0) for key in _NAMES})
