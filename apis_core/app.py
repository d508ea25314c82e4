"""The composition root: puts the parts together. The only module that may import everything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
import contextlib
from datetime import UTC, datetime, tzinfo
from functools import partial
import hashlib
import logging
from pathlib import Path
import random
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from .clock import ScaledClock, WallClock
from .cluster.embedded import EmbeddedHub
from .cluster.memory_store import EmbeddedStore
from .drivers.http import HttpSender
from .drivers.registry import misfits, url as url_of
from .guard.client import GuardProcess
from .guard.memory import MemoryGuard
from .kept import lock_cluster, open_ledger, open_store
from .ledger.unit_ledger import LedgerWriter
from .local_community import LocalCommunity
from .model.deal import Deal
from .model.errors import ApisError, ConfigError, DriverError, MessageError
from .model.files import read_file
from .model.hardware import Hardware
from .model.installation import EMULATED, Address
from .model.limits import check_limits
from .model.policy import Policy
from .model.scenario import Scenario
from .model.times import parse_time
from .model.unit_plan import UnitPlan
from .node import Node
from .ports import Capabilities, Clock, DeviceRequest
from .presets import community_hardware, community_scenario, hardware, policy_for
from .residents import Maker
from .server.client import RemoteCommunity
from .setups import load_setups, planned, planned_setups, unit_folders
from .unit.board import CHARTER, DEAL, LEASE
from .workshop import UnitSetup, Workshop, came_with, open_device

if TYPE_CHECKING:
    from .emulator.settings import Settings as EmulatorSettings

    # The emulator brings numpy; a node that only drives devices never loads it.
    from .emulator.world import World

_LOGGER = logging.getLogger(__name__)
FOLLOW_PERIOD_S, RETRY_S = 10.0, 30.0


@contextlib.asynccontextmanager
async def open_planned_community(
    plans: Sequence[UnitPlan], policy: Policy, zone: tzinfo, community_id: str, data_dir: Path, *, end_within_s: float | None = None
) -> AsyncIterator[LocalCommunity]:
    """Units that somebody keeps as data, as one community in this process: more may come while it runs.

    Raises:
        ConfigError: with every unit whose limits do not go with the policy.
        ApisError: if no unit can start.

    """
    setups = planned_setups(plans, policy, zone, community_id)
    async with open_community(setups, data_dir, end_within_s=end_within_s) as community:
        yield community


@contextlib.asynccontextmanager
async def open_community(
    setups: Sequence[UnitSetup], data_dir: Path, *, seed: int | None = None, guarded: bool = True, end_within_s: float | None = None
) -> AsyncIterator[LocalCommunity]:
    """The units as one community in this process, on the embedded cluster; they end in order when the context does.

    `guarded`: a guard of its own process watches over the converters. Without it the watch ends with this process, which
    is enough where the converters do too. `end_within_s`: how long ending may take [wall s]; None: as long as deals need.

    Raises:
        ApisError: if a unit cannot start.

    """
    async with contextlib.AsyncExitStack() as opened:
        # Files are opened beside the event loop, which may be somebody else's; whatever fails, what is open is closed.
        opened.callback((await asyncio.to_thread(lock_cluster, setups[0], data_dir)).close)
        writer = LedgerWriter(await asyncio.to_thread(open_ledger, data_dir), threaded=True)
        opened.push_async_callback(writer.close)
        store_file = await asyncio.to_thread(open_store, data_dir)
        opened.push_async_callback(store_file.close)
        session = await opened.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        clock: WallClock = WallClock()
        if all(setup.system_type == EMULATED for setup in setups):
            clock = await _follow_device(session, setups[0])
        hub = EmbeddedHub(store_file, clock.wall)
        await _take_over(hub.store)
        await _agreed_policy(hub.store, setups)
        guards = GuardProcess(data_dir, clock) if guarded else MemoryGuard(clock)
        if isinstance(guards, GuardProcess):
            opened.push_async_callback(guards.close)
        workshop = Workshop(session, hub, writer, guards, clock, random.Random(seed))
        nodes, absent = await _open_patiently(workshop, setups)
        community = LocalCommunity(tuple(nodes), clock)
        community.absent.update(setup.settings.unit_id for setup in absent)
        workshop.on_leaving = community.reference_leaves
        community.checkpoints = [writer.checkpoint, store_file.checkpoint]
        community.maker = _maker(workshop, community, setups[0])
        community.plans.update({setup.plan.unit_id: setup.plan for setup in setups if setup.plan is not None})
        _look_who_is_missing(community)
        community.guard, community.end_within_s = guards.scope, end_within_s
        if isinstance(guards, GuardProcess):
            guards.on_leaving = community.reference_leaves
        helpers = _helpers(community, session, setups, clock, guards)
        async with _helped(community, [*helpers, _keep_trying(community, workshop, setups)], patient=setups[0].files is None):
            yield community


@contextlib.asynccontextmanager
async def _helped(community: LocalCommunity, works: Sequence[Coroutine[Any, Any, None]], *, patient: bool) -> AsyncIterator[None]:
    """The community, started and ended in order, with what works beside it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await community.start(patient=patient)
        try:
            yield
        finally:
            await community.close()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _helpers(
    community: LocalCommunity, session: aiohttp.ClientSession, setups: Sequence[UnitSetup], clock: Clock, guards: GuardProcess | MemoryGuard
) -> list[Coroutine[Any, Any, None]]:
    stamps = {path: _stamp(path) for setup in setups if setup.files is not None for path in _files(setup)}
    works = [_reload_files(community, setups, stamps)]
    if isinstance(clock, ScaledClock):
        works.append(_keep_following(session, setups[0], clock))
    if isinstance(guards, MemoryGuard):
        works.append(guards.run())
    return works


