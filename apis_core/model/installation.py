"""A unit's installation (the original's `config.json`) together with the three files it names."""

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import probatio
import tzlocal

from .errors import ConfigError, Problem
from .files import read_file
from .hardware import Hardware
from .keys import Key, Notice, any_text, flag, number, one_of, read_keys, text, unit_id, whole
from .limits import check_limits
from .policy import Policy
from .scenario import Scenario

EMULATED = "dcdc_emulator"
SYSTEM_TYPES = (EMULATED, "dcdc_v1", "dcdc_v2")
# Where other packages offer theirs.
DRIVER_GROUP = "apis_core.drivers"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device's Web API listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Installation:
    """Who a unit is and where its device and files are. Paths are absolute."""

    unit_id: str
    system_type: str
    hardware_file: Path
    policy_file: Path
    scenario_file: Path
    community_id: str
    cluster_id: str
    unit_name: str
    serial_number: str
    zone: ZoneInfo
    emulator: Address
    dcdc_controller: Address
    emu_driver: Address
    driver_options: dict[str, Any] = field(default_factory=dict)
    state_file_format: str | None = None
    deal_log_dir_format: str | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str, folder: Path) -> tuple[Installation, tuple[Notice, ...]]:
        """Read and check a file's content; relative paths count from `folder`.

        Raises:
            ConfigError: with every problem.

        """
        values, notices = read_keys(_KEYS, data, where)
        if values.pop("battery_capacity_management"):
            problem = Problem(
                f"{where}: batteryCapacityManagement.enabled",
                "true",
                "false: several processes on one battery are not supported yet",
            )
            raise ConfigError((problem,))
        for name in ("hardware_file", "policy_file", "scenario_file"):
            values[name] = (folder / values[name]).resolve()
        for name in ("emulator", "dcdc_controller", "emu_driver"):
            values[name] = Address(values.pop(f"{name}_host"), values.pop(f"{name}_port"))
        if values["unit_name"] is None:
            values["unit_name"] = values["unit_id"]
        return cls(**values), notices


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """Everything an existing installation says about one unit."""

    installation: Installation
    hardware: Hardware
    policy: Policy
    scenario: Scenario
    notices: tuple[Notice, ...]


def load_unit(path: Path) -> UnitFiles:
    """Read a unit's configuration and the files it names; `path` is the file, or a folder with a `config.json`.

    Raises:
        ConfigError: with every problem of every file.

    """
    if path.is_dir():
        path /= "config.json"
    installation, notices = Installation.from_json(read_file(path), str(path), path.resolve().parent)
    problems: list[Problem] = []
    hardware: Hardware | None = None
    policy: Policy | None = None
    scenario: Scenario | None = None
    try:
        hardware, found = Hardware.from_json(read_file(installation.hardware_file), str(installation.hardware_file))
        notices += found
    except ConfigError as error:
        problems += error.problems
    try:
        policy, found = Policy.from_json(read_file(installation.policy_file), str(installation.policy_file))
        notices += found
    except ConfigError as error:
        problems += error.problems
    try:
        capacity_wh = hardware.battery_nominal_capacity_wh if hardware else None
        name = str(installation.scenario_file)
        scenario, found = Scenario.from_json(read_file(installation.scenario_file), name, capacity_wh)
        notices += found
    except ConfigError as error:
        problems += error.problems
    if policy is not None and installation.unit_id not in policy.member_unit_ids:
        members = ", ".join(policy.member_unit_ids)
        notices += (
            Notice(f"{path}: unitId", f"{installation.unit_id} is none of memberUnitIds ({members}): it takes no part until it joins"),
        )
    if policy is not None and hardware is not None:
        problems += check_limits(hardware, policy, str(installation.hardware_file))
    if problems or hardware is None or policy is None or scenario is None:
        raise ConfigError(tuple(problems))
    return UnitFiles(installation, hardware, policy, scenario, notices)


def _zone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(text(value))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise probatio.Invalid("a time zone such as Asia/Tokyo") from error


