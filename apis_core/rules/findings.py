"""What a safety check finds, and the memory that turns a second finding in a row into an error."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..model.errors import Category, ErrorReport, Extent, Level


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing out of order.

    `twice`: the first time only warns, the second time in a row is an error. `hard`: the unit stops at once, without
    waiting for its deals to be ended in order.
    """

    key: str
    message: str
    category: Category = Category.HARDWARE
    twice: bool = False
    hard: bool = False


def judged(
    findings: Iterable[Finding], strikes: frozenset[str], unit_id: str, extent: Extent
) -> tuple[tuple[ErrorReport, ...], frozenset[str]]:
    """The reports the findings make, and the strikes to remember for the next check. A good check clears the memory."""
    reports, remembered = [], set()
    for finding in findings:
        level = Level.ERROR
        if finding.twice:
            remembered.add(finding.key)
            level = Level.ERROR if finding.key in strikes else Level.WARN
        reports.append(ErrorReport(unit_id, finding.category, extent, level, finding.message))
    return tuple(reports), frozenset(remembered)
