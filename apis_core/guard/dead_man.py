"""The dead-man of all converters that one writer writes: who may write what, and who goes to wait when the beats stop.

Pure: no clock, no device, and nothing but the bare language, because the guard's process loads this file alone.
Times are seconds of one clock that goes on while a machine sleeps.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OFF, CURRENT, REFERENCE = "off", "current", "reference"
# A wait that was not read back is sent again after so long.
REPEAT_S = 1.0
# A device may still carry a write out so long after it was given up: until then a converter that is off is looked at.
LATE_S = 30.0
# Who wakes so much later than it wanted to has stood still.
STANDSTILL_S = 2.0
# A reference that is overdue after a standstill holds on so long: current modes go first, and they may be slow.
THAW_HOLD_S = 10.0


class Watched:
    """One converter as its dead-man knows it. `trip` is the reason why it was stopped, until its unit re-arms it."""

    def __init__(self, line: Iterable[str], current_s: float, reference_s: float) -> None:
        """`line`: all units of its line; the two times are the dead-man's, from the last beat."""
        self.line = tuple(line)
        self.current_s = current_s
        self.reference_s = reference_s
        self.epoch = 0
        self.role = OFF
        self.beat_s = 0.0
        self.trip = ""
        self.tripped_s = 0.0
        self.is_off = False
        self.off_s = self.off_since_s = 0.0
        self.asked_s = self.late_s = float("-inf")

    @property
    def is_doubtful(self) -> bool:
        """Whether it was stopped, or found on, and has not been read in wait since."""
        return bool(self.trip) and not self.is_off


