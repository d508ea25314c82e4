"""In which order a person may switch the converters of a line: who holds its voltage comes first and leaves last."""

from collections.abc import Mapping

from ..model.converter import Converter, ConverterMode
from ..model.modes import Command, CommandKind
from ..model.policy import Policy


def refusal(unit_id: str, command: Command, converters: Mapping[str, Converter], policy: Policy) -> str | None:
    """Why this command may not be carried out now, or None; `converters` are those of the whole line as last read."""
    others = {other: converter for other, converter in converters.items() if other != unit_id}
    references = sorted(other for other, converter in others.items() if converter.mode is ConverterMode.VOLTAGE_REFERENCE)
    carrying = sorted(other for other, converter in others.items() if converter.mode is not None and converter.mode.is_current_mode)
    own = converters.get(unit_id)
    match command.kind:
        case CommandKind.CHARGE | CommandKind.DISCHARGE:
            if not references:
                return "no converter holds the line's voltage: switch one to voltage reference first"
            line_v = own.meter.grid_voltage_v if own is not None else None
            if line_v is None or not policy.operation_grid_voltage_min_v <= line_v <= policy.operation_grid_voltage_max_v:
                found = "nothing" if line_v is None else f"{line_v:g} V"
                expected = f"{policy.operation_grid_voltage_min_v:g} to {policy.operation_grid_voltage_max_v:g} V"
                return f"line voltage: found {found}, expected {expected} before current flows"
        case CommandKind.VOLTAGE_REFERENCE:
            if references:
                return f"{references[0]} holds the line's voltage already"
            return _too_little(command, {other: converters[other] for other in carrying})
        case CommandKind.WAIT if own is not None and own.mode is ConverterMode.VOLTAGE_REFERENCE and carrying:
            return f"{', '.join(carrying)} would lose the line's voltage: put them to wait first"
        case _:
            pass
    return None


def _too_little(command: Command, carrying: Mapping[str, Converter]) -> str | None:
    """A reference carries what the others give or take on balance."""
    currents_a = [converter.meter.grid_current_a or 0.0 for converter in carrying.values()]
    if command.grid_current_a is None or not carrying or command.grid_current_a >= abs(sum(currents_a)):
        return None
    return f"current limit: found {command.grid_current_a:g} A, expected at least the {abs(sum(currents_a)):g} A that {', '.join(carrying)} carry"
