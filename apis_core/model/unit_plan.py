"""What one unit is made from, as data: for whoever keeps units elsewhere than in an installation's files."""

from dataclasses import dataclass, field
from typing import Any, Self

from .errors import ConfigError, Problem
from .hardware import Hardware
from .installation import EMULATED, Address, UnitFiles, address_host, address_port, driver_options, system_type
from .keys import Key, any_text, read_keys, unit_id
from .scenario import Scenario

EMULATOR_PORT = 4390
BATTERY_PORT = 8080


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """A unit: who it is, where its device is, what its device can do, and the scenario it begins with.

    `device`: the emulator, or the converter's Web API; `battery`: the battery's, where it has one of its own.
    """

    unit_id: str
    system_type: str
    hardware: Hardware
    scenario: Scenario
    device: Address
    battery: Address
    name: str = ""
    serial_number: str = "NA"
    driver_options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str = "unit") -> Self:
        """Read and check.

        Raises:
            ConfigError: with every problem.

        """
        if not isinstance(data, dict):
            raise ConfigError((Problem(where, f"{data!r:.40}", "an object"),))
        values, _ = read_keys(_KEYS, {key: value for key, value in data.items() if key not in ("hardware", "scenario")}, where)
        problems: list[Problem] = []
        hardware = scenario = None
        try:
            hardware, _ = Hardware.from_json(data.get("hardware", {}), f"{where}: hardware")
        except ConfigError as error:
            problems += error.problems
        try:
            capacity_wh = None if hardware is None else hardware.battery_nominal_capacity_wh
            scenario, _ = Scenario.from_json(data.get("scenario", {}), f"{where}: scenario", capacity_wh)
        except ConfigError as error:
            problems += error.problems
        if problems or hardware is None or scenario is None:
            raise ConfigError(tuple(problems))
        device, battery = (Address(values.pop(f"{name}_host"), values.pop(f"{name}_port")) for name in ("device", "battery"))
        return cls(hardware=hardware, scenario=scenario, device=device, battery=battery, **values)

    def drives_the_same(self, other: UnitPlan) -> bool:
        """Whether both drive one converter: an emulator has many at one address, a converter's driver one, whatever it is called."""
        is_one = {self.system_type, other.system_type} != {EMULATED} or self.unit_id == other.unit_id
        return is_one and self.device == other.device

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "unitId": self.unit_id,
            "systemType": self.system_type,
            "unitName": self.name,
            "serialNumber": self.serial_number,
            "host": self.device.host,
            "port": self.device.port,
            "batteryHost": self.battery.host,
            "batteryPort": self.battery.port,
            "driver": self.driver_options,
            "hardware": self.hardware.to_json(),
            "scenario": self.scenario.to_json(),
        }

    @classmethod
    def of_files(cls, files: UnitFiles) -> Self:
        """What an existing installation says about a unit."""
        installation = files.installation
        return cls(
            unit_id=installation.unit_id,
            system_type=installation.system_type,
            hardware=files.hardware,
            scenario=files.scenario,
            device=installation.emulator if installation.system_type == EMULATED else installation.dcdc_controller,
            battery=installation.emu_driver,
            name=installation.unit_name,
            serial_number=installation.serial_number,
            driver_options=installation.driver_options,
        )

    @property
    def addresses(self) -> dict[str, Address]:
        """By the names that drivers know them under."""
        return {"emulator": self.device, "dcdc_controller": self.device, "emu_driver": self.battery}


_KEYS = (
    Key("unitId", "unit_id", unit_id),
    Key("systemType", "system_type", system_type, EMULATED),
    Key("unitName", "name", any_text, ""),
    Key("serialNumber", "serial_number", any_text, "NA"),
    Key("host", "device_host", address_host, "localhost"),
    Key("port", "device_port", address_port, EMULATOR_PORT),
    Key("batteryHost", "battery_host", address_host, "localhost"),
    Key("batteryPort", "battery_port", address_port, BATTERY_PORT),
    Key("driver", "driver_options", driver_options, {}),
)
