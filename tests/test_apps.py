"""The emulator and the driver as Home Assistant apps: what cannot be built here is checked as far as their files go."""

import json
import os
from pathlib import Path
import re
import struct
import tomllib
from typing import Any
import urllib.request

import pytest
import yaml

from apis_core.announcement import properties
from apis_core.device import settings as device_settings
from apis_core.device.settings import LineSettings
from apis_core.emulator import settings
from apis_core.emulator.settings import Settings
from apis_core.model.errors import ConfigError
from tests.emulator.test_present_api import Bench
from tests.test_processes import ENVIRONMENT, ROOT, a_port, running

pytestmark = pytest.mark.alone

EMULATOR, DRIVER = ROOT / "emulator_addon", ROOT / "driver_addon"
APPS = (EMULATOR, DRIVER)
both = pytest.mark.parametrize("app", APPS, ids=lambda path: path.name)
# Keys of an app's configuration, with what may not be written because it is the default.
KNOWN: dict[str, Any] = {
    "name": ..., "version": ..., "slug": ..., "description": ..., "url": ..., "arch": ..., "init": True, "startup": "application",
    "boot": "auto", "ingress": False, "ingress_port": 8099, "ingress_stream": False, "panel_icon": "mdi:puzzle", "panel_title": ...,
    "panel_admin": True, "ports": ..., "ports_description": ..., "discovery": ..., "homeassistant": ..., "stage": "stable",
    "options": ..., "schema": ..., "map": ..., "backup": "hot", "apparmor": True, "host_network": False, "hassio_api": False,
    "uart": False, "image": ...,
}  # fmt: skip
SCHEMA = re.compile(
    r"(str|bool|password|url|email|port|int(\(\d*,\d*\))?|float(\([\d.]*,[\d.]*\))?|list\([^)]+\)|device(\([^)]+\))?|match\(.+\))\??"
)


def config(app: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((app / "config.yaml").read_text()))


@both
def test_the_configuration_says_what_it_must_and_nothing_twice(app: Path) -> None:
    found = config(app)
    assert {"name", "version", "slug", "description", "arch"} <= set(found)
    assert set(found) <= set(KNOWN)
    assert [key for key, value in found.items() if KNOWN[key] is not ... and value == KNOWN[key]] == []
    assert found["slug"] == app.name
    assert set(found["arch"]) == {"aarch64", "amd64"}
    assert found["discovery"] == ["apis"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert found["version"] == version
    assert f"ARG APIS_VERSION={version}" in (app / "Dockerfile").read_text()
    assert f"## {version}" in (app / "CHANGELOG.md").read_text()
    for kind in found["schema"].values():
        assert SCHEMA.fullmatch(kind[0] if isinstance(kind, list) else kind), kind
    assert set(found["options"]) <= set(found["schema"])


@both
def test_every_option_is_named_in_both_languages(app: Path) -> None:
    found = config(app)
    for language in ("en", "ja"):
        texts = yaml.safe_load((app / f"translations/{language}.yaml").read_text())
        assert set(texts["configuration"]) == set(found["schema"])
        assert all(text["name"] and text["description"] for text in texts["configuration"].values())
        assert set(texts["network"]) == set(found["ports"])


def test_every_option_is_a_setting_of_the_emulator(tmp_path: Path) -> None:
    assert set(config(EMULATOR)["schema"]) <= set(Settings.__dataclass_fields__)
    path = tmp_path / "options.json"
    path.write_text('{"units": 6, "acceleration": 60, "record": true, "allow": ["192.168.1.5"], "start": "2020-06-01 06:00"}')
    chosen, notices = settings.read(path, {})
    assert (chosen.units, chosen.acceleration, chosen.record, chosen.allow, notices) == (6, 60, True, ("192.168.1.5",), ())
    assert chosen.start.month == 6


def test_the_drivers_options_are_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "options.json"
    options = {
        "converter_port": "/dev/serial/by-id/usb-one", "converter_baud_rate": 38400, "largest_current_a": 7.1, "battery_port": "/dev/ttyUSB1",
        "battery_baud_rate": 19200, "battery_unit": 3, "battery_charge_register": 30100, "battery_permission_register": 30101,
        "token": "secret", "allow": ["192.168.1.5"],
    }  # fmt: skip
    assert set(options) | {"config_file"} == set(config(DRIVER)["schema"])
    path.write_text(json.dumps(options))
    chosen, notices = device_settings.read(path, {"host": "0.0.0.0", "allow": ["172.30.32.0/23"]})
    assert notices == ()
    assert chosen.converter == LineSettings("/dev/serial/by-id/usb-one", 38400)
    assert chosen.battery == LineSettings("/dev/ttyUSB1", 19200)
    assert (chosen.battery_unit, chosen.registers.charge_address, chosen.registers.status_address) == (3, 30100, 30101)
    assert (chosen.largest_current_a, chosen.token, chosen.allow) == (7.1, "secret", ("192.168.1.5", "172.30.32.0/23"))
    # Without a battery's line the battery is not read.
    path.write_text('{"converter_port": "/dev/ttyUSB0", "converter_baud_rate": 19200}')
    assert device_settings.read(path)[0].battery is None
    # A file in the app's folder is used instead, with the options' token.
    monkeypatch.setattr(device_settings, "APP_FOLDER", tmp_path)
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(
        {"ess_system": {"dcdc_dev": [{"config": "one", "params": ["/dev/ttyO2", 9600]}]}, "dcdc": {"one": {"type": "tdk_eza2500"}}}
    ))  # fmt: skip
    for chosen_port in ({"converter_port": "/dev/ttyUSB0"}, {"converter_baud_rate": 19200}):
        path.write_text(json.dumps({**chosen_port, "config_file": "mine.yml", "token": "secret"}))
        chosen, _ = device_settings.read(path)
        assert (chosen.converter, chosen.token) == (LineSettings("/dev/ttyO2", 9600), "secret")
    path.write_text('{"converter_baud_rate": 19200}')
    with pytest.raises(ConfigError, match="converter_port: found nothing, expected the converter's port, or config_file"):
        device_settings.read(path)


