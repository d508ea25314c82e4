"""Which accept wins, and what the deal is then."""

from collections.abc import Iterable
from datetime import datetime

from ..model.deal import Deal, Direction, Grant
from ..model.negotiation import Decline, Offer
from ..model.policy import Policy


def choose(wanted: Offer, accepts: Iterable[Offer], strategy: str) -> Offer | None:
    """The best accept for a request, or None.

    `amount`: the largest amount. `pointAndAmount`: the best price that is no worse than the request's, then the largest
    amount; without a price in the request it falls back to `amount`. The first one wins a full tie.
    """
    candidates = [
        offer
        for offer in accepts
        if offer.direction is wanted.direction.opposite
        and offer.amount_wh > 0
        and wanted.pair_unit_id in (None, offer.unit_id)
        and offer.pair_unit_id in (None, wanted.unit_id)
    ]
    if strategy != "pointAndAmount" or wanted.point_per_wh is None:
        return max(candidates, key=lambda offer: offer.amount_wh, default=None)
    # A buyer prefers low prices, a seller high ones.
    better = -1 if wanted.direction is Direction.CHARGE else 1
    limit = better * wanted.point_per_wh
    priced = [
        (better * offer.point_per_wh, offer)
        for offer in candidates
        if offer.point_per_wh is not None and better * offer.point_per_wh >= limit
    ]
    best = max(priced, key=lambda item: (item[0], item[1].amount_wh), default=None)
    return None if best is None else best[1]


def deal_amount_wh(request_wh: int, accept_wh: int, policy: Policy) -> int | None:
    """The amount both can have, in the policy's steps [Wh]; None if that is less than its minimum."""
    amount = min(request_wh, accept_wh, policy.deal_amount_max_wh)
    amount = amount // policy.deal_amount_unit_wh * policy.deal_amount_unit_wh
    return amount if amount > 0 and amount >= policy.deal_amount_min_wh else None


def make_deal(
    wanted: Offer,
    accepted: Offer,
    amount_wh: int,
    *,
    deal_id: str,
    negotiation_id: str,
    create_time: datetime,
    grants: tuple[Grant, ...] = (),
) -> Deal:
    """The deal of a request and an accept. The price is the buyer's, the current the smaller of the two."""
    charging = wanted if wanted.direction is Direction.CHARGE else accepted
    discharging = accepted if charging is wanted else wanted
    return Deal(
        deal_id=deal_id,
        negotiation_id=negotiation_id,
        direction=wanted.direction,
        request_unit_id=wanted.unit_id,
        accept_unit_id=accepted.unit_id,
        charge_unit_id=charging.unit_id,
        discharge_unit_id=discharging.unit_id,
        grid_current_a=min(wanted.grid_current_a, accepted.grid_current_a),
        amount_wh=amount_wh,
        request_time=wanted.time,
        accept_time=accepted.time,
        create_time=create_time,
        request_amount_wh=wanted.amount_wh,
        accept_amount_wh=accepted.amount_wh,
        request_grid_current_a=wanted.grid_current_a,
        accept_grid_current_a=accepted.grid_current_a,
        request_point_per_wh=wanted.point_per_wh,
        accept_point_per_wh=accepted.point_per_wh,
        point_per_wh=charging.point_per_wh,
        request_pair_unit_id=wanted.pair_unit_id,
        accept_pair_unit_id=accepted.pair_unit_id,
        charge_unit_efficient_grid_voltage_v=charging.efficient_grid_voltage_v,
        discharge_unit_efficient_grid_voltage_v=discharging.efficient_grid_voltage_v,
        grants=grants,
    )


def terms(wanted: Offer, accepted: Offer, policy: Policy) -> int | Decline:
    """The amount of the deal these two would make [Wh], or why they make none."""
    amount = deal_amount_wh(wanted.amount_wh, accepted.amount_wh, policy)
    if amount is None:
        least = max(policy.deal_amount_min_wh, policy.deal_amount_unit_wh)
        smaller = min(wanted.amount_wh, accepted.amount_wh)
        return Decline(accepted.unit_id, f"{smaller} Wh gives no deal of at least {least} Wh")
    return amount
