"""Drivers as units are given them: by name, from other packages, and with what their devices can do."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
import re
import sys
import types

import aiohttp
import pytest

from apis_core.clock import WallClock
from apis_core.drivers import registry
from apis_core.drivers.registry import Site, misfits, open_driver
from apis_core.model import installation
from apis_core.model.converter import Battery, Permission
from apis_core.model.errors import ConfigError
from apis_core.model.installation import Address, load_unit
from apis_core.ports import Capabilities
from tests.builders import a_hardware, a_policy
from tests.model.test_files import CONFIG, write

DOCS = Path(__file__).parents[2] / "docs/drivers.md"


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation's own template, installed as another package's driver."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if "AcmeInverter" in block)
    module = types.ModuleType("apis_acme")
    exec(compile(code, "docs/drivers.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "apis_acme", module)

    def found(*, group: str, name: str | None = None) -> EntryPoints:
        points = EntryPoints([EntryPoint("acme_inverter", "apis_acme:open_driver", "apis_core.drivers")])
        return points.select(group=group) if name is None else points.select(group=group, name=name)

    monkeypatch.setattr(registry, "entry_points", found)
    monkeypatch.setattr(installation, "entry_points", found)


@pytest.mark.usefixtures("acme")
async def test_a_driver_of_another_package_is_found_by_its_name(tmp_path: Path) -> None:
    unit = load_unit(write(tmp_path, files={"config": {**CONFIG, "systemType": "acme_inverter", "driver": {"url": "http://127.0.0.1:1"}}}))
    async with aiohttp.ClientSession() as session:
        options = unit.installation.driver_options
        site = Site("E001", {"emulator": Address("localhost", 4390)}, options, session, WallClock(), 1.0, 1, lambda _unit: None)
        opened = await open_driver(unit.installation.system_type, site)
        assert opened.driver.capabilities.largest_grid_current_a == 5.0
        assert opened.guard is None
        with pytest.raises(ConfigError, match="found toaster, expected a driver in the group"):
            await open_driver("toaster", site)


def test_what_a_device_cannot_do_is_told_before_it_is_asked_to() -> None:
    hardware = a_hardware(grid_current_capacity_a=7.1)
    policy = a_policy(2, operation_grid_voltage_min_v=300.0, operation_grid_voltage_max_v=380.0)
    small = Capabilities("acme", "device", largest_grid_current_a=5.0, grid_voltage_range_v=(340.0, 370.0))
    found = [str(problem) for problem in misfits(small, hardware, policy, "E001")]
    assert found == [
        "E001: gridCurrentCapacityA: found 7.1 A, expected at most 5 A, as its driver says",
        "E001: operationGridVoltageVRange: found 300 to 380 V, expected within 340 to 370 V, as its driver says",
    ]
    assert misfits(Capabilities("acme"), hardware, policy, "E001") == ()


def test_what_only_charges_never_gives_and_never_holds_the_line() -> None:
    assert Capabilities("acme", "device").can_hold_voltage
    assert not Capabilities("acme", "device", charge_only=True).can_hold_voltage
    assert not Capabilities("acme", "device", has_droop=False).can_hold_voltage
    assert not Capabilities("acme", "none").can_hold_voltage
    assert Battery(50.0).without_discharging().permission is Permission.CHARGE_ONLY
    assert Battery(50.0, Permission.DISCHARGE_ONLY).without_discharging().permission is Permission.DENIED
