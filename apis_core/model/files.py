"""Reading configuration text: the originals' JSON (comments and repeated `#` keys allowed) or the same content as YAML."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import json5
import yaml

from .errors import ConfigError, Problem

YAML_SUFFIXES = (".yaml", ".yml")


def _without_comments(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key == "#":
            continue
        if key in data:
            raise ValueError(f"key {key!r} stands twice")
        data[key] = value
    return data


class _Loader(yaml.SafeLoader):
    """YAML with the same manners: repeated keys refused, `#` keys dropped, no surprising types."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    return _without_comments([(str(loader.construct_object(k, deep=True)), loader.construct_object(v, deep=True)) for k, v in node.value])


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def parse_text(content: str, where: str, *, is_yaml: bool) -> dict[str, Any]:
    """The object that a configuration text holds.

    Raises:
        ConfigError: if it is not well formed or not an object.

    """
    try:
        data = yaml.load(content, Loader=_Loader) if is_yaml else json5.loads(content, object_pairs_hook=_without_comments)  # noqa: S506 - _Loader is safe
    except RecursionError:
        raise ConfigError((Problem(where, "objects nested too deeply", "a configuration"),)) from None
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).replace("<string>:", "line ").split())
        raise ConfigError((Problem(where, reason, "well-formed " + ("YAML" if is_yaml else "JSON")),)) from None
    if not isinstance(data, dict):
        raise ConfigError((Problem(where, type(data).__name__, "an object"),))
    return data


def read_file(path: Path) -> dict[str, Any]:
    """The object in a JSON or (by its suffix) YAML file.

    Raises:
        ConfigError: if the file cannot be read or is not an object.

    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError((Problem(str(path), reason, "a readable file"),)) from None
    return parse_text(content, str(path), is_yaml=path.suffix in YAML_SUFFIXES)
