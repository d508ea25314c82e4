"""The Grid Master's watch over the whole line: what flows in must flow out, and no branch carries too much."""

from collections.abc import Iterator, Mapping

from ..model.converter import Converter, ConverterMode
from ..model.deal import Deal
from ..model.policy import Policy
from .findings import Finding


def check(deals: tuple[Deal, ...], converters: Mapping[str, Converter], policy: Policy) -> tuple[Finding, ...]:
    """Everything out of order on the line (behaviour reference 4.12).

    `converters` are complete, fresh readings taken after the last change of current; without that no check is possible
    and the caller says so instead.
    """
    return (*_leak(deals, converters, policy), *_branches(converters, policy))


def units_of_running_deals(deals: tuple[Deal, ...]) -> tuple[str, ...]:
    """Each unit that exchanges energy now, once."""
    return tuple(sorted({unit for deal in deals if deal.is_running for unit in deal.unit_ids}))


def _leak(deals: tuple[Deal, ...], converters: Mapping[str, Converter], policy: Policy) -> Iterator[Finding]:
    on = {unit for unit, converter in converters.items() if converter.mode is not ConverterMode.WAIT}
    units = sorted({*units_of_running_deals(deals), *on})
    total_a = sum(_current_a(converters, unit) for unit in units)
    allowance_a = policy.leak_allowance_per_unit_a * len(units)
    if abs(total_a) > allowance_a:
        yield Finding("leak", f"the currents of {', '.join(units)} sum to {total_a:.3f} A, allowed are {allowance_a:g} A", twice=True)


def _branches(converters: Mapping[str, Converter], policy: Policy) -> Iterator[Finding]:
    for branch_id, branch in policy.branches.items():
        for end, members in (("forward", branch.forward_unit_ids), ("backward", branch.backward_unit_ids)):
            total_a = sum(_current_a(converters, unit) for unit in members)
            if abs(total_a) > branch.current_capacity_a:
                yield Finding(
                    f"branch {branch_id} {end}",
                    f"branch {branch_id} carries {total_a:.3f} A at its {end} end, allowed are {branch.current_capacity_a:g} A",
                )


def _current_a(converters: Mapping[str, Converter], unit_id: str) -> float:
    converter = converters.get(unit_id)
    return (converter.meter.grid_current_a if converter is not None else None) or 0.0