def system_type(value: Any) -> str:
    """The name of a driver that there is."""
    # What others offer stands in files: they are looked for only where they are asked for.
    return str(value) if value in SYSTEM_TYPES else str(one_of(*SYSTEM_TYPES, *sorted(entry_points(group=DRIVER_GROUP).names))(value))


def driver_options(value: Any) -> dict[str, Any]:
    """What a driver of another package is told."""
    if not isinstance(value, dict):
        raise probatio.Invalid("an object")
    return value


def address_port(value: Any) -> int:
    """A port of an address."""
    if whole(at_least=1)(value) > 65535:
        raise probatio.Invalid("a port from 1 to 65535")
    return int(value)


def address_host(value: Any) -> str:
    """A host of an address."""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise probatio.Invalid("a host name or address")
    return value


def _path(value: Any) -> str:
    if "\0" in text(value):
        raise probatio.Invalid("a path")
    return str(value)


_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]+")
_LOCAL = "the units of one process talk in memory: there is no network to secure"
_FILES = "scenario and policy come from this unit's own files; no control centre is asked"
_WATCHDOG = "no watchdog is called; let the service manager restart the process"
_KEYS = (
    Key("programId", "", any_text, None, unused="log lines carry the unit's id"),
    Key("communityId", "community_id", text, "NA"),
    Key("clusterId", "cluster_id", text, "NA"),
    Key("security.enabled", "", flag, None, unused=_LOCAL),
    Key("security.pemKeyFile", "", any_text, None, unused=_LOCAL),
    Key("security.pemCertFile", "", any_text, None, unused=_LOCAL),
    Key("unitId", "unit_id", unit_id),
    Key("unitName", "unit_name", text, None),
    Key("serialNumber", "serial_number", any_text, "NA"),
    Key("systemType", "system_type", system_type),
    Key("hwConfigFile", "hardware_file", _path),
    Key("policyFile", "policy_file", _path),
    Key("scenarioFile", "scenario_file", _path),
    Key("stateFileFormat", "state_file_format", text, None),
    Key("dealLogDirFormat", "deal_log_dir_format", text, None),
    Key(
        "fileSystemExclusiveLockFileFormat",
        "",
        any_text,
        None,
        unused="one process holds all units of a cluster, under one lock; there is none per battery",
    ),
    Key("policyFileReadTimeoutMsec", "", number(at_least=0), None, unused="the policy is read before anything starts"),
    Key("timeZone", "zone", _zone, tzlocal.get_localzone()),
    Key("connection.emulator.host", "emulator_host", address_host, "localhost"),
    Key("connection.emulator.port", "emulator_port", address_port, 4390),
    Key("connection.dcdc_controller.host", "dcdc_controller_host", address_host, "localhost"),
    Key("connection.dcdc_controller.port", "dcdc_controller_port", address_port, 4380),
    Key("connection.emu_driver.host", "emu_driver_host", address_host, "localhost"),
    Key("connection.emu_driver.port", "emu_driver_port", address_port, 8080),
    Key("driver", "driver_options", driver_options, {}),
    Key("controlCenter.enabled", "", flag, None, unused=_FILES),
    Key("controlCenter.account", "", any_text, None, unused=_FILES),
    Key("controlCenter.password", "", any_text, None, unused=_FILES),
    Key("watchdog.enabled", "", flag, None, unused=_WATCHDOG),
    Key("watchdog.periodMsec", "", number(above=0), None, unused=_WATCHDOG),
    Key("watchdog.requestTimeoutMsec", "", number(above=0), None, unused=_WATCHDOG),
    Key("watchdog.host", "", any_text, None, unused=_WATCHDOG),
    Key("watchdog.port", "", whole(at_least=0), None, unused=_WATCHDOG),
    Key("watchdog.uri", "", any_text, None, unused=_WATCHDOG),
    Key("batteryCapacityManagement.enabled", "battery_capacity_management", flag, default=False),
)
