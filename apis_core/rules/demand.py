"""What a unit asks for, and what it accepts: its battery against its scenario."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from ..model.converter import Permission
from ..model.deal import Direction
from ..model.hardware import Hardware
from ..model.negotiation import Decline, Offer
from ..model.policy import Policy
from ..model.scenario import DAY_S, BatteryBand, Condition, Scenario, TimeBand


@dataclass(frozen=True, slots=True)
class Standing:
    """A unit's present position: what its battery holds and will hold, and what its device allows.

    `promised_wh` is what agreed deals will still bring (positive) or take (negative) [Wh].
    """

    unit_id: str
    time: datetime
    zone: tzinfo
    remaining_wh: int
    promised_wh: float = 0.0
    permission: Permission = Permission.ALLOWED
    battery_voltage_v: float | None = None

    @property
    def expected_wh(self) -> float:
        """Energy in the battery once what is promised has been exchanged [Wh]."""
        return self.remaining_wh + self.promised_wh


def status_at(scenario: Scenario, standing: Standing) -> tuple[TimeBand, BatteryBand] | Decline:
    """The time band and battery band that hold now, or why there is none."""
    local = standing.time.astimezone(standing.zone)
    band = scenario.band_at(local.time())
    if band is None:
        return Decline(standing.unit_id, f"the scenario has no time band at {local:%H:%M:%S}")
    expected_wh = max(0.0, standing.expected_wh)
    battery = next((b for b in band.battery_bands if b.contains(expected_wh)), None)
    if battery is None:
        return Decline(standing.unit_id, f"the scenario has no battery range for {expected_wh:g} Wh")
    return band, battery


def amount_wh(direction: Direction, condition: Condition, standing: Standing) -> int:
    """How much the unit would exchange to reach its limit [Wh]; zero or negative is nothing."""
    distance = condition.limit_wh - standing.expected_wh
    return int(distance if direction is Direction.CHARGE else -distance)


def edges_wh(scenario: Scenario, policy: Policy) -> tuple[float, ...]:
    """The energies at which the unit's answer may change [Wh], in order: bands' limits, and where an amount becomes worth a deal."""
    found: set[float] = set()
    for band in scenario.bands:
        for battery in band.battery_bands:
            found |= {edge for edge in (battery.lower_wh, battery.upper_wh) if edge is not None}
        for wanted in (*band.requests.values(), *band.accepts.values()):
            for direction, condition in wanted.items():
                sign = -1 if direction is Direction.CHARGE else 1
                found.add(condition.limit_wh + sign * (policy.deal_amount_min_wh + 1))
    return tuple(sorted(found))


def next_change(scenario: Scenario, now: datetime, zone: tzinfo) -> datetime | None:
    """When another of the scenario's time bands begins or the present one ends, by the unit's local clock; None if one holds for good.

    On days on which clocks change, the local time counts.
    """
    local = now.astimezone(zone)
    present = scenario.band_at(local.time())
    edges_s = sorted({second % DAY_S for band in scenario.bands for span in band.spans for second in span})
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(2):
        for edge_s in edges_s:
            moment = (midnight + timedelta(days=day)).replace(hour=edge_s // 3600, minute=edge_s // 60 % 60, second=edge_s % 60)
            if moment > local and scenario.band_at(moment.time()) is not present:
                return moment.astimezone(UTC)
    return None


def request(scenario: Scenario, standing: Standing, policy: Policy, hardware: Hardware) -> Offer | Decline:
    """What the unit asks the community for, or why it asks nothing. If it could do both, charging comes first."""
    status = status_at(scenario, standing)
    if isinstance(status, Decline):
        return status
    band, battery = status
    for direction, condition in sorted(band.requests.get(battery.status, {}).items()):
        return _offer(direction, condition, standing, policy, hardware)
    return Decline(standing.unit_id, f"status {battery.status} asks for nothing")


def accept(wanted: Offer, scenario: Scenario, standing: Standing, policy: Policy, hardware: Hardware) -> Offer | Decline:
    """What the unit offers in answer to another unit's request, or why it does not. The request's amount is no limit."""
    if wanted.pair_unit_id not in (None, standing.unit_id):
        return Decline(standing.unit_id, f"the request is for {wanted.pair_unit_id} only")
    offer = acceptance(wanted.direction.opposite, scenario, standing, policy, hardware)
    if isinstance(offer, Offer) and offer.pair_unit_id not in (None, wanted.unit_id):
        return Decline(standing.unit_id, f"accepts from {offer.pair_unit_id} only")
    return offer


def acceptance(direction: Direction, scenario: Scenario, standing: Standing, policy: Policy, hardware: Hardware) -> Offer | Decline:
    """What the unit accepts to charge or discharge, or why it does not; from its offer's pair only, if that names one."""
    status = status_at(scenario, standing)
    if isinstance(status, Decline):
        return status
    band, battery = status
    condition = band.accepts.get(battery.status, {}).get(direction)
    if condition is None:
        return Decline(standing.unit_id, f"status {battery.status} does not accept to {direction}")
    return _offer(direction, condition, standing, policy, hardware)


def _offer(direction: Direction, condition: Condition, standing: Standing, policy: Policy, hardware: Hardware) -> Offer | Decline:
    amount = amount_wh(direction, condition, standing)
    if amount <= 0:
        return Decline(standing.unit_id, f"nothing to {direction}: {standing.expected_wh:g} Wh, limit {condition.limit_wh} Wh")
    # Strictly more than the minimum, as the original has it; a deal itself may equal the minimum.
    if amount <= policy.deal_amount_min_wh:
        return Decline(standing.unit_id, f"{amount} Wh is not more than the least amount {policy.deal_amount_min_wh} Wh")
    if not standing.permission.allows(charging=direction is Direction.CHARGE):
        return Decline(standing.unit_id, f"the battery's permission is {standing.permission}")
    ratio, voltage_v = hardware.efficient_battery_grid_voltage_ratio, standing.battery_voltage_v
    return Offer(
        unit_id=standing.unit_id,
        direction=direction,
        amount_wh=amount,
        time=standing.time,
        grid_current_a=policy.deal_grid_current_a,
        point_per_wh=condition.point_per_wh,
        pair_unit_id=condition.pair_unit_id,
        efficient_grid_voltage_v=None if ratio is None or voltage_v is None else ratio * voltage_v,
    )
