"""What the books of a run are held against: the physics, what was acknowledged, and how long deals take when nothing goes wrong."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..emulator.engine import MODE_INDEX, Engine
from ..model.converter import ConverterMode
from ..model.deal import Deal, SideEnergy
from ..rules.energy import NOT_READ

# What was recorded is as exact as the readings in between, far better than the 1 % asked for: this much of what flowed [-, Wh].
MEASURED, ROUNDING_WH = 0.003, 0.5
# What nobody could read is estimated; this many times that may be wrong.
ESTIMATED = 2.0
# What no deal is charged with has its battery's side written down alone; the line's is that with the converter's loss.
AT_THE_LINE = 1.25


class Exchanged:
    """What really went into and out of each battery through its converter while that was on, there and at the line [Wh]."""

    def __init__(self, engine: Engine) -> None:
        """From now on."""
        self._engine = engine
        self.net_wh, self.gross_wh, self.line_wh = (np.zeros(len(engine.unit_ids)) for _ in range(3))
        engine.observers.append(self._step)

    def _step(self, seconds: float) -> None:
        is_on = self._engine.mode != MODE_INDEX[ConverterMode.WAIT]
        energy_wh = np.where(is_on, self._engine.battery_power_w * (seconds / 3600), 0.0)
        self.net_wh += energy_wh
        self.gross_wh += np.abs(energy_wh)
        self.line_wh += np.where(is_on, self._engine.grid_power_w * (seconds / 3600), 0.0)

    def disagreement(self, unit_id: str, deals: Collection[Deal], unattributed_wh: Mapping[str, float]) -> str | None:
        """Why a unit's records do not agree with what flowed, or None."""
        i = self._engine.index[unit_id]
        sides = [(side.sign, deal.side_energy(unit_id)) for deal in deals if (side := deal.side_of(unit_id)) is not None]
        recorded_wh = sum(sign * energy.battery_wh for sign, energy in sides) + sum(unattributed_wh.values())
        estimated_wh = sum(energy.estimated_wh for _, energy in sides) + abs(unattributed_wh.get(NOT_READ, 0.0))
        allowed_wh = ROUNDING_WH + MEASURED * float(self.gross_wh[i]) + ESTIMATED * estimated_wh
        if abs(recorded_wh - float(self.net_wh[i])) > allowed_wh:
            return (
                f"{unit_id} recorded {recorded_wh:.2f} Wh ({estimated_wh:.2f} Wh estimated), its battery exchanged {self.net_wh[i]:.2f} Wh"
            )
        at_line_wh = sum(sign * energy.grid_wh for sign, energy in sides)
        allowed_wh += AT_THE_LINE * sum(abs(energy_wh) for energy_wh in unattributed_wh.values())
        if abs(at_line_wh - float(self.line_wh[i])) > allowed_wh:
            return f"{unit_id} recorded {at_line_wh:.2f} Wh at the line, and exchanged {self.line_wh[i]:.2f} Wh with it"
        return None


class Acknowledged:
    """What a unit's ledger has said is written down: a restart must find it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.deals: dict[str, Deal] = {}
        self.states: dict[str, dict[str, Any]] = {}

    def lost(self, unit_id: str, deals: Collection[Deal], states: dict[str, dict[str, Any] | None]) -> str | None:
        """What is not there any more, or less of it, or None."""
        found = {deal.deal_id: deal for deal in deals}
        for deal_id, said in self.deals.items():
            now = found.get(deal_id)
            if now is None:
                return f"{unit_id}: deal {deal_id} was acknowledged, and is lost"
            if now.is_ended < said.is_ended or not _holds(now.side_energy(unit_id), said.side_energy(unit_id)):
                return f"{unit_id}: deal {deal_id} was acknowledged with {said.side_energy(unit_id)}, and is {now.side_energy(unit_id)} now"
        changed = sorted(key for key, state in self.states.items() if states.get(key) != state)
        return f"{unit_id}: {', '.join(changed)} acknowledged, and not what is remembered" if changed else None


def _holds(now: SideEnergy, said: SideEnergy) -> bool:
    return now.battery_wh >= said.battery_wh - 1e-6 or now.sequence > said.sequence
