"""The composition root: puts the parts together. The only module that may import everything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
import fcntl
import hashlib
import logging
from pathlib import Path
import random
import sqlite3
import tempfile
from typing import IO, TYPE_CHECKING, Any

import aiohttp
import orjson

from .clock import ScaledClock, WallClock
from .cluster.embedded import EmbeddedHub
from .cluster.memory_store import EmbeddedStore
from .cluster.store_file import StoreFile
from .community import LocalCommunity
from .drivers.http import HttpSender
from .drivers.registry import Opened, Site, misfits, open_driver
from .guard.client import GuardProcess
from .guard.memory import MemoryGuard
from .ledger.database import LedgerDatabase, sqlite_url
from .ledger.unit_ledger import LedgerWriter, UnitLedger
from .model.deal import Deal
from .model.errors import ApisError, ClusterError, ConfigError, DriverError, MessageError, Problem
from .model.files import read_file
from .model.hardware import Hardware
from .model.installation import Address, UnitFiles, load_unit
from .model.policy import Policy
from .model.scenario import Scenario
from .model.times import parse_time
from .node import Node
from .ports import Clock, DeviceRequest, Driver, Guard
from .server.client import RemoteCommunity
from .unit.board import CHARTER, DEAL, LEASE
from .unit.settings import Settings

if TYPE_CHECKING:
    from .emulator.settings import Settings as EmulatorSettings

    # The emulator brings numpy; a node that only drives devices never loads it.
    from .emulator.world import World

_LOGGER = logging.getLogger(__name__)
FOLLOW_PERIOD_S = 10.0
DATABASE_NAME = "apis.sqlite"
STORE_NAME = "cluster.sqlite"


EMULATED = "dcdc_emulator"
CONFIG_NAME = "config.json"


@dataclass(frozen=True, slots=True)
class UnitSetup:
    """Everything one unit of this process is made from."""

    settings: Settings
    device: Address
    system_type: str = EMULATED
    deal_log_format: str | None = None
    state_file: Path | None = None
    files: UnitFiles | None = None


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
    if (folder / CONFIG_NAME).is_file():
        return (folder,)
    found = tuple(sorted(path.parent for path in folder.glob(f"*/{CONFIG_NAME}")))
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
    return UnitSetup(settings, installation.emulator, installation.system_type, installation.deal_log_dir_format, state_file, unit)


def lock_cluster(setup: UnitSetup, data_dir: Path) -> IO[str]:
    """The right of this process to drive the cluster's converters on this machine, held until the file is closed.

    Raises:
        ConfigError: if another process has it.

    """
    settings = setup.settings
    folder = data_dir if setup.files is None else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in f"{settings.community_id}-{settings.cluster_id}")
    path = folder / f".apis-{name}.lock"
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        where = f"cluster {settings.cluster_id} of community {settings.community_id}"
        raise ConfigError((Problem(where, f"another process that holds {path}", "one process on this machine"),)) from None
    return file


def open_ledger(data_dir: Path) -> LedgerDatabase:
    """The ledger in a data directory, made if it is not there. Raises LedgerError."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return LedgerDatabase(sqlite_url(data_dir / DATABASE_NAME))


@contextlib.asynccontextmanager
async def open_community(
    setups: Sequence[UnitSetup], data_dir: Path, *, seed: int | None = None, guarded: bool = True
) -> AsyncIterator[LocalCommunity]:
    """The units as one community in this process, on the embedded cluster; they end in order when the context does.

    `guarded`: a guard of its own process watches over the converters. Without it the watch ends with this process, which
    is enough where the converters do too.

    Raises:
        ApisError: if a unit cannot start.

    """
    # Files are opened beside the event loop, which may be somebody else's.
    lock = await asyncio.to_thread(lock_cluster, setups[0], data_dir)
    writer = LedgerWriter(await asyncio.to_thread(open_ledger, data_dir), threaded=True)
    store_file = await asyncio.to_thread(_open_store, data_dir)
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            clock: WallClock = WallClock()
            if all(setup.system_type == EMULATED for setup in setups):
                clock = await _follow_device(session, setups[0])
            rng = random.Random(seed)
            hub = EmbeddedHub(store_file, clock.wall)
            await _take_over(hub.store)
            await _agreed_policy(hub.store, setups)
            guards = GuardProcess(data_dir, clock) if guarded else MemoryGuard(clock)
            nodes = []
            # The community that is told is made of these units.
            opened = await _open_drivers(session, setups, clock, lambda unit_id: community.reference_leaves(unit_id))  # noqa: PLW0108
            for setup, device in zip(setups, opened, strict=True):
                unit_id = setup.settings.unit_id
                nodes.append(
                    Node(
                        setup.settings,
                        device.driver,
                        hub.join(unit_id),
                        UnitLedger(writer, unit_id),
                        clock,
                        random.Random(rng.getrandbits(64)),
                        guard=device.guard or _guard_of(guards, setup, device.driver),
                        deal_log_format=setup.deal_log_format,
                        state_file=setup.state_file,
                    )
                )
            community = LocalCommunity(tuple(nodes), clock)
            _look_who_is_missing(nodes)
            community.guard = guards.scope
            if isinstance(guards, GuardProcess):
                guards.on_leaving = community.reference_leaves
            stamps = {path: _stamp(path) for setup in setups if setup.files is not None for path in _files(setup)}
            await community.start()
            works = [_reload_files(community, setups, stamps)]
            if isinstance(clock, ScaledClock):
                works.append(_keep_following(session, setups[0], clock))
            tasks = [asyncio.create_task(work) for work in works]
            if isinstance(guards, MemoryGuard):
                tasks.append(asyncio.create_task(guards.run()))
            try:
                yield community
            finally:
                await community.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if isinstance(guards, GuardProcess):
                    await guards.close()
    finally:
        await store_file.close()
        await writer.close()
        lock.close()


