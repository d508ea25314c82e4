"""What a unit would do with a scenario: now, and at each hour of today as long as its battery stays as it is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..model.deal import Direction
from ..model.hardware import Hardware
from ..model.negotiation import Decline, Offer
from ..model.policy import Policy
from ..model.scenario import Scenario
from . import demand
from .demand import Standing


def preview(scenario: Scenario, standing: Standing, policy: Policy, hardware: Hardware) -> dict[str, Any]:
    """`now` and `hours` (one for each hour of the local day): status, what is asked for, what is accepted, or why nothing is."""
    local = standing.time.astimezone(standing.zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    hours = []
    for hour in range(24):
        then = replace(standing, time=midnight + timedelta(hours=hour))
        hours.append({"hour": hour, **_moment(scenario, then, policy, hardware)})
    return {"now": _moment(scenario, standing, policy, hardware), "hours": hours}


def _moment(scenario: Scenario, standing: Standing, policy: Policy, hardware: Hardware) -> dict[str, Any]:
    status = demand.status_at(scenario, standing)
    if isinstance(status, Decline):
        return {"status": None, "request": None, "accept": [], "reason": status.reason}
    wanted = demand.request(scenario, standing, policy, hardware)
    accepted = []
    for direction in Direction:
        # What another unit's request for the opposite would be answered with.
        asked = Offer("", direction.opposite, policy.deal_amount_max_wh, standing.time, policy.deal_grid_current_a)
        answer = demand.accept(asked, scenario, standing, policy, hardware)
        if isinstance(answer, Offer):
            accepted.append(wish_of(answer))
    return {
        "status": status[1].status,
        "request": None if isinstance(wanted, Decline) else wish_of(wanted),
        "accept": accepted,
        "reason": wanted.reason if isinstance(wanted, Decline) else "",
    }


def wish_of(offer: Offer) -> dict[str, Any]:
    """An offer as faces show it."""
    return {"direction": str(offer.direction), "amountWh": offer.amount_wh, "pointPerWh": offer.point_per_wh}
