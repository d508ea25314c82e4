"""A command as the writes and checks a converter goes through (behaviour reference 5.3, order of 3.4 in the hardware's).

The plan is made from the converter as last seen; the controller only carries it out. Current and voltage move in steps,
and after the last step the meter must show the set value (a checkpoint).
"""

from dataclasses import dataclass
from decimal import Decimal
import random

from ..model.converter import Converter, ConverterMode
from ..model.errors import CommandRefusedError
from ..model.hardware import Hardware
from ..model.modes import Command, CommandKind
from ..model.policy import Policy
from .authorisation import candidate_voltages_v
from .slots import exact


@dataclass(frozen=True, slots=True)
class SetMode:
    """Set mode, voltage [V], current limit [A] and droop at once; the answer must show the mode."""

    mode: ConverterMode
    voltage_v: float
    current_a: float
    droop_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class SetVoltage:
    """Set the voltage [V] and droop."""

    voltage_v: float
    droop_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class SetCurrent:
    """Set the current limit [A]."""

    current_a: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The meter must show this voltage [V] or current magnitude [A] within its allowance.

    `binding`: a miss ends the command. Otherwise the miss is recorded and the sequence goes on: wait is always sent.
    """

    voltage_v: float | None = None
    current_a: float | None = None
    binding: bool = True


type Action = SetMode | SetVoltage | SetCurrent | Checkpoint


def plan(command: Command, converter: Converter, policy: Policy, hardware: Hardware, rng: random.Random) -> tuple[Action, ...]:
    """The actions of a command.

    Raises:
        CommandRefusedError: for a current outside the converter's capacity, or a reading the command needs but lacks.

    """
    if command.grid_current_a is not None and not 0 <= command.grid_current_a <= hardware.grid_current_capacity_a:
        raise CommandRefusedError(f"{command.kind}: found {command.grid_current_a} A, expected 0 to {hardware.grid_current_capacity_a} A")
    match command.kind:
        case CommandKind.WAIT:
            return _wait(converter, policy, hardware)
        case CommandKind.SCRAM:
            # Mode first: an emergency has no time for steps.
            return (SetMode(ConverterMode.WAIT, policy.operation_grid_voltage_v, 0.0),)
        case CommandKind.VOLTAGE_REFERENCE:
            return (SetMode(ConverterMode.VOLTAGE_REFERENCE, policy.operation_grid_voltage_v, hardware.grid_current_capacity_a),)
        case CommandKind.CHARGE:
            return _start(ConverterMode.CHARGE, policy.operation_grid_voltage_v, _current(command), policy)
        case CommandKind.DISCHARGE:
            return _start(ConverterMode.DISCHARGE, policy.operation_grid_voltage_max_v, _current(command), policy)
        case CommandKind.CURRENT:
            return _current_steps(_known_current_a(converter, hardware), _current(command), policy)
        case CommandKind.VOLTAGE:
            target_v = _held_v(_needed(command.grid_voltage_v, "gridVoltageV"), policy)
            return _voltage_steps(_target_v(converter, policy), target_v, policy)
        case CommandKind.AUTHORISE:
            return _authorise(_target_v(converter, policy), policy, rng)
        case CommandKind.WILL_HAND_OVER:
            return (SetVoltage(_target_v(converter, policy), hardware.droop_ratio),)
        case CommandKind.WILL_TAKE_OVER:
            voltage_v = command.grid_voltage_v
            if voltage_v is None:
                voltage_v = _known(converter.meter.grid_voltage_v, "vg")
            voltage_v = _held_v(voltage_v, policy)
            return (SetMode(ConverterMode.VOLTAGE_REFERENCE, voltage_v, hardware.grid_current_capacity_a, hardware.droop_ratio),)
        case CommandKind.DID_HAND_OVER:
            return _after_hand_over(command, converter, policy, hardware)
        case CommandKind.DID_TAKE_OVER:
            return (SetVoltage(_target_v(converter, policy)),)


def stepped(start: float, target: float, step: float) -> tuple[float, ...]:
    """The values from `start` (excluded) to `target` (included), at most `step` apart, without binary remainders."""
    now, goal, size = exact(start), exact(target), exact(step)
    values: list[Decimal] = []
    while abs(goal - now) > size:
        now += size if goal > now else -size
        values.append(now)
    return (*(float(value) for value in values), float(goal))


def _current_steps(start_a: float, target_a: float, policy: Policy, *, binding: bool = True) -> tuple[Action, ...]:
    sets = tuple(SetCurrent(value) for value in stepped(start_a, target_a, policy.grid_current_step_a))
    return (*sets, Checkpoint(current_a=target_a, binding=binding))


def _voltage_steps(start_v: float, target_v: float, policy: Policy, *, binding: bool = True) -> tuple[Action, ...]:
    sets = tuple(SetVoltage(value) for value in stepped(start_v, target_v, policy.grid_voltage_step_v))
    return (*sets, Checkpoint(voltage_v=target_v, binding=binding))


def _wait(converter: Converter, policy: Policy, hardware: Hardware) -> tuple[Action, ...]:
    """Step down first, then wait in any case: a converter that does not follow its steps is the one to switch off.

    From where it may have been at most: a reading that cannot be must not make it step up first.
    """
    off = SetMode(ConverterMode.WAIT, policy.operation_grid_voltage_v, 0.0)
    match converter.mode:
        case ConverterMode.VOLTAGE_REFERENCE if converter.target_voltage_v is not None:
            low_v = policy.operation_grid_voltage_min_v + policy.grid_voltage_separation_v
            start_v = min(max(converter.target_voltage_v, low_v), policy.operation_grid_voltage_max_v)
            return (*_voltage_steps(start_v, low_v, policy, binding=False), off)
        case ConverterMode.CHARGE | ConverterMode.DISCHARGE if converter.current_limit_a is not None:
            return (*_current_steps(_known_current_a(converter, hardware), 0.0, policy, binding=False), off)
        case _:
            return (off,)


def _start(mode: ConverterMode, voltage_v: float, current_a: float, policy: Policy) -> tuple[Action, ...]:
    if current_a < policy.grid_current_step_a:
        return (SetMode(mode, voltage_v, current_a), Checkpoint(current_a=current_a))
    first = policy.grid_current_step_a
    return (SetMode(mode, voltage_v, first), *_current_steps(first, current_a, policy))


def _authorise(present_v: float, policy: Policy, rng: random.Random) -> tuple[Action, ...]:
    candidates = candidate_voltages_v(policy, present_v)
    if not candidates:
        raise CommandRefusedError(f"no voltage to prove the reference with beside {present_v:g} V")
    actions: list[Action] = []
    last_v = present_v
    for _ in range(policy.authorisation_trials):
        target_v = rng.choice(candidates)
        actions += _voltage_steps(last_v, target_v, policy)
        last_v = target_v
    return (*actions, *_voltage_steps(last_v, present_v, policy))


def _after_hand_over(command: Command, converter: Converter, policy: Policy, hardware: Hardware) -> tuple[Action, ...]:
    match command.mode:
        case ConverterMode.CHARGE:
            return (SetMode(ConverterMode.CHARGE, policy.operation_grid_voltage_v, _current(command)),)
        case ConverterMode.DISCHARGE:
            return (SetMode(ConverterMode.DISCHARGE, policy.operation_grid_voltage_max_v, _current(command)),)
        case _:
            # While two converters hold the line the old one's meter tells nothing: the steps are not waited on.
            *steps, _ = _current_steps(_known_current_a(converter, hardware), 0.0, policy)
            return (*steps, SetMode(ConverterMode.WAIT, policy.operation_grid_voltage_v, 0.0))


def _current(command: Command) -> float:
    return _needed(command.grid_current_a, "gridCurrentA")


def _needed(value: float | None, name: str) -> float:
    if value is None:
        raise CommandRefusedError(f"parameter {name}: found nothing, expected a number")
    return value


def _known(value: float | None, name: str) -> float:
    if value is None:
        raise CommandRefusedError(f"the converter has not said its {name}")
    return value


def _known_current_a(converter: Converter, hardware: Hardware) -> float:
    """Where steps of the current begin: what the converter says of its limit, and never more than it can carry [A]."""
    return min(max(0.0, _known(converter.current_limit_a, "dig")), hardware.grid_current_capacity_a)


def _target_v(converter: Converter, policy: Policy) -> float:
    """The voltage that the converter says it holds, if a line can be held at it [V]."""
    return _held_v(_known(converter.target_voltage_v, "dvg"), policy)


def _held_v(voltage_v: float, policy: Policy) -> float:
    """A voltage that a reference is about to be set to, as measured or as told [V].

    Raises:
        CommandRefusedError: if it is outside the line's window: a reading that cannot be would pull a live line down.

    """
    allowance_v = policy.grid_voltage_allowance_v
    low_v, high_v = policy.operation_grid_voltage_min_v - allowance_v, policy.operation_grid_voltage_max_v + allowance_v
    if not low_v <= voltage_v <= high_v:
        raise CommandRefusedError(f"line voltage: found {voltage_v:g} V, expected {low_v:g} to {high_v:g} V")
    return voltage_v
