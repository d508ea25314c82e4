"""Configuration files: an existing installation's load unchanged; whatever is wrong is told with its place."""

from dataclasses import replace
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from apis_core.model.errors import ConfigError
from apis_core.model.files import parse_text
from apis_core.model.hardware import Hardware
from apis_core.model.installation import load_unit
from apis_core.model.policy import Policy
from apis_core.model.scenario import Scenario
from tests.builders import a_hardware, a_policy, scenario_json

CONFIG: dict[str, Any] = {
    "programId": "apis-main",
    "communityId": "oss_community",
    "clusterId": "oss_cluster",
    "security": {"enabled": True, "pemKeyFile": "./key.pem", "pemCertFile": "./cert.pem"},
    "unitId": "E001",
    "unitName": "E001",
    "serialNumber": "1",
    "systemType": "dcdc_emulator",
    "hwConfigFile": "./hwConfig.json",
    "policyFile": "./policy.json",
    "scenarioFile": "./scenario.json",
    "stateFileFormat": "{tmpdir}/apis/state/%s",
    "dealLogDirFormat": "'{tmpdir}/apis/dealLog/'uuuu'/'MM'/'dd",
    "fileSystemExclusiveLockFileFormat": "{tmpdir}/.apis.%s.lock",
    "policyFileReadTimeoutMsec": 60000,
    "connection": {"emulator": {"host": "localhost", "port": 4390}},
    "controlCenter": {"enabled": True, "account": "e001", "password": "e001"},
    "watchdog": {"enabled": False, "periodMsec": 5000, "host": "localhost", "port": 12345, "uri": "/restart", "requestTimeoutMsec": 5000},
    "batteryCapacityManagement": {"enabled": False},
}


def a_policy_file(members: int = 4) -> dict[str, Any]:
    """As existing installations have it: every key, with the placeholders for a topology that is off."""
    data = a_policy(members).to_json()
    topology = {"enabled": False, "branchIds": [], "branchAssociation": {"": ""}, "branchCurrentCapacityA": {"": ""}}
    data["safety"]["gridTopologyBasedEvaluation"] = topology
    data["heloPeriodMsec"] = 5000
    data["gridMaster"]["gridMasterSelection"]["fixedUnitId"] = "Exxx"
    return data


def write(folder: Path, *, suffix: str = ".json", files: dict[str, Any] | None = None) -> Path:
    """A unit's folder; `files` replaces whole files."""
    good = {"config": CONFIG, "hwConfig": a_hardware().to_json(), "policy": a_policy_file(), "scenario": scenario_json()}
    files = good | (files or {})
    config = {**files["config"]}
    for name, content in files.items():
        if name != "config":
            config.setdefault(f"{name}File", f"./{name}{suffix}")
            config[f"{name}File"] = f"./{name}{suffix}"
            text = json.dumps(content) if suffix == ".json" else yaml.safe_dump(content)
            (folder / f"{name}{suffix}").write_text(text)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_unit(path)
    return [str(problem) for problem in caught.value.problems]


def test_an_existing_installation_loads_unchanged(tmp_path: Path) -> None:
    unit = load_unit(write(tmp_path))
    assert unit.installation.unit_id == "E001"
    assert unit.policy == a_policy(grid_master_fixed_unit_id="Exxx")
    assert unit.hardware == a_hardware()
    assert unit.scenario == Scenario.from_json(scenario_json())[0]


def test_yaml_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "yaml").mkdir()
    first = load_unit(write(tmp_path / "json"))
    second = load_unit(write(tmp_path / "yaml", suffix=".yaml"))
    assert (first.policy, first.hardware, first.scenario) == (second.policy, second.hardware, second.scenario)


def test_every_unused_key_is_told_once(tmp_path: Path) -> None:
    notices = [str(notice) for notice in load_unit(write(tmp_path)).notices]
    for key in ("security.enabled", "controlCenter.enabled", "watchdog.enabled", "heloPeriodMsec", "programId"):
        assert sum(f": {key}: " in notice for notice in notices) == 1


def test_comments_are_tolerated() -> None:
    data = parse_text('{ "#": "one", // more\n "a": 1, /* and\n more */ "#": "two" }', "f", is_yaml=False)
    assert data == {"a": 1}


