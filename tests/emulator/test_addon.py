"""The emulator as a Home Assistant app: what cannot be built here is checked as far as its files go."""

import os
from pathlib import Path
import re
import struct
import tomllib
from typing import Any

import pytest
import yaml

from apis_core.announcement import properties
from apis_core.emulator import settings
from apis_core.emulator.settings import Settings
from tests.emulator.test_present_api import Bench
from tests.test_processes import ENVIRONMENT, ROOT, a_port, running

pytestmark = pytest.mark.alone

ADDON = ROOT / "emulator_addon"
# Keys of an app's configuration, with what may not be written because it is the default.
KNOWN: dict[str, Any] = {
    "name": ..., "version": ..., "slug": ..., "description": ..., "url": ..., "arch": ..., "init": True, "startup": "application",
    "boot": "auto", "ingress": False, "ingress_port": 8099, "ingress_stream": False, "panel_icon": "mdi:puzzle", "panel_title": ...,
    "panel_admin": True, "ports": ..., "ports_description": ..., "discovery": ..., "homeassistant": ..., "stage": "stable",
    "options": ..., "schema": ..., "map": ..., "backup": "hot", "apparmor": True, "host_network": False, "hassio_api": False,
}  # fmt: skip
SCHEMA = re.compile(r"(str|bool|password|url|email|port|int(\(\d*,\d*\))?|float(\([\d.]*,[\d.]*\))?|list\([^)]+\)|match\(.+\))\??")


def config() -> dict[str, Any]:
    return dict(yaml.safe_load((ADDON / "config.yaml").read_text()))


def test_the_configuration_says_what_it_must_and_nothing_twice() -> None:
    found = config()
    assert {"name", "version", "slug", "description", "arch"} <= set(found)
    assert set(found) <= set(KNOWN)
    assert [key for key, value in found.items() if KNOWN[key] is not ... and value == KNOWN[key]] == []
    assert found["slug"] == ADDON.name
    assert set(found["arch"]) == {"aarch64", "amd64"}
    assert found["discovery"] == ["apis"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert found["version"] == version
    assert f"ARG APIS_VERSION={version}" in (ADDON / "Dockerfile").read_text()
    assert f"## {version}" in (ADDON / "CHANGELOG.md").read_text()
    for kind in found["schema"].values():
        assert SCHEMA.fullmatch(kind[0] if isinstance(kind, list) else kind), kind
    assert set(found["options"]) <= set(found["schema"])


def test_every_option_is_a_setting_of_the_emulator_and_is_named_in_both_languages(tmp_path: Path) -> None:
    found = config()
    assert set(found["schema"]) <= set(Settings.__dataclass_fields__)
    for language in ("en", "ja"):
        texts = yaml.safe_load((ADDON / f"translations/{language}.yaml").read_text())
        assert set(texts["configuration"]) == set(found["schema"])
        assert all(text["name"] and text["description"] for text in texts["configuration"].values())
        assert set(texts["network"]) == set(found["ports"])
    path = tmp_path / "options.json"
    path.write_text('{"units": 6, "acceleration": 60, "record": true, "allow": ["192.168.1.5"], "start": "2020-06-01 06:00"}')
    chosen, notices = settings.read(path, {})
    assert (chosen.units, chosen.acceleration, chosen.record, chosen.allow, notices) == (6, 60, True, ("192.168.1.5",), ())
    assert chosen.start.month == 6


@pytest.mark.parametrize(("name", "width", "height"), [("icon.png", 128, 128), ("logo.png", 250, 100)])
def test_its_pictures(name: str, width: int, height: int) -> None:
    data = (ADDON / name).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (width, height)


def test_its_services_and_profile() -> None:
    services = ADDON / "rootfs/etc/s6-overlay/s6-rc.d"
    for name in ("emulator", "discovery"):
        assert (services / name / "type").read_text().strip() in ("longrun", "oneshot")
        assert (services / "user/contents.d" / name).is_file()
    scripts = [services / "emulator/run", services / "emulator/finish", ADDON / "rootfs/etc/s6-overlay/scripts/discovery"]
    assert (services / "discovery/up").read_text().strip() == "/etc/s6-overlay/scripts/discovery"
    for script in scripts:
        assert os.access(script, os.X_OK)
        assert script.read_text().startswith("#!/command/with-contenv bashio\n")
    assert f"profile {config()['slug']} " in (ADDON / "apparmor.txt").read_text()
    image = (ADDON / "Dockerfile").read_text()
    assert re.search(r"^FROM \S+base-python:3\.14-", image, re.MULTILINE)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.14"
    assert "HEALTHCHECK" in image
    assert yaml.safe_load((ROOT / "repository.yaml").read_text()).keys() == {"name", "url", "maintainer"}


def test_the_services_command_runs_as_in_the_container(tmp_path: Path) -> None:
    """The run script's own command line, with its paths moved and the port on loopback."""
    (tmp_path / "options.json").write_text('{"units": 3, "acceleration": 60, "record": true}')
    script = (ADDON / "rootfs/etc/s6-overlay/s6-rc.d/emulator/run").read_text()
    command = next(line for line in script.splitlines() if line.startswith("exec apis ")).removeprefix("exec apis ").split()
    port = str(a_port())
    moved = {"/data/options.json": str(tmp_path / "options.json"), "/data": str(tmp_path), "0.0.0.0": "127.0.0.1", "4390": port}
    assert ENVIRONMENT
    with running(*(moved.get(part, part) for part in command), until=f"127.0.0.1:{port}"):
        assert (tmp_path / "emulator.id").is_file()
    assert (tmp_path / "summary.csv").read_text().startswith("time,pv,demand")


async def test_both_ways_of_finding_it_carry_the_same() -> None:
    async with Bench() as bench:
        health = (await bench.ask("GET", "/api/v1/health"))[1]
    assert {key: health[key] for key in ("role", "id", "api", "version")} == properties("emulator", health["id"])
    script = (ADDON / "rootfs/etc/s6-overlay/scripts/discovery").read_text()
    assert all(f"{key} " in script for key in ("host", "port", *properties("emulator", "x")))
