"""Configuration files as tables of keys: one row says where a value stands, what it must be, and what it is called inside.

From the table come the check (every problem with its place), the typed values, and the file written back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import difflib
import re
from typing import Any

import probatio

from .errors import ConfigError, Problem

REQUIRED = object()
# No quantity of a house is near it; anything above is a slip, and no float could hold some of them.
LARGEST = 1e15
type Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """A key that is understood but not used, and what happens instead; or a warning about something allowed but odd."""

    where: str
    message: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Key:
    """One value of a file: dotted `path` there, attribute `name` inside, `check`, and the default if it may be absent.

    `scale` divides the file's number on the way in (1000 for milliseconds to seconds). `unused` says what happens
    instead of what the original did with it.
    """

    path: str
    name: str
    check: Check
    default: Any = REQUIRED
    scale: float = 1
    unused: str = ""


def number(*, at_least: float | None = None, above: float | None = None, at_most: float | None = None) -> Check:
    """A number within limits; its sentence names them."""
    parts = [text for limit, text in ((at_least, f">= {at_least}"), (above, f"> {above}"), (at_most, f"<= {at_most}")) if limit is not None]
    expected = " ".join(["a number", " and ".join(parts)]).strip()

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            raise probatio.Invalid(expected)
        good = (at_least is None or value >= at_least) and (above is None or value > above) and (at_most is None or value <= at_most)
        if not good:
            raise probatio.Invalid(expected)
        return value

    return check


def whole(*, at_least: int | None = None) -> Check:
    """A whole number."""
    expected = "a whole number" + ("" if at_least is None else f" >= {at_least}")

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST or (at_least is not None and value < at_least):
            raise probatio.Invalid(expected)
        return value

    return check


_UNIT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise probatio.Invalid("a text that is not empty")
    return value


def unit_id(value: Any) -> str:
    """A unit's id: a part of addresses and of keys in the store, and never the word for all units."""
    if not isinstance(value, str) or not _UNIT_ID.fullmatch(value) or value == "global":
        raise probatio.Invalid("up to 64 letters, digits, _ and -, and not global")
    return value


def any_text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise probatio.Invalid("a text")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise probatio.Invalid("true or false")
    return value


def one_of(*words: str) -> Check:
    """One of some words."""
    expected = "one of " + ", ".join(words)

    def check(value: Any) -> str:
        if value not in words:
            raise probatio.Invalid(expected)
        return str(value)

    return check


def unit_ids(value: Any) -> tuple[str, ...]:
    """A list of different unit ids."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise probatio.Invalid("a list of unit ids")
    if len(set(value)) != len(value):
        raise probatio.Invalid("unit ids that are all different")
    return tuple(value)


def mapping(of: Check) -> Check:
    """An object of which every value passes `of`; the originals' empty placeholder key is dropped."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise probatio.Invalid("an object")
        return dict(probatio.Schema({str: of})({key: item for key, item in value.items() if key}))

    return check


def _nested(keys: tuple[Key, ...]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key in keys:
        *parents, last = key.path.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = key
    return tree


def _schema(tree: dict[str, Any]) -> dict[Any, Any]:
    def required(branch: Any) -> bool:
        if isinstance(branch, Key):
            return branch.default is REQUIRED
        return any(required(item) for item in branch.values())

    return {
        (probatio.Required if required(branch) else probatio.Optional)(name): (branch.check if isinstance(branch, Key) else _schema(branch))
        for name, branch in tree.items()
    }


def lookup(data: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path, or REQUIRED if there is none."""
    for step in path:
        if not isinstance(data, Mapping) or step not in data:
            return REQUIRED
        data = data[step]
    return data


def shown(value: Any) -> str:
    """A found value, short enough for a line."""
    if value is REQUIRED:
        return "nothing"
    shortened = repr(value)
    return shortened if len(shortened) <= 60 else shortened[:57] + "..."


def problems_of(error: probatio.Invalid, data: Any, where: str) -> tuple[Problem, ...]:
    """The schema's complaints as problems: place, found, expected."""
    found = []
    for item in getattr(error, "errors", [error]):
        path = tuple(item.path)
        place = f"{where}: {'.'.join(str(step) for step in path)}" if path else where
        value = lookup(data, path)
        if isinstance(item, probatio.RequiredFieldInvalid):
            found.append(Problem(place, "nothing", "a value"))
        elif isinstance(item, probatio.ExtraKeysInvalid):
            known = lookup_keys(item)
            near = difflib.get_close_matches(str(path[-1]), known, 1)
            found.append(Problem(place, "an unknown key", f"{near[0]!r}" if near else "no such key"))
        elif isinstance(item, probatio.DictInvalid):
            found.append(Problem(place, shown(value), "an object"))
        else:
            found.append(Problem(place, shown(value), item.msg))
    return tuple(found)


def lookup_keys(item: probatio.Invalid) -> list[str]:
    """The keys that would have been right where an unknown one stands."""
    return [str(name) for name in getattr(item, "_suggest_pool", ())]


def validated(schema: probatio.Schema, data: Any, where: str) -> Any:
    """`data` as the schema returns it.

    Raises:
        ConfigError: with every problem.

    """
    try:
        return schema(data)
    except probatio.Invalid as error:
        raise ConfigError(problems_of(error, data, where)) from None


def read_keys(keys: tuple[Key, ...], data: Any, where: str) -> tuple[dict[str, Any], tuple[Notice, ...]]:
    """Typed values by attribute name, and the notices about keys that are not used.

    Raises:
        ConfigError: with every problem of the file.

    """
    encrypted = tuple(
        Problem(f"{where}: {name}", "an encrypted value", "the plain value (encrypted files are not supported)")
        for name in _paths(data)
        if name.endswith(".encrypted")
    )
    if encrypted:
        raise ConfigError(encrypted)
    checked = validated(probatio.Schema(_schema(_nested(keys))), data, where)
    values: dict[str, Any] = {}
    notices = []
    for key in keys:
        value = lookup(checked, tuple(key.path.split(".")))
        if value is not REQUIRED and key.unused:
            notices.append(Notice(f"{where}: {key.path}", key.unused))
        if key.name:
            value = key.default if value is REQUIRED else value / key.scale if key.scale != 1 else value
            values[key.name] = value
    return values, tuple(notices)


def write_keys(keys: tuple[Key, ...], source: object) -> dict[str, Any]:
    """The file's form of the values of `source`."""
    data: dict[str, Any] = {}
    for key in keys:
        value = getattr(source, key.name) if key.name else None
        if value is None:
            continue
        *parents, last = key.path.split(".")
        branch = data
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = _plain(value, key.scale)
    return data


def _plain(value: Any, scale: float) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "to_json"):
        return value.to_json()
    return round(value * scale) if scale != 1 else value


def _paths(data: Any, prefix: str = "") -> list[str]:
    if not isinstance(data, Mapping):
        return []
    found = []
    for name, value in data.items():
        found.append(prefix + str(name))
        found.extend(_paths(value, f"{prefix}{name}."))
    return found
