"""A unit as people see it, put together from what its node knows."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from .model.converter import Meter, Reading
from .model.deal import Deal
from .model.modes import OperationMode
from .model.negotiation import Decline
from .model.scenario import clock_text
from .model.view import UnitView
from .node import Node
from .presets import preset_of
from .rules import demand, edges
from .rules.preview import wish_of
from .rules.slots import promised_wh
from .rules.statement import Totals, of_deal

# A device that was not read for so long does not answer [wall s].
SILENT_S = 60.0


def view_of(node: Node, own: Sequence[Deal], ended: Totals, *, alive: bool, last_error: str, now: datetime) -> UnitView:
    """The unit now: `own` are its deals that have not ended, `ended` the sum of those that have."""
    reading, settings = node.controller.reading, node.settings
    mode = reading.converter.mode if reading is not None else None
    capacity_wh, scenario = settings.hardware.battery_nominal_capacity_wh, settings.scenario
    remaining_wh = None if reading is None else reading.remaining_wh(capacity_wh)
    found = edges.edges(scenario)
    return UnitView(
        unit_id=node.unit_id,
        name=settings.unit_name or node.unit_id,
        alive=alive,
        mode=str(node.mode),
        local_mode=node.local_mode,
        state_of_charge_pct=reading.battery.state_of_charge_pct if reading is not None else None,
        remaining_wh=remaining_wh,
        converter_mode=mode.name if mode is not None else None,
        **_measured(reading),
        capacity_wh=capacity_wh,
        permission=str(reading.battery.permission) if reading is not None else None,
        alarm=reading.converter.alarm_state if reading is not None else None,
        solar_w=_house_w(reading, "pvc_charge_power"),
        load_w=_house_w(reading, "ups_output_power"),
        mains_w=_house_w(reading, "mains_power"),
        active_deals=len(own),
        free_slots=node.free_slots(),
        status=_status(node, remaining_wh, now),
        wish=_wish(node, own, reading, remaining_wh, now),
        last_error=last_error,
        serial_number=settings.serial_number,
        driver=node.capabilities.name,
        is_simulated=node.capabilities.simulated,
        availability=node.health.shares(),
        device_url=node.capabilities.base_url,
        driver_version=node.capabilities.version,
        driver_health=node.health.driver,
        scenario_gap=", ".join(f"{clock_text(start)}-{clock_text(end)}" for start, end in scenario.gaps()),
        next_change=demand.next_change(scenario, now, settings.zone),
        preset=preset_of(scenario, capacity_wh),
        request_below_pct=None if found is None else round(100 * found.request_wh / capacity_wh, 2),
        offer_above_pct=None if found is None else round(100 * found.offer_wh / capacity_wh, 2),
        totals=sum((of_deal(node.unit_id, deal) for deal in own), ended).to_json(),
        is_grid_master=alive and node.role.is_held,
        is_voltage_reference=mode is not None and mode.name == "VOLTAGE_REFERENCE",
        reading_age_s=node.controller.reading_age_s() if reading is not None else None,
        answers=node.clock.to_wall(node.controller.reading_age_s()) < SILENT_S,
        last_decline=node.user.last_decline,
    )


def _measured(reading: Reading | None) -> dict[str, Any]:
    """The meters, which have the same names in both."""
    return asdict(reading.converter.meter if reading is not None else Meter())


def _status(node: Node, remaining_wh: int | None, now: datetime) -> str | None:
    """The scenario's word for the battery."""
    if remaining_wh is None:
        return None
    standing = demand.Standing(node.unit_id, now, node.settings.zone, remaining_wh)
    found = demand.status_at(node.settings.scenario, standing)
    return None if isinstance(found, Decline) else found[1].status


def _wish(node: Node, own: Sequence[Deal], reading: Reading | None, remaining_wh: int | None, now: datetime) -> dict[str, Any] | None:
    """What the unit would ask the others for; nothing where it may not."""
    if reading is None or remaining_wh is None or node.controller.usable_reading() is None:
        return None
    if node.unwilling(OperationMode.AUTONOMOUS) is not None:
        return None
    settings = node.settings
    standing = demand.Standing(
        node.unit_id,
        now,
        settings.zone,
        remaining_wh,
        promised_wh(node.unit_id, own),
        reading.battery.permission,
        reading.converter.meter.battery_voltage_v,
    )
    wanted = demand.request(settings.scenario, standing, settings.policy, settings.hardware)
    return None if isinstance(wanted, Decline) else wish_of(wanted)


def _house_w(reading: Reading | None, key: str) -> float | None:
    """A power that the device knows of the house, if it does."""
    value = None if reading is None else reading.house.get(key)
    return float(value) if isinstance(value, int | float) else None
