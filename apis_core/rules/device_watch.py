"""When a converter's own driver stops it without being asked: the line, the battery, and how long they may be wrong.

The times are wall seconds of the driver's machine.
"""

from dataclasses import dataclass, replace

from ..model.converter import ConverterMode

ALONE_V = 1.0


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """What a driver tolerates, and for how long. `highest_v` is a reference's, `highest_current_v` a current mode's."""

    lowest_v: float
    highest_v: float
    highest_current_v: float
    voltage_s: float = 1.0
    battery_denied_s: float = 60.0
    battery_silent_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What a driver has seen of its converter and its battery. Each moment is when something began, None if it is right."""

    mode: ConverterMode | None = ConverterMode.WAIT
    has_ramped: bool = False
    outside_since_s: float | None = None
    denied_since_s: float | None = None
    silent_since_s: float | None = None
    voltage_v: float = 0.0
    highest_v: float = 0.0

    def saw_line(self, mode: ConverterMode | None, voltage_v: float, target_v: float, limits: WatchLimits, now_s: float) -> Watch:
        """After a reading of the converter.

        A reference may be below the window until it has ramped up once. A discharging converter that has pushed the line up
        to its own `target_v` is alone: nobody takes its current at a voltage of theirs.
        """
        has_ramped = mode is ConverterMode.VOLTAGE_REFERENCE and (
            voltage_v >= limits.lowest_v or (self.has_ramped and self.mode is ConverterMode.VOLTAGE_REFERENCE)
        )
        may_be_low = mode is ConverterMode.VOLTAGE_REFERENCE and not has_ramped
        highest_v = limits.highest_v if mode is ConverterMode.VOLTAGE_REFERENCE else limits.highest_current_v
        if mode is ConverterMode.DISCHARGE:
            highest_v = min(highest_v, target_v - ALONE_V)
        is_right = mode is ConverterMode.WAIT or (voltage_v <= highest_v and (may_be_low or voltage_v >= limits.lowest_v))
        since_s = None if is_right else now_s if self.outside_since_s is None or mode is not self.mode else self.outside_since_s
        return replace(self, mode=mode, has_ramped=has_ramped, outside_since_s=since_s, voltage_v=voltage_v, highest_v=highest_v)

    def saw_battery(self, *, is_permitted: bool, now_s: float) -> Watch:
        """After an answer of the battery."""
        since_s = None if is_permitted else now_s if self.denied_since_s is None else self.denied_since_s
        return replace(self, denied_since_s=since_s, silent_since_s=None)

    def missed_battery(self, now_s: float) -> Watch:
        """The battery did not answer."""
        return replace(self, silent_since_s=now_s if self.silent_since_s is None else self.silent_since_s)

    def reason(self, limits: WatchLimits, now_s: float) -> str:
        """Why the converter has to go to wait now; empty if it may go on."""
        if self.outside_since_s is not None and now_s - self.outside_since_s >= limits.voltage_s:
            expected = f"{limits.lowest_v:g} to {self.highest_v:g} V"
            return f"the line was at {self.voltage_v:.1f} V for {limits.voltage_s:g} s, expected {expected}"
        if self.denied_since_s is not None and now_s - self.denied_since_s >= limits.battery_denied_s:
            return f"the battery has not permitted sharing for {limits.battery_denied_s:g} s"
        if self.silent_since_s is not None and now_s - self.silent_since_s >= limits.battery_silent_s:
            return f"the battery has not answered for {limits.battery_silent_s:g} s"
        return ""