class DeadMan:
    """All converters of one writer."""

    def __init__(self) -> None:
        """Watches nobody yet."""
        self.units: dict[str, Watched] = {}
        self._held_until_s = float("-inf")

    def stood_still(self, now_s: float) -> None:
        """The writer itself has been away for a while: everybody may be overdue at once."""
        self._held_until_s = now_s + THAW_HOLD_S

    def arm(self, unit_id: str, watched: Watched, role: str, epoch: int, now_s: float) -> None:
        """Watch a converter, or watch it anew: a trip is over, its unit has read it and knows what it does."""
        known = self.units.get(unit_id)
        watched.epoch = max(epoch, known.epoch if known else 0)
        watched.beat_s = now_s
        watched.is_off = role == OFF
        watched.off_s = watched.off_since_s = now_s
        watched.late_s = known.late_s if known else watched.late_s
        watched.role = role
        self.units[unit_id] = watched

    def learn(self, unit_id: str, role: str, now_s: float) -> None:
        """Its role changes: before the command that makes a reference, after the one that ends it."""
        watched = self.units[unit_id]
        if watched.role == OFF and role != OFF:
            watched.beat_s = now_s
        watched.role = role
        if role != OFF:
            watched.is_off = False

    def unanswered(self, unit_id: str, now_s: float) -> None:
        """Nobody knows what came of a write that switches on: the device may carry it out later, after a wait even."""
        self.units[unit_id].late_s = now_s + LATE_S

    def beat(self, unit_id: str, now_s: float) -> None:
        """Its unit is well and has the right to go on."""
        watched = self.units.get(unit_id)
        if watched is not None and not watched.trip:
            watched.beat_s = max(watched.beat_s, now_s)

    def refusal(self, unit_id: str, *, active: bool, wait: bool, epoch: int, deadline_s: float, now_s: float) -> str:
        """Why a write must not go out, or an empty text. A wait that is in time always goes."""
        watched = self.units.get(unit_id)
        if watched is None:
            return f"{unit_id} is not armed"
        if now_s > deadline_s:
            return f"{unit_id}: the write came {now_s - deadline_s:.1f} s too late"
        if wait:
            return ""
        if epoch < watched.epoch:
            return f"{unit_id}: found epoch {epoch}, expected at least {watched.epoch}"
        watched.epoch = epoch
        if active and watched.trip:
            return f"{unit_id} was stopped ({watched.trip}) and has not been re-armed"
        return ""

    def saw(self, unit_id: str, is_off: bool, now_s: float) -> None:
        """A reading of the writer's own: whether the converter is in wait."""
        watched = self.units[unit_id]
        if is_off:
            watched.off_s = now_s
            if not watched.is_off:
                watched.off_since_s = now_s
        watched.is_off = is_off
        if is_off and watched.trip:
            watched.role = OFF

    def stop(self, unit_id: str, reason: str, now_s: float) -> None:
        """Stop it, whatever its beats say."""
        watched = self.units[unit_id]
        if not watched.trip:
            watched.trip, watched.tripped_s = reason, now_s
            watched.is_off = False

    def due(self, now_s: float) -> list[str]:
        """The units to be put to wait now; each is tripped by this and repeated until it was read in wait."""
        found = []
        for unit_id, watched in self.units.items():
            reason = self._reason(unit_id, watched, now_s)
            if reason:
                self.stop(unit_id, reason, now_s)
            if watched.is_doubtful and now_s >= watched.asked_s + REPEAT_S:
                watched.asked_s = now_s
                found.append(unit_id)
        return found

    def to_read(self, now_s: float) -> set[str]:
        """Who has to be looked at: units whose state decides whether a reference without beats may leave before its time.

        And those that are off, and may yet be switched on by a write that was given up.
        """
        found = {unit_id for unit_id, watched in self.units.items() if self._may_come_on(watched, now_s)}
        for unit_id, watched in self.units.items():
            if self._leaves_early(watched, now_s):
                found |= {other for other in self._others(unit_id, watched) if self._unread(other, watched)}
        ready = {unit_id for unit_id in found if now_s >= self.units[unit_id].asked_s + REPEAT_S}
        for unit_id in ready:
            self.units[unit_id].asked_s = now_s
        return ready

    def next_s(self, now_s: float) -> float | None:
        """When to look again at the latest, or None if nobody is on."""
        moments = []
        for watched in self.units.values():
            if watched.is_doubtful or self._may_come_on(watched, now_s):
                moments.append(watched.asked_s + REPEAT_S)
            elif watched.role != OFF and not watched.trip:
                limit_s = watched.current_s if watched.role == CURRENT else watched.reference_s
                due_s = watched.beat_s + limit_s
                moments.append(due_s if watched.role == CURRENT else max(due_s, self._held_until_s))
                if watched.role == REFERENCE:
                    early_s = watched.beat_s + watched.current_s
                    moments.append(early_s if early_s > now_s else now_s + REPEAT_S / 4)
        return min(moments, default=None)

    def is_idle(self, now_s: float = float("inf")) -> bool:
        """Whether every converter is off and nothing is left to do; without a moment, whatever may come on later."""
        return all(w.role == OFF and not w.is_doubtful and not self._may_come_on(w, now_s) for w in self.units.values())

    def _may_come_on(self, watched: Watched, now_s: float) -> bool:
        """Whether a converter that is off may yet be switched on by a write that was given up."""
        return watched.role == OFF and not watched.is_doubtful and now_s < watched.late_s

    def _reason(self, unit_id: str, watched: Watched, now_s: float) -> str:
        if watched.trip or watched.role == OFF:
            return ""
        silent_s = now_s - watched.beat_s
        if watched.role == CURRENT:
            return f"no sign of its unit for {watched.current_s:g} s" if silent_s >= watched.current_s else ""
        if silent_s >= watched.reference_s and now_s >= self._held_until_s:
            return f"no sign of its unit for {watched.reference_s:g} s"
        if self._leaves_early(watched, now_s) and not any(self._unread(other, watched) for other in self._others(unit_id, watched)):
            return f"no sign of its unit for {silent_s:.0f} s, and all others of the line are off"
        return ""

    def _leaves_early(self, watched: Watched, now_s: float) -> bool:
        """A reference without beats whose whole line is in this writer's hands."""
        mine = all(unit in self.units for unit in watched.line)
        return watched.role == REFERENCE and not watched.trip and mine and now_s - watched.beat_s >= watched.current_s

    def _unread(self, other: str, watched: Watched) -> bool:
        """Whether another converter has not been read in wait since the reference's beats ended."""
        state = self.units[other]
        return not state.is_off or state.role != OFF or state.off_s <= watched.beat_s

    def _others(self, unit_id: str, watched: Watched) -> list[str]:
        return [unit for unit in watched.line if unit != unit_id and unit in self.units]