@pytest.mark.parametrize(
    ("text", "is_yaml", "reason"),
    [
        ("", False, "Empty strings are not legal JSON5"),
        ("[1]", False, "found list, expected an object"),
        ('{"a": 1 "b"}', False, "expected well-formed JSON"),
        ('{"a": 1, "a": 2}', False, "stands twice"),
        ("a: 1\na: 2", True, "stands twice"),
        ("a: [", True, "expected well-formed YAML"),
        ("!!python/object/apply:os.system [ls]", True, "expected well-formed YAML"),
    ],
)
def test_text_that_is_no_configuration_is_refused(text: str, is_yaml: bool, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_text(text, "file", is_yaml=is_yaml)


def change(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(data))
    *parents, last = path.split("/")
    branch = copy
    for parent in parents:
        branch = branch.setdefault(parent, {})
    if value is None:
        del branch[last]
    else:
        branch[last] = value
    return copy


BAND = "00:00:00-24:00:00"
WRONG = [
    ("policy", "gridVoltageSteps", 1, "gridVoltageSteps: found an unknown key, expected 'gridVoltageStepV'"),
    ("policy", "operationGridVoltageV", "350", "operationGridVoltageV: found '350', expected a number > 0"),
    ("policy", "operationGridVoltageV", True, "operationGridVoltageV: found True, expected a number > 0"),
    ("policy", "operationGridVoltageV", 500, "operationGridVoltageV: found 500 V, expected a voltage within the range 300 to 380 V"),
    ("policy", "operationGridVoltageVRange/min", 390, "operationGridVoltageVRange: found min 390 V, max 380 V, expected min < max"),
    ("policy", "gridVoltageSeparationV", 30, "gridVoltageSeparationV: found 30 V, expected at most a fifth of the range's 80 V"),
    ("policy", "memberUnitIds", ["E001", "E001"], "expected unit ids that are all different"),
    ("policy", "memberUnitIds", "E001", "memberUnitIds: found 'E001', expected a list of unit ids"),
    ("policy", "memberUnitIds", ["E002"], "largeCapacityUnitIds: found E001, expected units of memberUnitIds"),
    ("policy", "memberUnitIds", None, "memberUnitIds: found nothing, expected a value"),
    ("policy", "largeCapacityUnitIds", ["E009"], "largeCapacityUnitIds: found E009, expected units of memberUnitIds"),
    ("policy", "mediator/deal/amountMinWh", 60, "mediator.deal: found amountMinWh 60, amountMaxWh 50, expected min <= max"),
    ("policy", "mediator/deal/amountUnitWh", 60, "amountUnitWh: found 60 Wh, expected a step of which a multiple lies within 50 to 50 Wh"),
    ("policy", "mediator/deal/amountUnitWh", 0.5, "amountUnitWh: found 0.5, expected a whole number >= 1"),
    ("policy", "mediator/deal/gridCurrentA", -1, "gridCurrentA: found -1, expected a number > 0"),
    ("policy", "operationMode", "sleep", "operationMode: found 'sleep', expected one of autonomous, heteronomous, stop, manual"),
    ("policy", "gridMaster/deal/forceStopCondition/chargeUnitUpperLimitRsoc", 10, "found lower 20 %, upper 10 %, expected lower < upper"),
    ("policy", "gridMaster/gridMasterSelection/strategy", "fixed", "fixedUnitId: found 'Exxx', expected a unit of memberUnitIds"),
    ("policy", "safety/gridTopologyBasedEvaluation", {"enabled": True, "branchIds": ["b"]}, "branchAssociation.b: found nothing"),
    ("policy", "safety", 5, "safety: found 5, expected an object"),
    ("hwConfig", "gridCurrentCapacityA", 3, "gridCurrentCapacityA: found 3 A, expected a current within safety.range.dcdc.meter.ig"),
    ("hwConfig", "safety/range/dcdc/meter/vg/min", 400, "meter.vg: found min 400 > max 380, expected min <= max"),
    ("hwConfig", "droopRatio", None, "droopRatio: found nothing, expected a value"),
    ("hwConfig", "batteryNominalCapacityWh", 0, "batteryNominalCapacityWh: found 0, expected a number > 0"),
    ("scenario", f"{BAND}/batteryStatus/-2880", None, "found '2880-3600' to '4320-', expected ranges from 0"),
    ("scenario", f"{BAND}/batteryStatus/2880-3600", None, "found a gap from 2880 to 3600 Wh, expected ranges without a gap"),
    ("scenario", f"{BAND}/batteryStatus/3500-3600", "x", "overlap, expected ranges that do not overlap"),
    ("scenario", f"{BAND}/batteryStatus/9-5", "x", "expected a range LOWER-UPPER in Wh with lower < upper"),
    ("scenario", "12:00:00-13:00:00", scenario_json()[BAND], "overlap, expected time bands that do not overlap"),
    ("scenario", "25:00:00-26:00:00", scenario_json()[BAND], "expected a time band within 00:00:00 to 24:00:00 that is not empty"),
    ("scenario", "noon", {}, "expected refreshingPeriodMsec, acceptSelection or a time band"),
    ("scenario", BAND, None, "found no time band, expected at least one HH:MM:SS-HH:MM:SS"),
    ("scenario", f"{BAND}/request/excess/discharge/pointPerWh", -1, "pointPerWh: found -1, expected a number >= 0"),
    ("scenario", f"{BAND}/request/excess/discharge/limitWh", 5000, "limitWh: found 5000, expected at most the battery's 4800 Wh"),
    ("scenario", f"{BAND}/request/excess/sell", {}, "sell: found an unknown key"),
    ("scenario", f"{BAND}/request/full", {}, "full: found a status that no battery range has, expected one of excess"),
    ("scenario", "acceptSelection/strategy", "best", "strategy: found 'best', expected one of amount, pointAndAmount"),
    ("config", "systemType", "toaster", "systemType: found 'toaster', expected one of dcdc_emulator, dcdc_v1, dcdc_v2"),
    ("config", "unitId", None, "unitId: found nothing, expected a value"),
    ("config", "unitId", "E001?x=1", "unitId: found 'E001?x=1', expected up to 64 letters, digits, _ and -, and not global"),
    ("config", "unitId", "../x", "unitId: found '../x', expected up to 64 letters"),
    ("config", "unitId", "global", "unitId: found 'global', expected up to 64 letters"),
    ("config", "connection/emulator/port", 70000, "port: found 70000, expected a port from 1 to 65535"),
    ("config", "batteryCapacityManagement/enabled", True, "expected false: several processes on one battery are not supported yet"),
    ("config", "password.encrypted", "abc", "password.encrypted: found an encrypted value, expected the plain value"),
    ("config", "timeZone", "Mars/Base", "timeZone: found 'Mars/Base', expected a time zone such as Asia/Tokyo"),
]


@pytest.mark.parametrize(("name", "path", "value", "message"), WRONG, ids=[f"{w[0]}-{w[1]}-{w[2]!s:.20}" for w in WRONG])
def test_what_is_wrong_is_told_with_place_found_and_expected(tmp_path: Path, name: str, path: str, value: Any, message: str) -> None:
    good = {"config": CONFIG, "hwConfig": a_hardware().to_json(), "policy": a_policy_file(), "scenario": scenario_json()}
    found = problems(write(tmp_path, files={name: change(good[name], path, value)}))
    assert any(message in line for line in found), found
    assert all(": found " in line and ", expected " in line for line in found)


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    policy = change(change(a_policy_file(), "gridUvloMaskV", -1), "gridCurrentStepA", 0)
    found = problems(write(tmp_path, files={"policy": policy, "hwConfig": change(a_hardware().to_json(), "droopRatio", -1)}))
    assert len(found) == 3


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "policy.json").unlink()
    assert "policy.json: found No such file or directory, expected a readable file" in problems(folder)[0]