def _look_who_is_missing(nodes: Sequence[Node]) -> None:
    """Units that run elsewhere cannot be reached from here: two processes with a Grid Master each would share one line."""
    here = frozenset(node.unit_id for node in nodes)
    for node in nodes:
        node.role.reachable = lambda: here
    reasons = {node.role.read_only for node in nodes if node.unit_id in node.settings.policy.member_unit_ids} - {""}
    for reason in sorted(reasons):
        _LOGGER.warning("%s; it only reads", reason)


async def _agreed_policy(store: EmbeddedStore, setups: Sequence[UnitSetup]) -> None:
    """What the community agreed on in its store holds, as long as nobody has changed the file it came from.

    A file that was changed meanwhile is a new agreement, since all units of this process come with it; but not under deals
    that have not ended.
    """
    policy = setups[0].settings.policy
    text = orjson.dumps(policy.to_json(), option=orjson.OPT_SORT_KEYS)
    mark, entry = hashlib.sha256(text).hexdigest(), await store.get(CHARTER)
    value = entry.value if entry is not None and entry.value is not None else {}
    if value.get("file") != mark and any(not Deal.from_json(item.value).is_ended for item in await store.items(DEAL)):
        _LOGGER.warning("the policy file was changed while deals were running: it holds from the next start on")
    elif value.get("file") != mark:
        version = int(value.get("version", 0)) + 1
        value = {"version": version, "policy": policy.to_json(), "who": "file", "file": mark}
        await store.put(CHARTER, value)
    agreed = Policy.from_json(value["policy"])[0] if value else policy
    for setup in setups:
        setup.settings.policy = agreed


async def _open_drivers(
    session: aiohttp.ClientSession, setups: Sequence[UnitSetup], clock: Clock, on_leaving: Callable[[str], None]
) -> tuple[Opened, ...]:
    """The drivers of all units, which can do what their files ask of them."""
    opened, problems = [], list[Problem]()
    for setup in setups:
        policy, hardware = setup.settings.policy, setup.settings.hardware
        addresses, options = {"emulator": setup.device}, dict[str, Any]()
        if setup.files is not None:
            installation = setup.files.installation
            addresses |= {"dcdc_controller": installation.dcdc_controller, "emu_driver": installation.emu_driver}
            options = installation.driver_options
        site = Site(setup.settings.unit_id, addresses, options, session, clock, policy.request_timeout_s, policy.request_limit, on_leaving)
        device = await open_driver(setup.system_type, site)
        voltages_v = policy.operation_grid_voltage_min_v, policy.operation_grid_voltage_max_v
        problems += misfits(device.driver.capabilities, hardware.grid_current_capacity_a, voltages_v, setup.settings.unit_id)
        opened.append(device)
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(opened)


def _guard_of(guards: GuardProcess | MemoryGuard, setup: UnitSetup, driver: Driver) -> Guard | None:
    """The unit's dead-man, where its device has none."""
    if driver.capabilities.dead_man != "guard":
        return None
    unit_id, base_url = setup.settings.unit_id, driver.capabilities.base_url
    if isinstance(guards, MemoryGuard):
        return guards.unit(unit_id, driver)
    name = "".join(c if c.isalnum() else "-" for c in f"{base_url}-{unit_id}")
    return guards.unit(
        unit_id,
        base_url=base_url,
        status=driver.ask_status(),
        lock=Path(tempfile.gettempdir()) / f"apis-writer-{name}.lock",
        timeout_s=setup.settings.policy.request_timeout_s,
    )


def _open_store(data_dir: Path) -> StoreFile:
    try:
        return StoreFile(data_dir / STORE_NAME)
    except sqlite3.Error as error:
        raise ClusterError(f"{data_dir / STORE_NAME}: {error}") from error


async def _take_over(store: EmbeddedStore) -> None:
    """Whoever held the role has ended with its process: this one has the lock, so the role is free at once."""
    entry = await store.get(LEASE)
    if entry is not None and entry.value is not None:
        await store.update(LEASE, {**entry.value, "holder": ""}, entry.revision)


