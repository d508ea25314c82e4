"""What units are made from: the files of an installation, plans that somebody keeps, or nothing but a number for a demo."""

from collections.abc import Sequence
from datetime import UTC, tzinfo
from pathlib import Path
import tempfile

from .model.errors import ConfigError, Problem
from .model.hardware import Hardware
from .model.installation import Address, UnitFiles, load_unit
from .model.limits import check_limits
from .model.policy import Policy
from .model.scenario import Scenario
from .model.unit_plan import UnitPlan
from .rules.charter import with_members
from .unit.settings import Settings
from .workshop import UnitSetup

CONFIG_NAME = "config.json"


def load_setups(paths: Sequence[Path]) -> tuple[UnitSetup, ...]:
    """The units of existing installations, one per configuration file or folder.

    Raises:
        ConfigError: with every problem of every file, or if the units do not belong together.

    """
    problems: list[Problem] = []
    units: list[UnitFiles] = []
    for path in paths:
        try:
            units.append(load_unit(path))
        except ConfigError as error:
            problems += error.problems
    for path, unit in zip(paths, units, strict=False) if not problems else ():
        problems += _misfits(str(path), unit, units)
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(_setup(unit) for unit in units)


def unit_folders(folder: Path) -> tuple[Path, ...]:
    """The units of an installation: the folder itself if it is one unit's, else each folder in it that is one.

    Raises:
        ConfigError: if there is none.

    """
    # No file system knows a name with such a character.
    is_name = "\0" not in str(folder)
    if is_name and (folder / CONFIG_NAME).is_file():
        return (folder,)
    found = tuple(sorted(path.parent for path in folder.glob(f"*/{CONFIG_NAME}"))) if is_name else ()
    if not found:
        raise ConfigError((Problem(str(folder), "no unit", f"a folder with {CONFIG_NAME}, or with folders that have one"),))
    return found


def _misfits(where: str, unit: UnitFiles, units: list[UnitFiles]) -> list[Problem]:
    installation, first = unit.installation, units[0]
    problems = []
    if sum(other.installation.unit_id == installation.unit_id for other in units) > 1:
        problems.append(Problem(f"{where}: unitId", f"{installation.unit_id} twice", "a different id for each unit"))
    if unit.policy != first.policy:
        problems.append(
            Problem(f"{where}: policyFile", "another policy", f"the policy of {first.installation.unit_id}: all units share one")
        )
    return problems


def _setup(unit: UnitFiles) -> UnitSetup:
    installation = unit.installation
    settings = Settings(
        unit_id=installation.unit_id,
        policy=unit.policy,
        hardware=unit.hardware,
        scenario=unit.scenario,
        zone=installation.zone,
        community_id=installation.community_id,
        cluster_id=installation.cluster_id,
        unit_name=installation.unit_name,
        serial_number=installation.serial_number,
    )
    state_file = None
    if installation.state_file_format is not None:
        text = installation.state_file_format.replace("{tmpdir}", tempfile.gettempdir())
        state_file = Path(text.replace("%s", "operationMode"))
    return UnitSetup(
        settings,
        {"emulator": installation.emulator, "dcdc_controller": installation.dcdc_controller, "emu_driver": installation.emu_driver},
        installation.system_type,
        installation.driver_options,
        installation.deal_log_dir_format,
        state_file,
        unit,
    )


def planned_setups(plans: Sequence[UnitPlan], policy: Policy, zone: tzinfo, community_id: str) -> tuple[UnitSetup, ...]:
    """Units that somebody keeps as data; they are the members of their community.

    Raises:
        ConfigError: with every unit whose limits do not go with the policy.

    """
    policy = with_members(policy, [plan.unit_id for plan in plans])
    problems = [problem for plan in plans for problem in check_limits(plan.hardware, policy, plan.unit_id)]
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(planned(plan, policy, zone, community_id) for plan in plans)


def planned(plan: UnitPlan, policy: Policy, zone: tzinfo, community_id: str) -> UnitSetup:
    """One of them, whose policy is ready."""
    name = plan.name or plan.unit_id
    settings = Settings(plan.unit_id, policy, plan.hardware, plan.scenario, zone, community_id, community_id, name, plan.serial_number)
    return UnitSetup(settings, plan.addresses, plan.system_type, plan.driver_options, plan=plan)


def demo_setups(units: int, port: int, policy: Policy, hardware: Hardware, scenario: Scenario) -> tuple[UnitSetup, ...]:
    """Units of an emulated line that need no files."""
    return tuple(
        UnitSetup(
            Settings(unit_id, policy, hardware, scenario, UTC, "demo", "demo", unit_id),
            {"emulator": Address("127.0.0.1", port)},
        )
        for unit_id in (f"E{i + 1:03}" for i in range(units))
    )