def test_a_gap_in_the_day_is_a_warning() -> None:
    data = scenario_json()
    data["06:00:00-22:00:00"] = data.pop(BAND)
    _, notices = Scenario.from_json(data)
    assert [notice.message for notice in notices] == [
        "no time band from 00:00:00 to 06:00:00: no sharing then",
        "no time band from 22:00:00 to 24:00:00: no sharing then",
    ]


def test_a_band_may_pass_midnight() -> None:
    data = scenario_json()
    day = data.pop(BAND)
    data |= {"22:00:00-6:00:00": day, "6:00:00-22:00:00": day}
    scenario, notices = Scenario.from_json(data)
    assert notices == ()
    night = next(band for band in scenario.bands if band.start_s > band.end_s)
    assert night.contains(23 * 3600)
    assert night.contains(3600)
    assert not night.contains(6 * 3600)
    assert Scenario.from_json(scenario.to_json())[0] == scenario


def test_what_is_written_is_read_back_the_same() -> None:
    assert Policy.from_json(a_policy().to_json())[0] == a_policy()
    assert Hardware.from_json(a_hardware().to_json())[0] == a_hardware()


def test_branches_come_with_their_units_and_capacity() -> None:
    topology = {
        "enabled": True,
        "branchIds": ["north"],
        "branchAssociation": {"north": {"forwardUnitIds": ["E001"], "backwardUnitIds": ["E002", "E003"]}},
        "branchCurrentCapacityA": {"north": 4},
    }
    policy, _ = Policy.from_json(change(a_policy_file(), "safety/gridTopologyBasedEvaluation", topology))
    assert policy.branches["north"].current_capacity_a == 4
    assert policy.branches["north"].backward_unit_ids == ("E002", "E003")


def test_gaps_in_a_day_can_be_filled() -> None:
    (band,) = Scenario.from_json(scenario_json())[0].bands
    hours = ((6, 12), (14, 22))
    with_gaps = Scenario(tuple(replace(band, start_s=start * 3600, end_s=end * 3600) for start, end in hours))
    assert with_gaps.gaps() == ((0, 6 * 3600), (12 * 3600, 14 * 3600), (22 * 3600, 24 * 3600))
    for scenario in (with_gaps, Scenario(with_gaps.bands[:1]), Scenario((band,))):
        filled = scenario.without_gaps()
        assert filled.gaps() == ()
        assert len(filled.bands) == len(scenario.bands)
        assert Scenario.from_json(filled.to_json())[0].bands == filled.bands
    until_midnight = Scenario((replace(band, start_s=0, end_s=3600), replace(band, start_s=7200, end_s=8000)))
    assert [each.end_s for each in until_midnight.without_gaps().bands] == [7200, 24 * 3600]