def _maker(workshop: Workshop, community: LocalCommunity, like: UnitSetup) -> Maker | None:
    """How the community makes a unit that comes while it runs; units that stand in files come from there only."""
    if like.files is not None:
        return None

    async def prepare(plan: UnitPlan) -> Callable[[], Awaitable[Node]]:
        policy = await community.policy()
        setup = planned(plan, policy, like.settings.zone, like.settings.community_id)
        device = await workshop.open(setup)

        async def make() -> Node:
            node = await workshop.make(setup, device)
            node.role.reachable = community.unit_ids
            return node

        return make

    return prepare


def _look_who_is_missing(community: LocalCommunity) -> None:
    """Units that run elsewhere cannot be reached from here: two processes with a Grid Master each would share one line."""
    for node in community.nodes.values():
        node.role.reachable = community.unit_ids
    reasons = {node.role.read_only for node in community.nodes.values() if node.unit_id in node.settings.policy.member_unit_ids} - {""}
    for reason in sorted(reasons):
        _LOGGER.warning("%s; it only reads", reason)


async def _open_patiently(workshop: Workshop, setups: Sequence[UnitSetup]) -> tuple[list[Node], list[UnitSetup]]:
    """The units whose devices can be opened, and those that have to be waited for, where at least one can.

    Raises:
        ApisError: if none can, or one that stands in files cannot.

    """
    nodes, absent = list[Node](), list[UnitSetup]()
    failure: ApisError | None = None
    for setup in setups:
        try:
            device = await workshop.open(setup)
        except DriverError as error:
            if setup.files is not None:
                raise
            failure = failure or error
            absent.append(setup)
            _LOGGER.warning("%s: %s; it is tried again", setup.settings.unit_id, error)
        else:
            nodes.append(await workshop.make(setup, device))
    if failure is not None and not nodes:
        raise failure
    return nodes, absent


async def _keep_trying(community: LocalCommunity, workshop: Workshop, setups: Sequence[UnitSetup]) -> None:
    """Start whoever could not be started, as soon as its device answers."""
    by_id = {setup.settings.unit_id: setup for setup in setups}
    while True:
        await asyncio.sleep(RETRY_S)
        for unit_id in sorted(community.absent):
            try:
                await community.try_again(unit_id, partial(_made_again, community, workshop, unit_id, by_id))
            except ApisError as error:
                _LOGGER.debug("%s: %s", unit_id, error)
            except Exception:
                # One that goes wrong in its own way keeps nobody else from being tried.
                _LOGGER.exception("%s could not be started", unit_id)


