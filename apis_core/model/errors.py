"""One small tree of errors; each message names the place, what was found and what was expected."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ApisError(Exception):
    """Anything this suite raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file, a message or a request."""

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.where}: found {self.found}, expected {self.expected}"


class ConfigError(ApisError):
    """A configuration that cannot be used; nothing of it was applied."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep every problem, not just the first."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class MessageError(ApisError):
    """A message or record that does not have the form it must have."""


class DriverError(ApisError):
    """The device did not do or did not say what was asked of it."""


class UnknownAnswerError(DriverError):
    """The device was reached, and gave another answer than was asked for."""


class ClusterError(ApisError):
    """The cluster could not carry out what was asked."""


class StandstillError(ApisError):
    """The same happens over and over at one moment of virtual time."""


class NoAnswerError(ClusterError):
    """A unit is not there or did not answer before the deadline."""


class NotReadError(NoAnswerError):
    """A unit gave no fresh reading: what was ordered has been carried out, what comes next has not been ordered."""


class StoreConflictError(ClusterError):
    """The stored value is not the one the caller has seen: read again and decide again."""


class LedgerError(ApisError):
    """The ledger could not make something durable."""


class CommandRefusedError(ApisError):
    """A unit or the community refused a command; the reason is for people."""


class NotPairedError(ApisError):
    """A node on another machine does not know who asks: it has to be paired with, or was, and that was taken back."""


class Category(StrEnum):
    """Where an error comes from (behaviour of the original, error taxonomy)."""

    HARDWARE = "HARDWARE"
    FRAMEWORK = "FRAMEWORK"
    LOGIC = "LOGIC"
    USER = "USER"
    UNKNOWN = "UNKNOWN"


class Extent(StrEnum):
    """Whom an error concerns: one unit or the whole community."""

    LOCAL = "LOCAL"
    GLOBAL = "GLOBAL"
    UNKNOWN = "UNKNOWN"


class Level(StrEnum):
    """How bad an error is."""

    WARN = "WARN"
    ERROR = "ERROR"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An error as it is recorded and told to people; `unit_id` is whom it concerns."""

    unit_id: str
    category: Category
    extent: Extent
    level: Level
    message: str

    def to_json(self) -> dict[str, Any]:
        """The original's record."""
        return {
            "unitId": self.unit_id,
            "category": self.category,
            "extent": self.extent,
            "level": self.level,
            "message": self.message,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ErrorReport:
        """Read the original's record; unknown words become UNKNOWN.

        Raises:
            MessageError: if a field is missing.

        """

        def word[E: StrEnum](kind: type[E], text: object) -> E:
            return kind(str(text)) if text in list(kind) else kind("UNKNOWN")

        try:
            return cls(
                str(data["unitId"]),
                word(Category, data["category"]),
                word(Extent, data["extent"]),
                word(Level, data["level"]),
                str(data["message"]),
            )
        except (KeyError, TypeError) as error:
            raise MessageError(f"error report: {error!r}, expected unitId, category, extent, level, message") from None

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.category}:{self.extent}:{self.level} {self.unit_id}: {self.message}"
