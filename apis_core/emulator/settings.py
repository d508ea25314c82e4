"""How an emulator is set up: by a file, by the environment, by flags; the original's configuration names are understood."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
import json
from pathlib import Path
from typing import Any

import probatio

from ..model.errors import Problem
from ..model.files import read_file
from ..model.keys import Key, Notice, any_text, flag, number, read_keys, text, whole
from ..web import access_problems
from .houses import LOSS_NAMES, Losses, Triggers

PREFIX = "APIS_EMULATOR_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about an emulator.

    `token`: what a client from elsewhere has to show; `allow`: addresses and networks that need none. `individual`: a CSV or
    Parquet file, or a database's URL, for the state of each unit every `record_interval_s`; `summary`: a CSV file with the
    days of all units; `record`: both, as CSV files in the data folder.
    """

    units: int = 4
    host: str = "127.0.0.1"
    port: int = 4390
    acceleration: float = 1.0
    start: datetime = datetime(2020, 1, 1)  # noqa: DTZ001 - the emulated houses' local time
    load: Path | None = None
    solar: Path | None = None
    charges_pct: tuple[float, ...] = ()
    solar_kw: tuple[float, ...] = ()
    load_scale: float = 1.0
    battery_wh: float = 4800.0
    battery_voltage_v: float = 48.0
    ramp_s: float = 120.0
    line_resistance_ohm: float = 0.0
    droop: bool = False
    losses: Losses = field(default_factory=Losses)
    triggers: Triggers = field(default_factory=Triggers)
    data_dir: Path | None = None
    summary: Path | None = None
    individual: str | None = None
    record: bool = False
    record_interval_s: float = 60.0
    token: str = ""
    allow: tuple[str, ...] = ()

    def problems(self) -> tuple[Problem, ...]:
        """What cannot be."""
        return access_problems(self.host, self.token, self.allow)


def read(path: Path | None, environment: Mapping[str, str]) -> tuple[Settings, tuple[Notice, ...]]:
    """Settings from a file and, above it, the environment (APIS_EMULATOR_PORT and so on).

    Raises:
        ConfigError: with every problem.

    """
    settings, notices = Settings(), tuple[Notice, ...]()
    if path is not None:
        values, notices = read_keys(_KEYS, read_file(path), str(path))
        settings = _from_file({key: value for key, value in values.items() if value is not None})
    chosen = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    if chosen:
        values, _ = read_keys(_KEYS, {key: _literal(value) for key, value in chosen.items()}, "environment")
        settings = _from_file({key: value for key, value in values.items() if value is not None}, settings)
    return settings, notices


