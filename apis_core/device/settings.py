"""How a device driver is set up: the original driver's YAML file with our own keys under `apis` (hardware reference 2.8), or an app's options."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import probatio

from ..drivers.eza2500.client import Timing
from ..drivers.modbus_battery import Register, RegisterMap
from ..drivers.serial_port import Direction
from ..model.errors import ConfigError, Problem
from ..model.files import read_file
from ..model.keys import Key, Notice, any_text, flag, number, one_of, read_keys, text, whole
from ..rules.device_watch import WatchLimits
from ..web import access_problems

NO_PIN = "not_used"
PORT = 8080
# Where an app finds what a person put into its folder.
APP_FOLDER = Path("/config")


@dataclass(frozen=True, slots=True)
class LineSettings:
    """A serial line."""

    port: str
    baud_rate: int
    direction: Direction = Direction.ADAPTER
    pin: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """The converter's protection and battery settings, as the original file names them [A, V]."""

    cib: float = 52.0
    ubv: float = 40.0
    obv: float = 59.0
    ugv: float = 300.0
    ogv: float = 400.0
    bcf: int = 3
    cvb: float = 57.6
    dlb: float = 49.0
    cdb: float = 1.2
    ddb: float = 1.8
    drb: float = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a device driver. `largest_current_a`: what may be asked of the converter at most."""

    converter: LineSettings
    battery: LineSettings | None
    name: str = "dcdc1"
    converter_address: int = 0
    driver_address: int = 16
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    largest_current_a: float = 8.5162
    battery_unit: int = 1
    battery_timeout_s: float = 1.0
    registers: RegisterMap = field(default_factory=RegisterMap)
    battery_voltage_v: float = 52.0
    battery_current_a: float = 20.0
    watch: WatchLimits = field(default_factory=lambda: WatchLimits(300.0, 400.0, 400.0))
    current_mode_dead_man_s: float = 5.0
    reference_dead_man_s: float = 35.0
    poll_s: float = 0.5
    battery_poll_s: float = 2.0
    max_age_s: float = 2.0
    battery_max_age_s: float = 10.0
    confirm_s: float = 1.0
    host: str = "127.0.0.1"
    port: int = PORT
    token: str = ""
    allow: tuple[str, ...] = ()
    data_dir: Path | None = None
    goodbye: bool = False
    path: Path | None = None

    def problems(self) -> tuple[Problem, ...]:
        """What cannot be."""
        found = list(access_problems(self.host, self.token, self.allow))
        if self.watch.lowest_v >= self.watch.highest_v:
            found.append(Problem("apis.line_voltage", f"{self.watch.lowest_v:g} to {self.watch.highest_v:g} V", "the lower one first"))
        if self.current_mode_dead_man_s >= self.reference_dead_man_s:
            sentence = f"less than apis.reference_dead_man_s ({self.reference_dead_man_s:g}): no current mode may outlive its reference"
            found.append(Problem("apis.current_mode_dead_man_s", f"{self.current_mode_dead_man_s:g}", sentence))
        return tuple(found)


def read(path: Path, flags: Mapping[str, Any] | None = None) -> tuple[Settings, tuple[Notice, ...]]:
    """The settings of a file; what `flags` say of the `apis` keys, where they are not None, counts more.

    Raises:
        ConfigError: with every problem.

    """
    data, where = read_file(path), str(path)
    if "ess_system" not in data and {"converter_port", "converter_baud_rate", "config_file"} & data.keys():
        options, _ = read_keys(_OPTIONS, data, where)
        if options["config_file"]:
            given = {key: value for key, value in (flags or {}).items() if value is not None}
            own = {"token": options["token"] or None, **given, "allow": [*options["allow"], *given.get("allow", ())]}
            return read(APP_FOLDER / options["config_file"], own)
        if not options["converter_port"]:
            raise ConfigError((Problem(f"{where}: converter_port", "nothing", "the converter's port, or config_file"),))
        data = _of_options(options)
    top, notices = read_keys(_TOP, data, where)
    system = top["system"]
    dcdc, found = read_keys(_DCDC, _first(system, "dcdc_dev", f"{where}: ess_system"), f"{where}: ess_system.dcdc_dev")
    notices += found
    battery_data = _first(system, "battery_dev", f"{where}: ess_system", optional=True)
    battery: dict[str, Any] | None = None
    if battery_data is not None and battery_data.get("class", "ESSXModbus") not in ("None", None):
        battery, found = read_keys(_BATTERY, battery_data, f"{where}: ess_system.battery_dev")
        notices += found
    kind, found = read_keys(_KIND, _named(top["dcdc"], dcdc["config"], f"{where}: dcdc"), f"{where}: dcdc.{dcdc['config']}")
    notices += found
    pack: dict[str, Any] = {}
    if battery is not None and battery["config"]:
        pack, found = read_keys(
            _PACK, _named(top["battery"], battery["config"], f"{where}: battery"), f"{where}: battery.{battery['config']}"
        )
        notices += found
    chosen = {key: value for key, value in (flags or {}).items() if value is not None}
    # Whoever is allowed by the file stays so.
    chosen["allow"] = [*(top["apis"].get("allow") or ()), *chosen.get("allow", ())]
    own, found = read_keys(_OWN, {**top["apis"], **chosen}, f"{where}: apis")
    settings = _built(dcdc, battery, kind, pack, own)
    problems = settings.problems()
    if problems:
        raise ConfigError(tuple(replace(problem, where=f"{where}: {problem.where}") for problem in problems))
    return replace(settings, path=path), notices + found


def _of_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """An app's options as the original's file would say them."""
    system: dict[str, Any] = {"dcdc_dev": {"config": "app", "params": [options["converter_port"], options["converter_baud_rate"]]}}
    if options["battery_port"]:
        system["battery_dev"] = {
            "kwparams": {"port": options["battery_port"], "baudrate": options["battery_baud_rate"]},
            "unit": options["battery_unit"],
            "modbus_adr_rsoc": options["battery_charge_register"],
            "modbus_adr_status": options["battery_permission_register"],
        }
    own = {key: options[key] for key in ("largest_current_a", "token") if options[key]} | {"allow": list(options["allow"])}
    return {"ess_system": system, "dcdc": {"app": {"type": "tdk_eza2500"}}, "apis": own}


def _built(
    dcdc: dict[str, Any], battery: dict[str, Any] | None, kind: dict[str, Any], pack: dict[str, Any], own: dict[str, Any]
) -> Settings:
    limits = Limits(**{name: kind[name] for name in Limits.__slots__})
    device, baud_rate = dcdc["params"]
    timing = Timing(
        answer_s=own["answer_s"],
        gap_s=own["gap_s"],
        retry_pause_s=own["retry_pause_s"],
        error_retries=kind["error_retries"],
        timeout_retries=kind["timeout_retries"],
    )
    denied_s = 10.0 if pack.get("force_waiting") and own["battery_denied_s"] is None else own["battery_denied_s"] or 60.0
    watch = WatchLimits(
        own["lowest_v"] or limits.ugv,
        own["highest_v"] or limits.ogv,
        own["highest_v"] or limits.ogv,
        own["voltage_s"],
        denied_s,
        own["battery_silent_s"],
    )
    settings = Settings(
        _line(device, baud_rate, dcdc["dir_pin"], own["direction"], own["pin"]),
        None if battery is None else _line(battery["port"], battery["baudrate"], battery["dir_pin"], own["battery_direction"], ""),
        name=dcdc["name"],
        converter_address=dcdc["address1"],
        driver_address=dcdc["address2"],
        timing=timing,
        limits=limits,
        watch=watch,
        **{name: value for name, value in own.items() if name in _PLAIN and value is not None},
    )
    if battery is not None:
        others = tuple(Register(**register) for register in own["registers"])
        settings = replace(
            settings,
            battery_unit=battery["unit"],
            battery_timeout_s=battery["timeout"],
            registers=RegisterMap(battery["modbus_adr_rsoc"], battery["modbus_adr_status"], own["charge_scale"], others),
            battery_voltage_v=pack.get("battery_voltage", 52.0),
            battery_current_a=pack.get("battery_current", 20.0),
        )
    return settings


def _line(port: str, baud_rate: int, old_pin: str, direction: str | None, pin: str | None) -> LineSettings:
    """A line; the original's `dir_pin` of a BeagleBone is the kernel's business today."""
    if direction is None:
        direction = Direction.ADAPTER if old_pin == NO_PIN else Direction.KERNEL
    return LineSettings(port, baud_rate, Direction(direction), pin or "")


def _first(system: dict[str, Any], name: str, where: str, *, optional: bool = False) -> Any:
    """The first of a list, or the one mapping itself: the original's file and its manual differ."""
    value = system.get(name)
    if isinstance(value, list) and value:
        value = value[0]
    if value is None and optional:
        return None
    if not isinstance(value, dict):
        raise ConfigError((Problem(f"{where}.{name}", "nothing" if value is None else repr(value)[:60], "a list of devices"),))
    return value


