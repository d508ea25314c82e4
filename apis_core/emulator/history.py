"""The last day of each unit, for a chart: one point each ten emulated minutes."""

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Engine

INTERVAL_S = 600.0
POINTS = 144


class History:
    """A ring of points; a unit that came later has none before."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._points: deque[tuple[str, dict[str, int], Any]] = deque(maxlen=POINTS)
        self._next_s = 0.0

    def look(self, engine: Engine) -> None:
        """Take a point if it is time for one."""
        if engine.elapsed_s < self._next_s - INTERVAL_S:
            # The clock was set back.
            self._points.clear()
        elif engine.elapsed_s < self._next_s:
            return
        self._next_s = engine.elapsed_s + INTERVAL_S
        values = (engine.state_of_charge_pct.copy(), engine.solar_w.copy(), engine.load_w.copy(), engine.grid_power_w.copy())
        self._points.append((engine.now.isoformat(timespec="minutes"), dict(engine.index), values))

    def of(self, unit_id: str) -> list[dict[str, Any]]:
        """A unit's points, oldest first."""
        return [
            {
                "time": time,
                "state_of_charge_pct": round(float(charge[index[unit_id]]), 2),
                "solar_w": round(float(solar[index[unit_id]]), 1),
                "load_w": round(float(load[index[unit_id]]), 1),
                "grid_power_w": round(float(grid[index[unit_id]]), 1),
            }
            for time, index, (charge, solar, load, grid) in self._points
            if unit_id in index
        ]
