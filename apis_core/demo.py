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
from .community import LocalCommunity
from .emulator.settings import Settings as EmulatorSettings
from .model.errors import ConfigError, Problem
from .model.hardware import Hardware, Range
from .model.modes import OperationMode
from .model.policy import Policy
from .model.scenario import Scenario

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
            setups = app.demo_setups(
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


def policy_for(units: int) -> Policy:
    """A policy for an emulated line: 350 V, deals of 50 Wh at 1 A, autonomous from the start."""
    return Policy(
        member_unit_ids=tuple(f"E{i + 1:03}" for i in range(units)),
        operation_mode=OperationMode.AUTONOMOUS,
        operation_grid_voltage_v=350,
        operation_grid_voltage_min_v=300,
        operation_grid_voltage_max_v=380,
        grid_voltage_separation_v=10,
        grid_voltage_allowance_v=4,
        grid_current_step_a=1,
        grid_uvlo_mask_v=10,
        leak_allowance_per_unit_a=0.125,
        sum_of_deal_grid_current_max_a=100,
        deal_grid_current_a=1,
        deal_amount_min_wh=50,
        deal_amount_max_wh=50,
        deal_amount_unit_wh=50,
        discharge_unit_lower_limit_pct=20,
        charge_unit_upper_limit_pct=95,
        house_keeping_period_s=5.0,
        grid_master_selection="anywhere",
        # The devices are in this very process: one that does not answer at once will not answer later.
        request_timeout_s=1.0,
        request_limit=2,
        stop_me_timeout_s=15.0,
    )


def hardware() -> Hardware:
    """An emulated house: 4.8 kWh, two deals of 1 A at a time."""
    return Hardware(
        battery_nominal_capacity_wh=4800,
        grid_current_capacity_a=2.3,
        grid_current_allowance_a=0.125,
        droop_ratio=0.039,
        temperature_range_c=Range(0, 45),
        grid_voltage_range_v=Range(-4, 385),
        battery_voltage_range_v=Range(32, 58.4),
        grid_current_range_a=Range(-2.5, 2.5),
        battery_current_range_a=Range(-25, 25),
        efficient_battery_grid_voltage_ratio=6.5,
    )


def scenario() -> Scenario:
    """Give what is above 85 %, ask for what is missing to 60 %, accept in between."""

    def wish(direction: str, limit_wh: int, price: float) -> dict[str, Any]:
        return {direction: {"limitWh": limit_wh, "pointPerWh": price}}

    content = {
        "acceptSelection": {"strategy": "pointAndAmount"},
        "00:00:00-24:00:00": {
            "batteryStatus": {"4080-": "excess", "3600-4080": "sufficient", "2880-3600": "scarce", "-2880": "short"},
            "request": {"excess": wish("discharge", 4080, 10), "short": wish("charge", 2880, 12)},
            "accept": {
                "excess": wish("discharge", 3600, 10),
                "sufficient": wish("discharge", 3600, 10),
                "scarce": wish("charge", 3600, 10),
                "short": wish("charge", 3600, 12),
            },
        },
    }
    return Scenario.from_json(content)[0]
