"""Where units are made: a driver that can do what is asked of it, and the node around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import hashlib
import logging
from pathlib import Path
import random
import tempfile
from typing import Any

import aiohttp
import orjson

from .cluster.embedded import EmbeddedHub
from .drivers.registry import Opened, Site, misfits, open_driver
from .guard.client import GuardProcess
from .guard.memory import MemoryGuard
from .ledger.unit_ledger import LedgerWriter, UnitLedger
from .model.errors import ConfigError
from .model.installation import EMULATED, Address, UnitFiles
from .model.scenario import Scenario
from .model.unit_plan import UnitPlan
from .node import Node
from .ports import Clock, Driver, Guard, Ledger
from .unit.settings import Settings

_LOGGER = logging.getLogger(__name__)
ORIGIN = "scenario_origin"


@dataclass(frozen=True, slots=True)
class UnitSetup:
    """Everything one unit of this process is made from: `files`, or a `plan` that somebody keeps as data.

    `addresses` by the names that drivers know them under.
    """

    settings: Settings
    addresses: Mapping[str, Address]
    system_type: str = EMULATED
    driver_options: Mapping[str, Any] = field(default_factory=dict)
    deal_log_format: str | None = None
    state_file: Path | None = None
    files: UnitFiles | None = None
    plan: UnitPlan | None = None

    @property
    def emulator(self) -> Address:
        """Where its emulator is, if it is an emulated one."""
        return self.addresses["emulator"]


class Workshop:
    """What all units of this process share, and how another one is made from it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        hub: EmbeddedHub,
        writer: LedgerWriter,
        guards: GuardProcess | MemoryGuard,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`guards`: what outlives a unit, or not."""
        self._session = session
        self._hub = hub
        self._writer = writer
        self._guards = guards
        self._clock = clock
        self._rng = rng
        self.on_leaving: Callable[[str], None] = lambda _unit_id: None

    async def open(self, setup: UnitSetup) -> Opened:
        """See `open_device`."""
        return await open_device(self._session, setup, self._clock, self._tell_leaving)

    def _tell_leaving(self, unit_id: str) -> None:
        self.on_leaving(unit_id)

    async def make(self, setup: UnitSetup, device: Opened) -> Node:
        """The unit around its driver; not started yet. Raises ClusterError if there is one of that id."""
        settings, unit_id = setup.settings, setup.settings.unit_id
        ledger = UnitLedger(self._writer, unit_id)
        settings.scenario = await last_scenario(ledger, settings)
        return Node(
            settings,
            device.driver,
            self._hub.join(unit_id),
            ledger,
            self._clock,
            random.Random(self._rng.getrandbits(64)),
            guard=device.guard or self._guard_of(setup, device.driver),
            deal_log_format=setup.deal_log_format,
            state_file=setup.state_file,
        )

    def _guard_of(self, setup: UnitSetup, driver: Driver) -> Guard | None:
        """The unit's dead-man, where its device has none."""
        if driver.capabilities.dead_man != "guard":
            return None
        unit_id, base_url = setup.settings.unit_id, driver.capabilities.base_url
        if isinstance(self._guards, MemoryGuard):
            return self._guards.unit(unit_id, driver)
        name = "".join(c if c.isalnum() else "-" for c in f"{base_url}-{unit_id}")
        return self._guards.unit(
            unit_id,
            base_url=base_url,
            status=driver.ask_status(),
            lock=Path(tempfile.gettempdir()) / f"apis-writer-{name}.lock",
            timeout_s=setup.settings.policy.request_timeout_s,
        )


async def open_device(
    session: aiohttp.ClientSession, setup: UnitSetup, clock: Clock, on_leaving: Callable[[str], None] = lambda _unit_id: None
) -> Opened:
    """The driver of a unit, which can do what the unit's limits and the policy ask of it.

    Raises:
        ConfigError: if it cannot, or there is none of that name.
        DriverError: if its device is not what it should be.

    """
    settings = setup.settings
    policy, hardware = settings.policy, settings.hardware
    timeout_s, attempts = policy.request_timeout_s, policy.request_limit
    site = Site(settings.unit_id, setup.addresses, setup.driver_options, session, clock, timeout_s, attempts, on_leaving)
    device = await open_driver(setup.system_type, site)
    problems = misfits(device.driver.capabilities, hardware, policy, settings.unit_id)
    if problems:
        await device.driver.close()
        raise ConfigError(problems)
    return device


async def last_scenario(ledger: Ledger, settings: Settings) -> Scenario:
    """What the unit lives by: the last that a person gave it, or what it came with if that is new."""
    stored = await ledger.state(ORIGIN)
    versions = await ledger.scenarios()
    if versions and stored is not None and stored.get("mark") == mark_of(settings.scenario):
        try:
            return Scenario.from_json(versions[-1]["scenario"], "ledger", settings.hardware.battery_nominal_capacity_wh)[0]
        except ConfigError as error:
            _LOGGER.warning("%s: its last scenario does not go with its battery: %s", settings.unit_id, error)
    await came_with(ledger, settings.scenario)
    return settings.scenario


async def came_with(ledger: Ledger, scenario: Scenario) -> None:
    """Remember which scenario a unit's files, or whoever made it, gave it: another one there is new."""
    await ledger.set_state(ORIGIN, {"mark": mark_of(scenario)})


def mark_of(scenario: Scenario) -> str:
    """What tells one scenario from another."""
    return hashlib.sha256(orjson.dumps(scenario.to_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()