async def _device_time(session: aiohttp.ClientSession, setup: UnitSetup) -> tuple[datetime, float]:
    """The emulator's time and acceleration.

    Raises:
        DriverError: if it does not say.

    """
    base = f"http://{setup.device.host}:{setup.device.port}"
    sender = HttpSender(session, base, timeout_s=5.0, attempts=3)
    acceleration = await sender(DeviceRequest("GET", "/get/acc"))
    unit = await sender(DeviceRequest("GET", f"/get/unit/{setup.settings.unit_id}"))
    if not isinstance(acceleration, int | float) or not isinstance(unit, dict) or "time" not in unit:
        raise DriverError(f"{base}: found no time of unit {setup.settings.unit_id}, expected an emulator with that unit")
    try:
        return parse_time(str(unit["time"]), setup.settings.zone), float(acceleration)
    except MessageError as error:
        raise DriverError(f"{base}: {error}") from error


async def _follow_device(session: aiohttp.ClientSession, setup: UnitSetup) -> ScaledClock:
    now, acceleration = await _device_time(session, setup)
    return ScaledClock(now, acceleration or 1.0)


async def _keep_following(session: aiohttp.ClientSession, setup: UnitSetup, clock: ScaledClock) -> None:
    while True:
        await asyncio.sleep(FOLLOW_PERIOD_S)
        try:
            now, acceleration = await _device_time(session, setup)
        except DriverError as error:
            _LOGGER.debug("the emulator's clock cannot be read: %s", error)
            continue
        clock.follow(now, acceleration)


async def _reload_files(community: LocalCommunity, setups: Sequence[UnitSetup], stamps: dict[Path, float]) -> None:
    """Take over a changed scenario or hardware file; one with problems is reported and changes nothing."""
    watched = [setup for setup in setups if setup.files is not None]
    if not watched:
        return
    while True:
        await asyncio.sleep(min(setup.settings.scenario.refreshing_period_s for setup in watched))
        for setup in watched:
            changed = [path for path in _files(setup) if _stamp(path) != stamps[path]]
            stamps.update({path: _stamp(path) for path in changed})
            if changed:
                await _reload(community, setup)
                community.reloaded.set()


def _files(setup: UnitSetup) -> tuple[Path, ...]:
    assert setup.files is not None
    return setup.files.installation.scenario_file, setup.files.installation.hardware_file


def _stamp(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


async def _reload(community: LocalCommunity, setup: UnitSetup) -> None:
    scenario_file, hardware_file = _files(setup)
    node = community.nodes[setup.settings.unit_id]
    try:
        hardware, _ = Hardware.from_json(await asyncio.to_thread(read_file, hardware_file), str(hardware_file))
        content = await asyncio.to_thread(read_file, scenario_file)
        scenario, _ = Scenario.from_json(content, str(scenario_file), hardware.battery_nominal_capacity_wh)
        setup.settings.hardware = hardware
        if scenario != setup.settings.scenario:
            await node.set_scenario(scenario, "file")
        _LOGGER.info("%s: changed files were taken over", node.unit_id)
    except ApisError as error:
        _LOGGER.warning("%s: changed files were not taken over: %s", node.unit_id, error)


@contextlib.asynccontextmanager
async def open_emulator(settings: EmulatorSettings) -> AsyncIterator[tuple[World, int]]:
    """An emulator that serves over HTTP while the context lasts: its world, and the port it got.

    Raises:
        ConfigError: if the settings cannot be, or a data file is not in its form.
        OSError: if the address is taken.

    """
    from .announcement import announced
    from .emulator import server, v1
    from .emulator.building import build, recorder_for
    from .emulator.world import World
    from .web import port_of

    problems = settings.problems()
    if problems:
        raise ConfigError(problems)
    engine = build(settings)
    recorder = recorder_for(engine, settings)
    world = World(engine, asyncio.get_running_loop().time, settings.acceleration, folder=settings.data_dir)
    runner = await server.serve(world, settings)
    ticking = asyncio.create_task(world.run())
    port = port_of(runner)
    try:
        async with announced("emulator", settings.host, port, runner.app[v1.IDENTITY]):
            yield world, port
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        await runner.cleanup()
        if recorder is not None:
            recorder.close()


def connect_community(session: aiohttp.ClientSession, url: str) -> RemoteCommunity:
    """A community whose units run in a daemon elsewhere; the session stays the caller's."""
    return RemoteCommunity(session, url)


@contextlib.asynccontextmanager
async def open_trial_community(data_dir: Path, zone: tzinfo, units: int) -> AsyncIterator[LocalCommunity]:
    """Emulated houses within this process to try a community on: with a past of some days, then in real time.

    Raises:
        ApisError: if it cannot start.

    """
    from .trial import open_trial_community as open_trial

    async with open_trial(data_dir, zone, units) as community:
        yield community


def demo_setups(units: int, port: int, policy: Policy, hardware: Hardware, scenario: Scenario) -> tuple[UnitSetup, ...]:
    """Units of an emulated line that need no files."""
    return tuple(
        UnitSetup(
            Settings(unit_id, policy, hardware, scenario, UTC, "demo", "demo", unit_id),
            Address("127.0.0.1", port),
        )
        for unit_id in (f"E{i + 1:03}" for i in range(units))
    )
