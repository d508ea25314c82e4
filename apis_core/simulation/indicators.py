"""What a run says in figures, and what each figure means."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ..emulator.line import Array
from ..emulator.shares import shares
from ..model.deal import Deal
from ..rules.lifecycle import Outcome, outcome
from .tables import Result

# The two shares are those of Luthander, Widen, Nilsson and Palm, "Photovoltaic self-consumption in buildings: A review",
# Applied Energy 142 (2015), sections 2.1 and 2.2; bought energy stands for what is not covered on the spot.
DEFINITIONS = {
    "self_sufficiency": "1 - energy bought from the mains / load (Luthander et al., Applied Energy 142, 2015, section 2)",
    "self_consumption": "PV energy used or stored / PV energy the sun offered (the same source); the rest was curtailed",
    "ssr_real": "(load - energy from the mains + what the batteries hold more) / load: the original's self-sufficiency",
    "ssr_pv": "(PV energy used or stored + what the batteries hold more) / load, the original's",
    "sor": "PV energy used or stored / PV energy the sun offered, the original's",
    "r_utility": "(energy from the mains - what the batteries hold more) / load, the original's",
    "bought_wh": "energy from the mains: load fed in bypass, mains charging, and the losses of UPS and transformer",
    "load_wh": "energy that the houses used",
    "solar_wh": "PV energy used or stored",
    "curtailed_wh": "PV energy that the sun offered and nobody had a use or room for",
    "loss_wh": "energy lost in UPS and transformer, in battery and system, and in the converters",
    "stored_wh": "what the batteries hold more at the end than at the begin",
    "given_wh": "energy out of batteries for deals, as counted at the unit that discharged",
    "taken_wh": "energy into batteries by deals, as counted at the unit that charged",
    "shared_wh": "taken_wh of completed deals",
    "exchange_efficiency": "taken_wh / given_wh: battery to battery, both converters included",
    "deals": "deals agreed; completed: with their whole amount; live: under way when the time was over",
    "errors": "errors that units reported; each is a row of the table of errors",
    "points": "price of each deal [points/Wh] times the energy exchanged; who charges pays, who discharges earns",
    "converter_duty": "share of the time in which a unit's converter was switched on for a deal",
}


@dataclass(frozen=True, slots=True)
class UnitFigures:
    """One house over the whole run."""

    unit_id: str
    load_wh: float
    solar_wh: float
    curtailed_wh: float
    bought_wh: float
    loss_wh: float
    given_wh: float
    taken_wh: float
    points_earned: float
    points_paid: float
    deals: int
    converter_duty: float

    @property
    def self_sufficiency(self) -> float | None:
        """See DEFINITIONS; None without any load."""
        return 1 - self.bought_wh / self.load_wh if self.load_wh else None

    @property
    def self_consumption(self) -> float | None:
        """See DEFINITIONS; None without any sun."""
        offered_wh = self.solar_wh + self.curtailed_wh
        return self.solar_wh / offered_wh if offered_wh else None

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        shares = ("self_sufficiency", "self_consumption")
        named = {name: round(getattr(self, name), 4) for name in self.__slots__ if name != "unit_id"}
        return {"unit_id": self.unit_id, **named, **{name: _rounded(getattr(self, name)) for name in shares}}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 5)


def units(result: Result) -> tuple[UnitFigures, ...]:
    """Every house's figures."""
    first, last = result.hours[0], result.hours[-1]
    flows = {name: last.totals_wh[name] - first.totals_wh[name] for name in last.totals_wh}
    seconds = last.elapsed_s - first.elapsed_s
    ended = result.options.start.replace(tzinfo=result.options.zone).astimezone(UTC) + timedelta(seconds=seconds)
    found = []
    for i, unit_id in enumerate(result.options.unit_ids):
        own = [deal for deal in result.deals if unit_id in deal.unit_ids]
        gives = [deal for deal in own if deal.discharge_unit_id == unit_id]
        takes = [deal for deal in own if deal.charge_unit_id == unit_id]
        found.append(
            UnitFigures(
                unit_id,
                load_wh=float(flows["load"][i]),
                solar_wh=float(flows["solar"][i]),
                curtailed_wh=float(flows["curtailed"][i]),
                bought_wh=float(flows["mains"][i]),
                loss_wh=float(flows["ac_loss"][i] + flows["dc_loss"][i]),
                given_wh=sum(deal.side_energy(unit_id).battery_wh for deal in gives),
                taken_wh=sum(deal.side_energy(unit_id).battery_wh for deal in takes),
                points_earned=sum(deal.points() for deal in gives),
                points_paid=sum(deal.points() for deal in takes),
                deals=len(own),
                converter_duty=on_s(own, ended) / seconds if seconds else 0.0,
            )
        )
    return tuple(found)


def on_s(deals: Iterable[Deal], until: datetime) -> float:
    """For how long at least one of the deals had the converter on [s]; those that go on had it on `until` then."""
    spans = sorted(
        (deal.activate_time, deal.deactivate_time or deal.scram_time or deal.abort_time or until)
        for deal in deals
        if deal.activate_time is not None
    )
    total_s, end = 0.0, None
    for begin, over in spans:
        if end is None or begin > end:
            total_s += (over - begin).total_seconds()
            end = over
        elif over > end:
            total_s += (over - end).total_seconds()
            end = over
    return total_s


def community(result: Result) -> dict[str, Any]:
    """The community's figures."""
    figures = units(result)
    total = {
        name: sum(getattr(unit, name) for unit in figures)
        for name in ("load_wh", "solar_wh", "curtailed_wh", "bought_wh", "loss_wh", "given_wh", "taken_wh")
    }
    done = [deal for deal in result.deals if outcome(deal) is Outcome.COMPLETED]
    offered_wh = total["solar_wh"] + total["curtailed_wh"]
    first, last = result.hours[0], result.hours[-1]
    total["stored_wh"] = float((last.energy_wh - first.energy_wh).sum())
    named = shares(
        load_wh=total["load_wh"],
        solar_wh=total["solar_wh"],
        curtailed_wh=total["curtailed_wh"],
        mains_wh=total["bought_wh"],
        stored_wh=total["stored_wh"],
    )
    return {
        **{name: round(value, 3) for name, value in total.items()},
        "shared_wh": round(sum(deal.side_energy(deal.charge_unit_id).battery_wh for deal in done), 3),
        "self_sufficiency": round(1 - total["bought_wh"] / total["load_wh"], 5) if total["load_wh"] else None,
        "self_consumption": round(total["solar_wh"] / offered_wh, 5) if offered_wh else None,
        **named,
        "exchange_efficiency": round(total["taken_wh"] / total["given_wh"], 5) if total["given_wh"] else None,
        "deals": len(result.deals),
        "deals_completed": len(done),
        "deals_live": sum(outcome(deal) is Outcome.LIVE for deal in result.deals),
        "errors": len(result.errors),
    }


def flows_between(result: Result) -> Array:
    """Who gave to whom [Wh at the charging battery]: a row per giver, a column per taker."""
    index = {unit_id: i for i, unit_id in enumerate(result.options.unit_ids)}
    matrix = np.zeros((len(index), len(index)))
    for deal in result.deals:
        matrix[index[deal.discharge_unit_id], index[deal.charge_unit_id]] += deal.side_energy(deal.charge_unit_id).battery_wh
    return matrix
