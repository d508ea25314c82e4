"""A downloaded diagnostics file as a simulation: the same units, limits, scenarios, policy, charges and time of the year."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from ..model.errors import ConfigError, MessageError, Problem
from ..model.hardware import Hardware
from ..model.keys import shown
from ..model.policy import Policy
from ..model.scenario import Scenario
from ..model.view import Snapshot, UnitView
from .options import Member, Options

# A unit whose battery nobody had read begins half full.
UNKNOWN_PCT = 50.0


def options_of(path: Path, wanted: Options) -> Options:
    """What is wanted, for the community of a file.

    Raises:
        ConfigError: if it holds no community's diagnostics, or some that are not complete.

    """
    try:
        data = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError((Problem(str(path), str(error), "a file that diagnostics were downloaded to"),)) from error
    community = _community(data)
    if community is None:
        raise ConfigError((Problem(str(path), shown(data)[:80], "the diagnostics of a community"),))
    try:
        snapshot = Snapshot.from_json(community["snapshot"])
        units, zone = community["units"], ZoneInfo(community["zone"])
        views = {unit.unit_id: unit for unit in snapshot.units}
        members = tuple(_member(unit_id, unit, views.get(unit_id), str(path)) for unit_id, unit in units.items())
        policy = Policy.from_json(community["policy"], str(path))[0]
    except (KeyError, TypeError, AttributeError, ValueError, MessageError) as error:
        raise ConfigError((Problem(str(path), repr(error)[:200], "complete diagnostics of this version"),)) from error
    return wanted.with_members(members, policy, snapshot.time.astimezone(zone), zone)


def _community(data: Any) -> Mapping[str, Any] | None:
    """The community, bare or as Home Assistant wraps it."""
    for _ in range(3):
        if not isinstance(data, dict):
            return None
        if "snapshot" in data:
            return data
        data = data.get("data") or data.get("community")
    return None


def _member(unit_id: str, unit: Mapping[str, Any], view: UnitView | None, where: str) -> Member:
    hardware = Hardware.from_json(unit["hardware"], f"{where}: hardware of {unit_id}")[0]
    scenario = Scenario.from_json(unit["scenario"], f"{where}: scenario of {unit_id}", hardware.battery_nominal_capacity_wh)[0]
    charge_pct = None if view is None else view.state_of_charge_pct
    return Member(unit_id, hardware, scenario, UNKNOWN_PCT if charge_pct is None else charge_pct)
