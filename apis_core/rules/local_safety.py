"""A unit's watch over its own converter: static ranges, mode against deals, set-points against meters."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..model.converter import AlarmState, Converter, ConverterMode
from ..model.deal import Deal
from ..model.errors import Category
from ..model.hardware import RANGES, Hardware
from ..model.modes import OperationMode
from ..model.policy import Policy
from .findings import Finding

METERS = {
    "tmp": ("temperature_c", "°C"),
    "vg": ("grid_voltage_v", "V"),
    "vb": ("battery_voltage_v", "V"),
    "ig": ("grid_current_a", "A"),
    "ib": ("battery_current_a", "A"),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a unit's reading is judged against. `suspended`: a command is changing the set-points right now."""

    unit_id: str
    deals: tuple[Deal, ...]
    mode: OperationMode
    policy: Policy
    hardware: Hardware
    suspended: bool = False


def check(converter: Converter, around: Surroundings) -> tuple[Finding, ...]:
    """Everything out of order in one reading (behaviour reference 5.6)."""
    own = tuple(deal for deal in around.deals if around.unit_id in deal.unit_ids and not deal.is_ended)
    findings = [*_device(converter), *_static(converter, around.hardware)]
    if around.mode is not OperationMode.MANUAL:
        findings += [*_mode_against_deals(converter, own, around)]
        if not around.suspended:
            findings += [*_dynamic(converter, around)]
    return tuple(findings)


def _device(converter: Converter) -> Iterator[Finding]:
    if converter.alarm_state == AlarmState.HEAVY:
        yield Finding("alarm", "the converter reports a heavy alarm", hard=True)
    if converter.mode is None:
        yield Finding("mode", f"the converter's mode is {converter.mode_code!r}, expected one of the four")
    elif converter.operation_mode != converter.mode.operation_mode:
        yield Finding(
            "mode", f"the converter says {converter.operation_mode!r} in mode {converter.mode}, expected {converter.mode.operation_mode!r}"
        )


def _static(converter: Converter, hardware: Hardware) -> Iterator[Finding]:
    for key, (name, unit) in METERS.items():
        value = getattr(converter.meter, name)
        span = getattr(hardware, RANGES[key])
        if value is None:
            yield Finding(key, f"{name} is missing")
        elif not span.low <= value <= span.high:
            yield Finding(key, f"{name} is {value:g} {unit}, expected {span.low:g} to {span.high:g} {unit}", hard=True)


def _mode_against_deals(converter: Converter, own: tuple[Deal, ...], around: Surroundings) -> Iterator[Finding]:
    mode = converter.mode
    if mode is None:
        return
    active = [deal for deal in own if deal.is_active]
    if mode is not ConverterMode.WAIT and not own:
        yield Finding("no deal", f"the converter is in {mode.name} without a deal", twice=True)
        return
    sides = {deal.side_of(around.unit_id) for deal in active}
    if len(sides) > 1:
        yield Finding("sides", "running deals put the unit on both sides", Category.LOGIC, twice=True)
    elif not around.suspended:
        yield from _mode_for_side(mode, active, around)


def _mode_for_side(mode: ConverterMode, active: list[Deal], around: Surroundings) -> Iterator[Finding]:
    side = active[0].side_of(around.unit_id) if active else None
    allowed = {ConverterMode.WAIT} if side is None else {ConverterMode.VOLTAGE_REFERENCE, side.current_mode}
    if not any(deal.is_running for deal in active):
        allowed.add(ConverterMode.WAIT)
    if mode not in allowed:
        names = " or ".join(sorted(m.name for m in allowed))
        yield Finding("mode for deals", f"the converter is in {mode.name}, its deals need {names}", twice=True)


def _dynamic(converter: Converter, around: Surroundings) -> Iterator[Finding]:
    meter, policy = converter.meter, around.policy
    voltage_v, current_a = meter.grid_voltage_v, meter.grid_current_a
    set_a, set_v = converter.current_limit_a, converter.target_voltage_v
    if set_a is None or set_v is None:
        yield Finding("set-points", "the converter does not say its set-points", twice=True)
        return
    if voltage_v is None or current_a is None:
        return
    allowance_a = around.hardware.grid_current_allowance_a
    expected_a = {ConverterMode.WAIT: 0.0, ConverterMode.CHARGE: set_a, ConverterMode.DISCHARGE: -set_a}
    mode = converter.mode
    if mode in expected_a and abs(current_a - expected_a[mode]) > allowance_a:
        yield Finding(
            "current", f"grid current is {current_a:g} A in {mode.name}, expected {expected_a[mode]:g} +- {allowance_a:g} A", twice=True
        )
    if mode is ConverterMode.VOLTAGE_REFERENCE and abs(voltage_v - set_v) > policy.grid_voltage_allowance_v:
        yield Finding("voltage", f"line voltage is {voltage_v:g} V, held at {set_v:g} +- {policy.grid_voltage_allowance_v:g} V", twice=True)
    low, high = policy.operation_grid_voltage_min_v, policy.operation_grid_voltage_max_v
    if mode is not None and mode.is_current_mode and not low <= voltage_v <= high:
        yield Finding("line", f"line voltage is {voltage_v:g} V, expected {low:g} to {high:g} V", twice=True)


def current_mode_alone(converter: Converter, policy: Policy, hardware: Hardware, *, changing: bool) -> str | None:
    """Why a converter in a current mode must leave the line by itself, or None.

    Without a reference the line leaves its window: a charging converter pulls it down, a discharging one pushes it to its
    own limit, which is the window's upper end. `changing`: the set-points are being changed, only the window counts.
    """
    mode, meter, set_a = converter.mode, converter.meter, converter.current_limit_a
    if mode is None or not mode.is_current_mode:
        return None
    low_v, high_v = policy.operation_grid_voltage_min_v, policy.operation_grid_voltage_max_v - policy.grid_voltage_allowance_v
    if meter.grid_voltage_v is not None and not low_v <= meter.grid_voltage_v <= high_v:
        return f"line voltage is {meter.grid_voltage_v:g} V, expected {low_v:g} to {high_v:g} V"
    if changing or set_a is None or meter.grid_current_a is None:
        return None
    expected_a = set_a if mode is ConverterMode.CHARGE else -set_a
    if abs(meter.grid_current_a - expected_a) > hardware.grid_current_allowance_a:
        return f"grid current is {meter.grid_current_a:g} A, expected {expected_a:g} +- {hardware.grid_current_allowance_a:g} A"
    return None


def own_deals(unit_id: str, deals: Iterable[Deal]) -> tuple[Deal, ...]:
    """The unit's deals that have not ended."""
    return tuple(deal for deal in deals if unit_id in deal.unit_ids and not deal.is_ended)
