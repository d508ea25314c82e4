"""The driver's file: the original's form, and what ours adds."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from apis_core.device.bench import Planned
from apis_core.device.settings import read
from apis_core.device.simulated import LineFault
from apis_core.drivers.serial_port import Direction
from apis_core.model.errors import ConfigError

FILE: dict[str, Any] = {
    "ess_system": {
        "type": "essx_type_oes",
        "dcdc_dev": [
            {
                "name": "dcdc1",
                "config": "eza",
                "class": "ESSXRS485",
                "params": ["/dev/ttyO2", 19200],
                "kwparams": {"dir_pin": "P8_7"},
                "address1": 0,
                "address2": 16,
            }
        ],
        "battery_dev": [
            {
                "name": "battery",
                "config": "cell",
                "class": "ESSXModbus",
                "params": [],
                "kwparams": {"method": "rtu", "port": "/dev/ttyO5", "timeout": 1, "baudrate": 9600, "dir_pin": "not_used"},
                "unit": 1,
                "modbus_adr_rsoc": 30030,
                "modbus_adr_status": 30031,
            }
        ],
    },
    "dcdc": {
        "eza": {
            "type": "tdk_eza2500",
            "number_of_dcdc_error_retry": 2,
            "number_of_timeout_retry": 1,
            "wait_for_retry": 0.1,
            "config": {
                "cib": 50,
                "ubv": 40,
                "obv": 59,
                "ugv": 300,
                "ogv": 400,
                "bcf": 3,
                "cvb": 57.6,
                "dlb": 49,
                "cdb": 1.2,
                "ddb": 1.8,
                "drb": 0.0,
            },
        }
    },
    "battery": {
        "cell": {"type": "battery_emulator", "config": {"battery_voltage": 51.0, "battery_current": 19.0, "force_dcdc_waiting": True}}
    },
}


def written(tmp_path: Path, **own: Any) -> Path:
    path = tmp_path / "dcdc_batt_comm.yml"
    path.write_text(yaml.safe_dump({**FILE, **({"apis": own} if own else {})}))
    return path


def test_the_originals_file_loads(tmp_path: Path) -> None:
    settings, notices = read(written(tmp_path))
    assert (settings.converter.port, settings.converter.baud_rate, settings.converter.direction) == ("/dev/ttyO2", 19200, Direction.KERNEL)
    assert settings.battery is not None
    assert (settings.battery.port, settings.battery.baud_rate, settings.battery.direction) == ("/dev/ttyO5", 9600, Direction.ADAPTER)
    assert (settings.timing.error_retries, settings.timing.timeout_retries, settings.limits.cib) == (2, 1, 50)
    assert settings.watch.battery_denied_s == 10
    assert (settings.battery_voltage_v, settings.battery_current_a, settings.host, settings.port) == (51, 19, "127.0.0.1", 8080)
    assert any("wait_for_retry" in str(notice) for notice in notices)


def test_a_mapping_instead_of_a_list_and_no_battery(tmp_path: Path) -> None:
    system = {**FILE["ess_system"], "dcdc_dev": FILE["ess_system"]["dcdc_dev"][0], "battery_dev": [{"class": "None"}]}
    path = tmp_path / "file.yml"
    path.write_text(yaml.safe_dump({**FILE, "ess_system": system}))
    assert read(path)[0].battery is None


def test_what_is_ours_and_flags_above_it(tmp_path: Path) -> None:
    registers = [{"name": "temperature_c", "address": 30040, "scale": 0.1, "low": -20, "high": 60, "signed": True}]
    path = written(tmp_path, port=8181, battery_registers=registers, line_voltage={"min": 310, "max": 380}, battery_denied_s=30)
    settings, _ = read(path, {"port": 8282, "host": None})
    assert (settings.port, settings.watch.battery_denied_s) == (8282, 30)
    assert (settings.watch.lowest_v, settings.watch.highest_v) == (310, 380)
    assert settings.registers.others[0].name == "temperature_c"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"host": "0.0.0.0"}, "host: found 0.0.0.0, expected 127.0.0.1, or a token"),
        ({"current_mode_dead_man_s": 40}, "current_mode_dead_man_s: found 40, expected less than apis.reference_dead_man_s (35)"),
        ({"line_voltage": {"min": 390, "max": 380}}, "line_voltage: found 390 to 380 V, expected the lower one first"),
        ({"battery_denied_s": 120}, "battery_denied_s: found 120"),
        ({"prot": 1}, "expected 'port'"),
        ({"battery_registers": [{"name": "x"}]}, "battery_registers"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(tmp_path: Path, own: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(written(tmp_path, **own))
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["E001:converter:silence@20+5", "E001:battery:cut@1"])
def test_faults_are_planned_in_words(text: str) -> None:
    planned = Planned.parse(text)
    assert planned.fault in (LineFault.SILENCE, LineFault.CUT)
    assert planned.length_s in (5.0, None)


@pytest.mark.parametrize("text", ["E001:silence@2", "E001:converter:boredom@2", "E001:converter:silence"])
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected UNIT:converter"):
        Planned.parse(text)
