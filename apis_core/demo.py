"""Several houses trading energy on an emulated line, with a live picture of it and a record at the end."""

import asyncio
from collections.abc import Callable
import contextlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING, Any

from . import app
from .emulator.settings import Settings as EmulatorSettings
from .local_community import LocalCommunity
from .model.errors import ConfigError, Problem
from .model.modes import OperationMode
from .model.policy import Policy
from .model.scenario import Scenario
from .presets import hardware, policy_for, scenario
from .setups import demo_setups

if TYPE_CHECKING:
    from .emulator.world import World

# A summer morning: the sun is rising, some batteries are nearly full, others nearly empty.
START = datetime(2020, 6, 15, 9)  # noqa: DTZ001 - the emulated houses' local time
GIVER_PCT, TAKER_PCT = (97.0, 94.0), (45.0, 52.0)
GIVER_KW, TAKER_KW = 5.0, 1.0
LOAD_SCALE = 0.4
DRAIN_LIMIT_S, SETTLE_S = 20, 3


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is cut or ended `after_s` wall seconds: `driver` of a unit, or `node` of a unit (or `master`)."""

    kind: str
    unit_id: str
    after_s: float

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `driver:UNIT@S` or `node:UNIT@S`.

        Raises:
            ConfigError: if it is neither.

        """
        kind, _, rest = text.partition(":")
        unit_id, _, seconds = rest.partition("@")
        try:
            after_s = float(seconds)
        except ValueError:
            after_s = -1.0
        if kind not in ("driver", "node") or not unit_id or after_s < 0:
            raise ConfigError((Problem("--fault", text, "driver:UNIT@SECONDS, node:UNIT@SECONDS or node:master@SECONDS"),))
        return cls(kind, unit_id, after_s)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo is run with."""

    units: int = 4
    acceleration: float = 60.0
    duration_s: float | None = None
    scenario: Scenario | None = None
    policy: Policy | None = None
    data_dir: Path | None = None
    faults: tuple[Fault, ...] = ()
    load: Path | None = None
    solar: Path | None = None


@dataclass(slots=True)
class Meterman:
    """Reads the emulator's own integrals: what each battery exchanged with the line while its unit had deals [Wh]."""

    world: World
    community: LocalCommunity
    exchanged_wh: dict[str, float] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Note where a unit's deals begin and end."""
        active = {unit for deal in self.community.board.deals() if deal.is_active for unit in deal.unit_ids}
        if active == set(self._since):
            return
        self.world.catch_up()
        for unit_id in active - set(self._since):
            self._since[unit_id] = self._integral_wh(unit_id)
        for unit_id in set(self._since) - active:
            begun_wh = self._since.pop(unit_id)
            self.exchanged_wh[unit_id] = self.exchanged_wh.get(unit_id, 0.0) + self._integral_wh(unit_id) - begun_wh

    def _integral_wh(self, unit_id: str) -> float:
        return float(self.world.engine.battery_integral_wh[self.world.engine.index[unit_id]])


type Show = Callable[[LocalCommunity], None]


async def run(options: DemoOptions, show: Show, stop: asyncio.Event) -> dict[str, Any]:
    """Run until the duration is over or `stop` is set; drains, and returns the record.

    Raises:
        ApisError: if emulator or units cannot start.

    """
    with contextlib.ExitStack() as stack:
        folder = options.data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apis-demo-")))
        odd = options.units
        emulator = EmulatorSettings(
            units=options.units,
            port=0,
            acceleration=options.acceleration,
            start=START,
            load=options.load,
            solar=options.solar,
            charges_pct=tuple((GIVER_PCT if i % 2 == 0 else TAKER_PCT)[i // 2 % 2] for i in range(odd)),
            solar_kw=tuple(GIVER_KW if i % 2 == 0 else TAKER_KW for i in range(odd)),
            load_scale=LOAD_SCALE,
        )
        async with app.open_emulator(emulator) as (world, port):
            setups = demo_setups(
                options.units, port, options.policy or policy_for(options.units), hardware(), options.scenario or scenario()
            )
            async with app.open_community(setups, folder, guarded=False) as community:
                meterman = Meterman(world, community)
                community.observe(meterman.look)
                await _play(options, community, world, show, stop)
                await _drain(community, show)
                meterman.look()
                return await record(community, meterman)


async def _play(options: DemoOptions, community: LocalCommunity, world: World, show: Show, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    pending = sorted(options.faults, key=lambda fault: fault.after_s)
    while not stop.is_set():
        passed_s = loop.time() - begin_s
        if options.duration_s is not None and passed_s >= options.duration_s:
            return
        while pending and pending[0].after_s <= passed_s:
            await _cut(pending.pop(0), community, world)
        show(community)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.25):
                await stop.wait()


async def _cut(fault: Fault, community: LocalCommunity, world: World) -> None:
    unit_id = fault.unit_id
    if unit_id == "master":
        unit_id = community.snapshot_now().grid_master or next(iter(community.nodes))
    if fault.kind == "driver":
        from .emulator.faults import UnitFault

        world.set_fault(unit_id, UnitFault(silent=True))
    elif unit_id not in community.dead:
        await community.kill_unit(unit_id)


async def _drain(community: LocalCommunity, show: Show) -> None:
    """End all deals in order and wait until every ledger has them."""
    if community.dead >= set(community.nodes):
        return
    await community.set_mode(OperationMode.STOP, None, "demo")
    for step in range(DRAIN_LIMIT_S * 10):
        show(community)
        left = community.board.deals()
        # What has ended leaves the store once both ledgers have it; a dead unit's never has.
        if not left or (step > SETTLE_S * 10 and all(deal.is_ended for deal in left)):
            return
        await asyncio.sleep(0.1)


async def record(community: LocalCommunity, meterman: Meterman) -> dict[str, Any]:
    """What happened, for `--json`."""
    deals = await community.deals()
    units = {}
    for view in community.snapshot_now().units:
        account = community.nodes[view.unit_id].controller.account
        own = [deal for deal in deals if view.unit_id in deal.unit_ids]
        sides = {deal.deal_id: deal.side_of(view.unit_id) for deal in own}
        deals_wh = sum(side.sign * deal.side_energy(view.unit_id).battery_wh for deal in own if (side := sides[deal.deal_id]))
        units[view.unit_id] = {
            "state_of_charge_pct": view.state_of_charge_pct,
            "converter_mode": view.converter_mode,
            "alive": view.alive,
            "deals": len(own),
            "deals_wh": deals_wh,
            "unattributed_wh": account.unattributed_total_wh,
            "unattributed_by_cause_wh": dict(account.unattributed_wh),
            "recorded_wh": deals_wh + account.unattributed_total_wh,
            "emulator_wh": meterman.exchanged_wh.get(view.unit_id, 0.0),
        }
    given = sum(deal.side_energy(deal.discharge_unit_id).battery_wh for deal in deals)
    taken = sum(deal.side_energy(deal.charge_unit_id).battery_wh for deal in deals)
    return {
        "units": units,
        "deals": [deal.to_json() for deal in deals],
        "grid_master_changes": community.grid_master_changes,
        "errors": [event.data for event in community.events if event.kind == "error"],
        "energy_balance_wh": {
            "given": given,
            "taken": taken,
            "lost": given - taken,
            "unattributed": sum(unit["unattributed_wh"] for unit in units.values()),
            "recorded": sum(unit["recorded_wh"] for unit in units.values()),
            "emulator": sum(unit["emulator_wh"] for unit in units.values()),
        },
    }