async def _made_again(community: LocalCommunity, workshop: Workshop, unit_id: str, setups: Mapping[str, UnitSetup]) -> Node:
    """A unit from what it is made from now. Raises ApisError."""
    if community.maker is not None and unit_id in community.plans:
        return await (await community.maker(community.plans[unit_id]))()
    device = await workshop.open(setups[unit_id])
    node = await workshop.make(setups[unit_id], device)
    node.role.reachable = community.unit_ids
    return node


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
    base = url_of(setup.emulator)
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
        # No laxer than at the start, and nothing of it if not all of it can be.
        policy = setup.settings.policy
        problems = check_limits(hardware, policy, str(hardware_file)) + misfits(node.capabilities, hardware, policy, node.unit_id)
        if problems:
            raise ConfigError(problems)
        setup.settings.hardware = hardware
        if scenario != setup.settings.scenario:
            await came_with(node.ledger, scenario)
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


async def probe_unit(session: aiohttp.ClientSession, plan: UnitPlan, policy: Policy) -> Capabilities:
    """Prove that a unit could run: its limits go with the policy, its device answers and can do what is asked of it.

    Raises:
        ConfigError: with what does not go together.
        DriverError: if the device does not answer as one.

    """
    problems = check_limits(plan.hardware, policy, plan.unit_id)
    if problems:
        raise ConfigError(problems)
    setup = planned(plan, policy, UTC, "probe")
    device = await open_device(session, setup, WallClock())
    try:
        await device.driver.read()
    finally:
        await device.driver.close()
    return device.driver.capabilities


def read_installation(folder: Path) -> tuple[Policy, list[UnitPlan]]:
    """What an installation's files say, as data: the units of a folder, or of the folders in it. It blocks.

    Raises:
        ConfigError: with every problem of every file.

    """
    setups = load_setups(unit_folders(folder))
    return setups[0].settings.policy, [UnitPlan.of_files(setup.files) for setup in setups if setup.files is not None]


def sample_policy() -> Policy:
    """What a new community agrees on, until somebody says otherwise."""
    return policy_for(1)


def sample_hardware() -> Hardware:
    """What a new unit can do, until somebody says otherwise."""
    return hardware()


def preset_scenario(battery_wh: float, preset: str) -> Scenario:
    """A shipped scenario for a battery. Raises KeyError for one that there is none of."""
    return community_scenario(battery_wh, preset)


async def emulated_units(session: aiohttp.ClientSession, base_url: str) -> tuple[UnitPlan, ...]:
    """The units of an emulator that announced itself, as they could run here.

    Raises:
        DriverError: if it does not answer as one.

    """
    sender = HttpSender(session, base_url, timeout_s=5.0, attempts=2)
    found = await sender(DeviceRequest("GET", "/api/v1/units"))
    host, _, port = base_url.removeprefix("http://").rpartition(":")
    address = Address(host.strip("[]"), int(port))
    try:
        sizes_wh = {str(unit["id"]): float(unit["house"]["battery_wh"]) for unit in found}
    except (KeyError, TypeError, ValueError) as error:
        raise DriverError(f"{base_url}: {error!r}, expected a list of units") from error
    return tuple(
        UnitPlan(unit_id, EMULATED, community_hardware(size_wh), community_scenario(size_wh), address, address, unit_id)
        for unit_id, size_wh in sizes_wh.items()
    )


def connect_community(session: aiohttp.ClientSession, url: str, token: str | None = None) -> RemoteCommunity:
    """A community whose units run in a daemon elsewhere; the session stays the caller's. `token`: from pairing with it."""
    return RemoteCommunity(session, url, token)


@contextlib.asynccontextmanager
async def open_trial_community(data_dir: Path, zone: tzinfo, units: int) -> AsyncIterator[LocalCommunity]:
    """Emulated houses within this process to try a community on: with a past of some days, then in real time.

    Raises:
        ApisError: if it cannot start.

    """
    from .trial import open_trial_community as open_trial

    async with open_trial(data_dir, zone, units) as community:
        yield community
