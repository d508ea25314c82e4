"""Deal records as files in the original's form, for the tools that read them."""

from datetime import datetime, tzinfo
from pathlib import Path
import re
import tempfile

import orjson

from ..model.deal import Deal

_FIELD = re.compile(r"'([^']*)'|(u+|y+|M+|d+|H+|m+|s+)|(.)")
_FORMS = {"u": "%Y", "y": "%Y", "M": "%m", "d": "%d", "H": "%H", "m": "%M", "s": "%S"}


def expand(pattern: str, moment: datetime) -> str:
    """A Java date pattern (`'text'uuuu'/'MM'/'dd`, the fields the original's configuration uses) for a local time."""
    parts = []
    for quoted, letters, other in _FIELD.findall(pattern.replace("{tmpdir}", tempfile.gettempdir())):
        parts.append(quoted or (moment.strftime(_FORMS[letters[0]]) if letters else other))
    return "".join(parts)


def worth_logging(deal: Deal) -> bool:
    """Deals that ended before activation leave no file, as in the original."""
    return deal.activate_time is not None or bool(deal.resets)


def write(deal: Deal, pattern: str, zone: tzinfo) -> Path:
    """Write the deal's record to its file; the file.

    Raises:
        OSError: if that cannot be done.

    """
    folder = Path(expand(pattern, deal.create_time.astimezone(zone)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / deal.deal_id
    temporary = path.with_suffix(".part")
    temporary.write_bytes(orjson.dumps(deal.to_json(zone)))
    temporary.replace(path)
    return path
