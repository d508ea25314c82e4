"""Recorded runs of the original nodes on the original emulator: what each converter was told, and what the deals said."""

from collections import defaultdict
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

FOLDER = Path(__file__).parent / "data/original-runs"
AUTHORISATION_V = {330.0, 340.0, 360.0, 370.0}


def events(name: str) -> list[dict[str, Any]]:
    (path,) = FOLDER.glob(f"{name}-*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def command(path: str) -> str:
    """A setter in a form that two runs share: a random authorisation voltage is `*`, a float32 remainder is rounded."""
    parts = urlsplit(path)
    query = {key: value if key == "mode" else round(float(value), 3) for key, value in parse_qsl(parts.query)}
    kind = parts.path.split("/")[-2]
    if kind == "voltage" and query["drg"] == 0 and query["dvg"] in AUTHORISATION_V:
        query["dvg"] = "*"
    return kind + " " + " ".join(f"{key}={query[key]}" for key in ("mode", "dvg", "dig", "drg") if key in query)


def commands(name: str, until_s: float = float("inf")) -> dict[str, list[str]]:
    """What each unit's converter was told, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in events(name):
        if "request" in event and event["t"] < until_s:
            found[event["unit"]].append(command(event["request"]))
    return dict(found)


def records(name: str, until_s: float = float("inf")) -> list[dict[str, Any]]:
    """The deals' records as last seen, in order of creation.

    The traces show what a record gained, not what it lost: where one deal becomes the master deal, one that goes on was it.
    """
    seen = [event for event in events(name) if "deal" in event and event["t"] < until_s]
    gone = {event["deal"]: event["t"] for event in seen if "gone" in event}
    found: dict[str, dict[str, Any]] = {}
    for event in seen:
        news = event.get("record") or event.get("changed") or {}
        found.setdefault(event["deal"], {}).update(news)
        for deal_id, record in found.items():
            if news.get("isMaster") and deal_id != event["deal"] and gone.get(deal_id, float("inf")) > event["t"]:
                record.pop("isMaster", None)
    return list(found.values())