def _literal(value: str) -> Any:
    """The environment's texts: numbers, true, false and lists as in JSON, anything else as it is."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _from_file(values: Mapping[str, Any], base: Settings | None = None) -> Settings:
    settings = base or Settings()
    # Where both say something, our own name counts.
    values = {key.removeprefix(_OLD): value for key, value in sorted(values.items(), key=lambda item: not item[0].startswith(_OLD))}
    own = {item.name for item in fields(Settings)}
    changes = {key: value for key, value in values.items() if key in own}
    losses = {key: value for key, value in values.items() if key in LOSS_NAMES}
    triggers = {item.name: values[item.name] for item in fields(Triggers) if item.name in values}
    step_s, sleep_s = values.get("step_s"), values.get("sleep_s", 1.0)
    if "acceleration" not in changes and step_s is not None:
        changes["acceleration"] = step_s / sleep_s if sleep_s else 36_000.0
    if values.get("updates") is False:
        changes["acceleration"] = 0.0
    for name, wanted in (("summary", "keep_summary"), ("individual", "keep_individual")):
        if values.get(wanted) is False:
            changes[name] = None
    if values.get("keep_in_database") and "database" in values:
        changes["individual"] = values["database"]
    for name in ("load", "solar", "data_dir", "summary"):
        if changes.get(name) is not None:
            changes[name] = Path(changes[name])
    return replace(settings, **changes, losses=replace(settings.losses, **losses), triggers=replace(settings.triggers, **triggers))


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(isinstance(item, int | float) and item >= 0 for item in value):
        raise probatio.Invalid("a list of numbers >= 0")
    return tuple(value)


def _texts(value: Any) -> tuple[str, ...]:
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise probatio.Invalid("a list of texts")
    return tuple(item.strip() for item in found if item.strip())


def _time(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=None)
    except ValueError:
        raise probatio.Invalid("a time such as 2020-06-01 12:00:00") from None


def _own(name: str, check: Any) -> Key:
    return Key(name, name, check, None)


def _old(path: str, name: str, check: Any) -> Key:
    return Key(path, _OLD + name, check, None)


_OLD = "old."
_AREA = "the solar file is in watts, so that nothing is computed from an area"
_KEYS = (
    _own("units", whole(at_least=1)),
    _own("host", text),
    _own("port", whole(at_least=0)),
    _own("acceleration", number(at_least=0, at_most=36_000)),
    _own("start", _time),
    _own("load", text),
    _own("solar", text),
    _own("charges_pct", _numbers),
    _own("solar_kw", _numbers),
    _own("load_scale", number(at_least=0)),
    _own("battery_wh", number(above=0)),
    _own("battery_voltage_v", number(above=0)),
    _own("ramp_s", number(at_least=0)),
    _own("line_resistance_ohm", number(at_least=0)),
    _own("droop", flag),
    _own("data_dir", text),
    _own("summary", text),
    _own("individual", text),
    _own("record", flag),
    _own("record_interval_s", number(at_least=1)),
    _own("token", any_text),
    _own("allow", _texts),
    # The original's names (hardware reference 1.5).
    _old("b_host", "host", text),
    _old("b_port", "port", whole(at_least=0)),
    _old("acc", "step_s", number(at_least=0)),
    _old("sleeptime", "sleep_s", number(at_least=0)),
    _old("doUpdates", "updates", flag),
    _old("batteryVoltage", "battery_voltage_v", number(above=0)),
    _old("default_batterySize", "battery_wh", number(above=0)),
    _old("constantSystemLoss", "system_w", number(at_least=0)),
    _old("DCCstLoss", "wait_w", number(at_least=0)),
    _old("DCChargeLoss", "charge_w", number(at_least=0)),
    _old("DCDischargeLoss", "discharge_w", number(at_least=0)),
    _old("battModeLoss_a", "ups_battery_ratio", number(at_least=0)),
    _old("battModeLoss_c", "ups_battery_w", number(at_least=0)),
    _old("transLoss_a", "transformer_ratio", number(at_least=0)),
    _old("transLoss_c", "transformer_w", number(at_least=0)),
    _old("bypassModeLoss_a", "ups_bypass_ratio", number(at_least=0)),
    _old("bypassModeLoss_c", "ups_bypass_w", number(at_least=0)),
    _old("ACChargeLoss", "ac_charge_loss_w", number(at_least=0)),
    _old("ACChargeAmount", "ac_charge_w", number(at_least=0)),
    _old("UPS_TRIGGER_BATT_OFF", "bypass_on_pct", number(at_least=0, at_most=100)),
    _old("UPS_TRIGGER_BATT_ON", "bypass_off_pct", number(at_least=0, at_most=100)),
    _old("UPS_TRIGGER_AC_ON", "ac_on_pct", number(at_least=0, at_most=100)),
    _old("UPS_TRIGGER_AC_OFF", "ac_off_pct", number(at_least=0, at_most=100)),
    _old("saveToSummaryToCSV", "keep_summary", flag),
    _old("saveIndividualToCSV", "keep_individual", flag),
    _old("saveIndividualToDB", "keep_in_database", flag),
    _old("summaryPath", "summary", text),
    _old("indivLogPath", "individual", text),
    _old("dburl", "database", text),
    Key("debug", "", flag, None, unused="--verbose says more"),
    Key("dataSet", "", any_text, None, unused="`load` and `solar` name the files; without them the bundled houses are used"),
    Key("individualConf", "", flag, None, unused="the original does not use it either"),
    Key("default_Area", "", number(), None, unused=_AREA),
    Key("r", "", number(), None, unused=_AREA),
    Key("pr", "", number(), None, unused=_AREA),
)
