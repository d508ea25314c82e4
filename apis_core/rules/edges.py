"""The two figures by which most people think of a scenario: ask for energy below so much, offer it above so much.

A scenario has them if in each of its time bands the statuses that ask to charge are the lowest ones, those that offer to
discharge the highest ones, with something in between, and if they are the same in all time bands.
"""

from dataclasses import dataclass, replace

from ..model.deal import Direction
from ..model.errors import CommandRefusedError
from ..model.scenario import BatteryBand, Condition, Scenario, TimeBand


@dataclass(frozen=True, slots=True)
class Edges:
    """Below `request_wh` the unit asks for energy, from `offer_wh` on it offers it [Wh]."""

    request_wh: float
    offer_wh: float


def edges(scenario: Scenario) -> Edges | None:
    """A scenario's two edges, or None if it cannot be said so."""
    found = {_edges_of(band) for band in scenario.bands}
    return found.pop() if len(found) == 1 else None


def _edges_of(band: TimeBand) -> Edges | None:
    bands = sorted(band.battery_bands, key=_lower)
    wishes = [set(band.requests.get(each.status, {})) for each in bands]
    asking = sum(1 for wish in wishes if wish == {Direction.CHARGE})
    giving = sum(1 for wish in wishes if wish == {Direction.DISCHARGE})
    in_order = [{Direction.CHARGE}] * asking + [set()] * (len(bands) - asking - giving) + [{Direction.DISCHARGE}] * giving
    if not asking or not giving or wishes != in_order or asking + giving == len(bands):
        return None
    request_wh, offer_wh = bands[asking - 1].upper_wh, bands[len(bands) - giving].lower_wh
    return None if request_wh is None or offer_wh is None else Edges(request_wh, offer_wh)


def moved(scenario: Scenario, wanted: Edges) -> Scenario:
    """The scenario with its edges elsewhere: the bands that meet there, and the limits that were equal to them, move along.

    The edges between the two keep their share of the room there is: what is moved back is as it was.

    Raises:
        CommandRefusedError: if the scenario has no such edges, or the new ones leave a band no room.

    """
    present = edges(scenario)
    if present is None:
        raise CommandRefusedError("this scenario cannot be said in two figures: edit it as a whole")
    if not wanted.request_wh < wanted.offer_wh:
        raise CommandRefusedError(f"asking below {wanted.request_wh:g} Wh: expected less than offering above {wanted.offer_wh:g} Wh")
    stretch = (wanted.offer_wh - wanted.request_wh) / (present.offer_wh - present.request_wh)
    inner = {edge_wh for band in scenario.bands for each in band.battery_bands for edge_wh in (each.lower_wh, each.upper_wh)}
    shift: dict[float, float] = {
        edge_wh: round(wanted.request_wh + stretch * (edge_wh - present.request_wh))
        for edge_wh in inner
        if edge_wh is not None and present.request_wh < edge_wh < present.offer_wh
    }
    shift |= {present.request_wh: wanted.request_wh, present.offer_wh: wanted.offer_wh}
    return replace(scenario, bands=tuple(_moved(band, shift) for band in scenario.bands))


def _moved(band: TimeBand, shift: dict[float, float]) -> TimeBand:
    def at(edge_wh: float | None) -> float | None:
        return None if edge_wh is None else shift.get(edge_wh, edge_wh)

    def terms(by_status: dict[str, dict[Direction, Condition]]) -> dict[str, dict[Direction, Condition]]:
        return {
            status: {
                direction: replace(condition, limit_wh=round(shift.get(condition.limit_wh, condition.limit_wh)))
                for direction, condition in wanted.items()
            }
            for status, wanted in by_status.items()
        }

    bands = tuple(BatteryBand(at(each.lower_wh), at(each.upper_wh), each.status) for each in band.battery_bands)
    for each in bands:
        if each.lower_wh is not None and each.upper_wh is not None and each.lower_wh >= each.upper_wh:
            raise CommandRefusedError(f"status {each.status}: found {each.lower_wh:g} to {each.upper_wh:g} Wh, expected room between them")
    return replace(band, battery_bands=bands, requests=terms(band.requests), accepts=terms(band.accepts))


def _lower(band: BatteryBand) -> float:
    return float("-inf") if band.lower_wh is None else band.lower_wh
