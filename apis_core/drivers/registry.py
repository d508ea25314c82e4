"""Which drivers there are: the three of this package, and whatever other packages offer in the group `apis_core.drivers`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, cast

import aiohttp

from ..model.errors import ConfigError, Problem
from ..model.hardware import Hardware
from ..model.installation import DRIVER_GROUP, Address
from ..model.policy import Policy
from ..ports import Capabilities, Clock, Driver, Guard, Json
from .device import V1, V2, DeviceDriver, Family, capabilities_of
from .device_guard import DeviceGuard
from .emulator import EmulatorDriver
from .http import HttpSender


@dataclass(frozen=True, slots=True)
class Site:
    """Where a unit's device is, and what a driver is made with.

    `addresses`: of `emulator`, `dcdc_controller` and `emu_driver`; `options`: the configuration's `driver` object, for others.
    `timeout_s` and `attempts` are for each request. `on_leaving` is told when a reference is about to leave the line.
    """

    unit_id: str
    addresses: Mapping[str, Address]
    options: Mapping[str, Any]
    session: aiohttp.ClientSession
    clock: Clock
    timeout_s: float
    attempts: int
    on_leaving: Callable[[str], None]

    def sender(self, base_url: str) -> HttpSender:
        """What carries requests to a Web API."""
        return HttpSender(self.session, base_url, timeout_s=self.timeout_s, attempts=self.attempts)


@dataclass(frozen=True, slots=True)
class Opened:
    """A driver, and the way to its device's own dead-man where it has one (`capabilities.dead_man` is `device` then)."""

    driver: Driver
    guard: Guard | None = None


type Factory = Callable[[Site], Awaitable[Opened]]


def url(address: Address) -> str:
    """The base URL of a Web API."""
    return f"http://{address.host}:{address.port}"


async def open_emulator_driver(site: Site) -> Opened:
    """An emulated unit."""
    base_url = url(site.addresses["emulator"])
    sender = site.sender(base_url)

    async def spoil(fault: Json) -> None:
        await sender.put(f"/api/v1/units/{site.unit_id}/fault", fault)

    return Opened(EmulatorDriver(site.unit_id, sender, base_url, spoil=spoil))


async def open_v1(site: Site) -> Opened:
    """A device driver of the first family: converter and battery each have their own address."""
    return await _open_device(site, V1, url(site.addresses["emu_driver"]))


async def open_v2(site: Site) -> Opened:
    """A device driver of the second family. Raises DriverError if it does not speak version 2."""
    return await _open_device(site, V2, None)


async def _open_device(site: Site, family: Family, battery_url: str | None) -> Opened:
    base_url = url(site.addresses["dcdc_controller"])
    send = site.sender(base_url)
    capabilities = replace(await capabilities_of(family, send), base_url=base_url)
    driver = DeviceDriver(family, send, capabilities, None if battery_url is None else site.sender(battery_url))
    if capabilities.dead_man != "device":
        return Opened(driver)
    return Opened(driver, DeviceGuard(site.session, base_url, site.unit_id, site.clock, site.timeout_s, site.on_leaving))


BUILT_IN: dict[str, Factory] = {"dcdc_emulator": open_emulator_driver, "dcdc_v1": open_v1, "dcdc_v2": open_v2}


async def open_driver(system_type: str, site: Site) -> Opened:
    """The driver of a unit.

    Raises:
        ConfigError: if there is none of that type.
        DriverError: if its device is not what it should be.

    """
    factory = BUILT_IN.get(system_type)
    if factory is None:
        found = entry_points(group=DRIVER_GROUP, name=system_type)
        if not found:
            raise ConfigError((Problem("systemType", system_type, f"a driver in the group {DRIVER_GROUP}"),))
        factory = cast("Factory", next(iter(found)).load())
    return await factory(site)


def misfits(capabilities: Capabilities, hardware: Hardware, policy: Policy, where: str) -> tuple[Problem, ...]:
    """What a unit's hardware file and its community's policy ask of a device that it cannot do."""
    current_a, voltages_v = hardware.grid_current_capacity_a, (policy.operation_grid_voltage_min_v, policy.operation_grid_voltage_max_v)
    found = []
    largest_a, range_v = capabilities.largest_grid_current_a, capabilities.grid_voltage_range_v
    if largest_a is not None and current_a > largest_a:
        found.append(Problem(f"{where}: gridCurrentCapacityA", f"{current_a:g} A", f"at most {largest_a:g} A, as its driver says"))
    if range_v is not None and not range_v[0] <= voltages_v[0] <= voltages_v[1] <= range_v[1]:
        asked = f"{voltages_v[0]:g} to {voltages_v[1]:g} V"
        found.append(
            Problem(f"{where}: operationGridVoltageVRange", asked, f"within {range_v[0]:g} to {range_v[1]:g} V, as its driver says")
        )
    return tuple(found)