@both
@pytest.mark.parametrize(("name", "width", "height"), [("icon.png", 128, 128), ("logo.png", 250, 100)])
def test_its_pictures(app: Path, name: str, width: int, height: int) -> None:
    data = (app / name).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (width, height)


@both
def test_its_services_and_profile(app: Path) -> None:
    services, own = app / "rootfs/etc/s6-overlay/s6-rc.d", app.name.removesuffix("_addon")
    for name in (own, "discovery"):
        assert (services / name / "type").read_text().strip() in ("longrun", "oneshot")
        assert (services / "user/contents.d" / name).is_file()
    scripts = [services / own / "run", services / own / "finish", app / "rootfs/etc/s6-overlay/scripts/discovery"]
    assert (services / "discovery/up").read_text().strip() == "/etc/s6-overlay/scripts/discovery"
    for script in scripts:
        assert os.access(script, os.X_OK)
        assert script.read_text().startswith("#!/command/with-contenv bashio\n")
    assert f"profile {config(app)['slug']} " in (app / "apparmor.txt").read_text()
    image = (app / "Dockerfile").read_text()
    assert re.search(r"^FROM \S+base-python:3\.14-", image, re.MULTILINE)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.14"
    assert "HEALTHCHECK" in image
    assert yaml.safe_load((ROOT / "repository.yaml").read_text()).keys() == {"name", "url", "maintainer"}


@both
def test_the_services_command_runs_as_in_the_container(app: Path, tmp_path: Path) -> None:
    """The run script's own command line, with its paths moved and the port on loopback."""
    options = {EMULATOR: {"units": 3, "acceleration": 60, "record": True}, DRIVER: {"converter_port": str(tmp_path / "no-such-port")}}
    (tmp_path / "options.json").write_text(json.dumps(options[app]))
    own = app.name.removesuffix("_addon")
    script = (app / f"rootfs/etc/s6-overlay/s6-rc.d/{own}/run").read_text()
    command = next(line for line in script.splitlines() if line.startswith("exec apis ")).removeprefix("exec apis ").split()
    port, ingress = str(a_port()), str(config(app)["ingress_port"])
    moved = {"/data/options.json": str(tmp_path / "options.json"), "/data": str(tmp_path), "0.0.0.0": "127.0.0.1", ingress: port}
    assert ENVIRONMENT
    with running(*(moved.get(part, part) for part in command), until=f"127.0.0.1:{port}"):
        assert (tmp_path / f"{own}.id").is_file()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert f"<title>APIS {own}</title>" in answer.read().decode()
    if app is EMULATOR:
        assert (tmp_path / "summary.csv").read_text().startswith("time,pv,demand")


async def test_both_ways_of_finding_it_carry_the_same() -> None:
    async with Bench() as bench:
        health = (await bench.ask("GET", "/api/v1/health"))[1]
    assert {key: health[key] for key in ("role", "id", "api", "version")} == properties("emulator", health["id"])
    for app in APPS:
        script = (app / "rootfs/etc/s6-overlay/scripts/discovery").read_text()
        assert all(f"{key} " in script for key in ("host", "port", *properties("emulator", "x")))
        assert f"role {app.name.removesuffix('_addon')} " in script
