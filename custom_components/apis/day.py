"""What lives here only: sums over the present day, which no unit keeps."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apis_core.model.view import Snapshot

# A house whose figures were not seen for longer is not guessed at.
GAP_S = 120.0


@dataclass
class Day:
    """The day's sums: what the houses used and took from the mains [Wh], and what the community had shared when it began [Wh]."""

    date: str = ""
    load_wh: float = 0.0
    mains_wh: float = 0.0
    shared_before_wh: float | None = None
    _last: dict[str, tuple[datetime, float, float]] = field(default_factory=dict)
    _is_restored: bool = False

    def look(self, now: datetime, snapshot: Snapshot, shared_wh: float = 0.0) -> None:
        """Add what has gone on since the last look (trapezoidal); a new day begins with nothing but `shared_wh`, which others saw."""
        date = now.date().isoformat()
        if date != self.date:
            self.date, self.load_wh, self.mains_wh = date, 0.0, 0.0
            self.shared_before_wh = snapshot.shared_wh - shared_wh
        for unit in snapshot.units:
            last = self._last.pop(unit.unit_id, None)
            if unit.load_w is None or unit.mains_w is None or not unit.alive:
                continue
            self._last[unit.unit_id] = now, unit.load_w, unit.mains_w
            if last is not None and (now - last[0]).total_seconds() <= GAP_S:
                hours = (now - last[0]).total_seconds() / 3600
                self.load_wh += hours * (last[1] + unit.load_w) / 2
                self.mains_wh += hours * max(0.0, (last[2] + unit.mains_w) / 2)

    def shared_wh(self, snapshot: Snapshot) -> float | None:
        """What the community has shared today."""
        return None if self.shared_before_wh is None else max(0.0, snapshot.shared_wh - self.shared_before_wh)

    @property
    def self_sufficiency_pct(self) -> float | None:
        """The part of today's use that did not come from the mains; None where no house tells both."""
        return None if self.load_wh <= 0 else max(0.0, 100 * (1 - self.mains_wh / self.load_wh))

    def restore(self, data: dict[str, Any], now: datetime) -> None:
        """Go on from what was kept, if it is of this very day; each sensor keeps it, and the first that brings it back is enough."""
        if data.get("date") == now.date().isoformat() and not self._is_restored:
            self._is_restored = True
            self.date = data["date"]
            self.load_wh += float(data["load_wh"])
            self.mains_wh += float(data["mains_wh"])
            self.shared_before_wh = data["shared_before_wh"]

    def kept(self) -> dict[str, Any]:
        """What `restore` reads."""
        return {"date": self.date, "load_wh": self.load_wh, "mains_wh": self.mains_wh, "shared_before_wh": self.shared_before_wh}
