"""A community to try: emulated houses within this process, with a past, on the clock of the day.

The past days run in virtual time into the ledger, so that calendar and statement have something to show; then the houses go
on in real time, from a state in which a deal begins soon.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
import contextlib
from datetime import datetime, timedelta, tzinfo
import logging
from pathlib import Path
import random

import orjson

from .clock import WallClock
from .cluster.embedded import EmbeddedHub
from .cluster.store_file import StoreFile
from .drivers.emulator import EmulatorDriver
from .emulator.engine import Engine, Site
from .emulator.faults import UnitFault
from .emulator.houses import House
from .emulator.profiles import bundled
from .emulator.world import World
from .guard.memory import MemoryGuard
from .ledger.database import LedgerDatabase, sqlite_url
from .ledger.unit_ledger import LedgerWriter, UnitLedger
from .local_community import LocalCommunity
from .model.errors import CommandRefusedError, MessageError
from .model.scenario import Scenario
from .node import Node
from .ports import Json
from .presets import community_hardware, community_policy, community_scenario
from .simulation.options import Options
from .simulation.run import simulate
from .unit.settings import Settings

_LOGGER = logging.getLogger(__name__)
DEFAULT_UNITS, PAST_DAYS = 4, 7.0
BATTERY_WH, RAMP_S = 4800.0, 5.0
# It runs within another program that waits for its end.
END_WITHIN_S = 9.0
DEAL_WH, DEAL_CURRENT_A = 100, 2.0
# Every other house has much sun: it gives what the others lack.
SOLARS_KW = (6.0, 1.0)
LOAD_SCALE = 0.3
# Above what gives and below what asks, so that a deal begins soon.
GIVER_PCT, TAKER_PCT = 85.0, 36.0
LEDGER, STORE, HOUSES = "ledger.sqlite", "cluster.sqlite", "houses.json"


def _options(units: int, now: datetime, days: float, zone: tzinfo) -> Options:
    start = (now.astimezone(zone) - timedelta(days=days)).replace(tzinfo=None, microsecond=0)
    return Options(
        units=units,
        days=days,
        start=start,
        zone=zone,
        solars_kw=SOLARS_KW,
        load_scale=LOAD_SCALE,
        battery_wh=BATTERY_WH,
        deal_wh=DEAL_WH,
        deal_current_a=DEAL_CURRENT_A,
    )


def make_past(folder: Path, units: int, now: datetime, zone: tzinfo, days: float = PAST_DAYS) -> None:
    """Let the houses live until `now`, in virtual time, and keep what they did in the ledger of a folder.

    It blocks for some seconds. Raises LedgerError if it cannot be kept.
    """
    result = simulate(_options(units, now, days, zone))
    folder.mkdir(parents=True, exist_ok=True)
    # Under its own name only once it is whole: whoever is interrupted here begins anew.
    unfinished = folder / f"{LEDGER}.unfinished"
    for path in folder.glob(f"{unfinished.name}*"):
        path.unlink()
    database = LedgerDatabase(sqlite_url(unfinished))
    try:
        for deal in result.deals:
            # What goes on as the past ends has no end: it has not happened.
            for unit_id in deal.unit_ids if deal.is_ended else ():
                database.record_deal(unit_id, deal, None)
    finally:
        database.close()
    charges = [round(100 * float(wh) / BATTERY_WH, 2) for wh in result.hours[-1].energy_wh]
    charges[:2] = [max(charges[0], GIVER_PCT), min(charges[1], TAKER_PCT)]
    (folder / HOUSES).write_bytes(orjson.dumps({"chargesPct": charges}))
    unfinished.rename(folder / LEDGER)


def _houses(folder: Path, units: int) -> tuple[House, ...]:
    try:
        charges = orjson.loads((folder / HOUSES).read_bytes())["chargesPct"]
    except OSError, orjson.JSONDecodeError, KeyError:
        charges = [GIVER_PCT, TAKER_PCT]
    return tuple(
        House(
            f"E{number + 1:03}",
            number,
            state_of_charge_pct=float(charges[number % len(charges)]),
            battery_wh=BATTERY_WH,
            solar_kw=SOLARS_KW[number % len(SOLARS_KW)],
            load_scale=LOAD_SCALE,
        )
        for number in range(units)
    )


@contextlib.asynccontextmanager
async def open_trial_community(folder: Path, zone: tzinfo, units: int = DEFAULT_UNITS) -> AsyncIterator[LocalCommunity]:
    """Emulated houses of the present, in real time; the first time after the past days were made.

    Raises:
        ApisError: if it cannot start.

    """
    clock = WallClock()
    if not (folder / LEDGER).exists():
        await asyncio.to_thread(make_past, folder, units, clock.now(), zone)
    world = await asyncio.to_thread(_world, folder, zone, units, clock)
    writer = LedgerWriter(await asyncio.to_thread(LedgerDatabase, sqlite_url(folder / LEDGER)), threaded=True)
    store = await asyncio.to_thread(StoreFile, folder / STORE)
    guards = MemoryGuard(clock)
    scenarios = {unit_id: await asyncio.to_thread(_last_scenario, writer.database, unit_id) for unit_id in world.engine.index}
    community = _community(world, zone, writer, store, guards, clock, scenarios)
    community.checkpoints = [writer.checkpoint, store.checkpoint]
    tasks = [asyncio.create_task(world.run()), asyncio.create_task(guards.run())]
    try:
        await community.start()
        try:
            yield community
        finally:
            await community.close()
            world.catch_up()
            charges = [round(100 * float(wh) / BATTERY_WH, 2) for wh in world.engine.energy_wh]
            await asyncio.to_thread((folder / HOUSES).write_bytes, orjson.dumps({"chargesPct": charges}))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()
        await writer.close()


def _world(folder: Path, zone: tzinfo, units: int, clock: WallClock) -> World:
    start = clock.now().astimezone(zone).replace(tzinfo=None)
    engine = Engine(_houses(folder, units), bundled(), start, Site(RAMP_S))
    return World(engine, clock.wall)


def _last_scenario(database: LedgerDatabase, unit_id: str) -> Scenario:
    """What a person gave the unit last, as its ledger has it; what all begin with otherwise."""
    versions = database.scenarios(unit_id)
    return Scenario.from_json(versions[-1]["scenario"])[0] if versions else community_scenario(BATTERY_WH)


def _mains(world: World, unit_id: str) -> Callable[[], Json]:
    return lambda: {"mains_power": round(float(world.engine.mains_w[world.engine.index[unit_id]]), 2)}


def _spoiler(world: World, unit_id: str) -> Callable[[Json], Awaitable[None]]:
    async def spoil(fault: Json) -> None:
        try:
            world.set_fault(unit_id, UnitFault.from_json(fault))
        except MessageError as error:
            raise CommandRefusedError(str(error)) from error

    return spoil


def _community(
    world: World,
    zone: tzinfo,
    writer: LedgerWriter,
    store: StoreFile,
    guards: MemoryGuard,
    clock: WallClock,
    scenarios: Mapping[str, Scenario],
) -> LocalCommunity:
    unit_ids = tuple(world.engine.index)
    policy = community_policy(len(unit_ids), DEAL_CURRENT_A, DEAL_WH)
    hub, rng = EmbeddedHub(store, clock.wall), random.Random()
    nodes = []
    for unit_id in unit_ids:
        settings = Settings(
            unit_id,
            policy,
            community_hardware(BATTERY_WH),
            scenarios[unit_id],
            zone,
            "trial",
            "trial",
            f"House {world.engine.index[unit_id] + 1}",
        )
        driver = EmulatorDriver(unit_id, world.send, spoil=_spoiler(world, unit_id), more=_mains(world, unit_id))
        ledger = UnitLedger(writer, unit_id)
        node_rng = random.Random(rng.getrandbits(64))
        nodes.append(Node(settings, driver, hub.join(unit_id), ledger, clock, node_rng, guard=guards.unit(unit_id, driver)))
    community = LocalCommunity(tuple(nodes), clock)
    community.guard, community.end_within_s = guards.scope, END_WITHIN_S
    return community