def _named(parts: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    if not isinstance(parts.get(name), dict):
        raise ConfigError((Problem(f"{where}.{name}", "nothing", f"the settings that `config: {name}` names"),))
    return dict(parts[name])


def _objects(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise probatio.Invalid("an object")
    return value


def _serial(value: Any) -> tuple[str, int]:
    match value:
        case [str(device), int(baud_rate)] if device and baud_rate > 0:
            return device, baud_rate
    raise probatio.Invalid('a port and its speed, such as ["/dev/ttyUSB0", 19200]')


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise probatio.Invalid("a list of texts")
    return tuple(value)


def _registers(value: Any) -> tuple[dict[str, Any], ...]:
    schema = probatio.Schema(
        {
            probatio.Required("name"): text,
            probatio.Required("address"): whole(at_least=30001),
            "scale": number(),
            "low": number(),
            "high": number(),
            "signed": flag,
        }
    )
    if not isinstance(value, list):
        raise probatio.Invalid("a list of registers")
    return tuple(schema(item) for item in value)


def _path(value: Any) -> Path:
    return Path(text(value))


_PLAIN = (
    "largest_current_a", "current_mode_dead_man_s", "reference_dead_man_s", "poll_s", "battery_poll_s", "max_age_s",
    "battery_max_age_s", "confirm_s", "host", "port", "token", "allow", "data_dir",
)  # fmt: skip
_TOP = (
    Key("ess_system", "system", _objects),
    Key("dcdc", "dcdc", _objects),
    Key("battery", "battery", _objects, {}),
    Key("apis", "apis", _objects, {}),
)
_OPTIONS = (
    Key("converter_port", "converter_port", any_text, ""),
    Key("converter_baud_rate", "converter_baud_rate", whole(at_least=1), 19200),
    Key("largest_current_a", "largest_current_a", number(above=0, at_most=8.5162), None),
    Key("battery_port", "battery_port", any_text, ""),
    Key("battery_baud_rate", "battery_baud_rate", whole(at_least=1), 9600),
    Key("battery_unit", "battery_unit", whole(at_least=0), 1),
    Key("battery_charge_register", "battery_charge_register", whole(at_least=30001), 30030),
    Key("battery_permission_register", "battery_permission_register", whole(at_least=30001), 30031),
    Key("config_file", "config_file", any_text, ""),
    Key("token", "token", any_text, ""),
    Key("allow", "allow", _texts, ()),
)
_DCDC = (
    Key("name", "name", text, "dcdc1"),
    Key("config", "config", text),
    Key("class", "class", one_of("ESSXRS485"), "ESSXRS485"),
    Key("params", "params", _serial),
    Key("kwparams.dir_pin", "dir_pin", text, NO_PIN),
    Key("address1", "address1", whole(at_least=0), 0),
    Key("address2", "address2", whole(at_least=0), 16),
)
_BATTERY = (
    Key("name", "name", any_text, ""),
    Key("config", "config", any_text, ""),
    Key("class", "class", one_of("ESSXModbus"), "ESSXModbus"),
    Key("params", "", lambda value: value, None, unused="the port and its speed stand in kwparams"),
    Key("kwparams.method", "method", one_of("rtu"), "rtu"),
    Key("kwparams.port", "port", text),
    Key("kwparams.timeout", "timeout", number(above=0), 1.0),
    Key("kwparams.baudrate", "baudrate", whole(at_least=1), 9600),
    Key("kwparams.dir_pin", "dir_pin", text, NO_PIN),
    Key("unit", "unit", whole(at_least=0), 1),
    Key("modbus_adr_rsoc", "modbus_adr_rsoc", whole(at_least=30001), 30030),
    Key("modbus_adr_status", "modbus_adr_status", whole(at_least=30001), 30031),
)
_KIND = (
    Key("type", "type", one_of("tdk_eza2500"), "tdk_eza2500"),
    Key("number_of_dcdc_error_retry", "error_retries", whole(at_least=0), 3),
    Key("number_of_timeout_retry", "timeout_retries", whole(at_least=0), 3),
    Key("wait_for_retry", "", number(at_least=0), None, unused="apis.retry_pause_s says how long to wait; the original never read this"),
    Key("config.cib", "cib", number(at_least=0, at_most=56.77), 52.0),
    Key("config.ubv", "ubv", number(at_least=32, at_most=68), 40.0),
    Key("config.obv", "obv", number(at_least=32, at_most=68), 59.0),
    Key("config.ugv", "ugv", number(at_least=260, at_most=425), 300.0),
    Key("config.ogv", "ogv", number(at_least=260, at_most=425), 400.0),
    Key("config.bcf", "bcf", whole(at_least=0), 3),
    Key("config.cvb", "cvb", number(at_least=32, at_most=62), 57.6),
    Key("config.dlb", "dlb", number(at_least=32, at_most=64), 49.0),
    Key("config.cdb", "cdb", number(at_least=0, at_most=12), 1.2),
    Key("config.ddb", "ddb", number(at_least=0, at_most=12), 1.8),
    Key("config.drb", "drb", number(at_least=0, at_most=3.999), 0.0),
)
_PACK = (
    Key("type", "", any_text, None),
    Key("config.battery_voltage", "battery_voltage", number(above=0), 52.0),
    Key("config.battery_current", "battery_current", number(above=0), 20.0),
    Key("config.force_dcdc_waiting", "force_waiting", flag, default=False),
)
_OWN = (
    Key("host", "host", text, None),
    Key("port", "port", whole(at_least=0), None),
    Key("token", "token", any_text, None),
    Key("allow", "allow", _texts, None),
    Key("data_dir", "data_dir", _path, None),
    Key("direction", "direction", one_of(*Direction), None),
    Key("pin", "pin", text, None),
    Key("battery_direction", "battery_direction", one_of(Direction.ADAPTER, Direction.KERNEL), None),
    Key("answer_s", "answer_s", number(above=0), 0.1),
    Key("gap_s", "gap_s", number(at_least=0), 0.01),
    Key("retry_pause_s", "retry_pause_s", number(at_least=0), 0.1),
    Key("largest_current_a", "largest_current_a", number(above=0, at_most=8.5162), None),
    Key("line_voltage.min", "lowest_v", number(above=0), None),
    Key("line_voltage.max", "highest_v", number(above=0), None),
    Key("line_voltage.seconds", "voltage_s", number(above=0), 1.0),
    Key("battery_denied_s", "battery_denied_s", number(above=0, at_most=100), None),
    Key("battery_silent_s", "battery_silent_s", number(above=0), 60.0),
    Key("battery_registers", "registers", _registers, ()),
    Key("battery_charge_scale", "charge_scale", number(above=0), 0.1),
    Key("current_mode_dead_man_s", "current_mode_dead_man_s", number(above=0), None),
    Key("reference_dead_man_s", "reference_dead_man_s", number(above=0), None),
    Key("poll_s", "poll_s", number(above=0), None),
    Key("battery_poll_s", "battery_poll_s", number(above=0), None),
    Key("max_age_s", "max_age_s", number(above=0), None),
    Key("battery_max_age_s", "battery_max_age_s", number(above=0), None),
    Key("confirm_s", "confirm_s", number(above=0), None),
)
