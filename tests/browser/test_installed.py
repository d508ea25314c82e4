"""What a person installs: the released files, in a Home Assistant that has never seen this checkout."""

import asyncio
import os
from pathlib import Path
import re
import shutil
import subprocess
import zipfile

import pytest

from tests.test_processes import ROOT

from .homeassistant import HomeAssistant, home_assistant

pytestmark = pytest.mark.alone

UV = ROOT / ".tools/uv/bin/uv"


def uv() -> str:
    return shutil.which("uv") or str(UV)


@pytest.fixture(scope="module")
def released() -> Path:
    """The wheel and the zip, made as for a release."""
    result = subprocess.run([str(ROOT / "scripts/build")], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return ROOT / "dist"


@pytest.fixture(scope="module")
def other_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home Assistant without our package or anything that only we need."""
    folder = tmp_path_factory.mktemp("home")
    ours = re.compile(r"^(async-solipsism|alembic|json5|typer|rich|tzlocal|prometheus-client|mypy|pytest|syrupy|coverage)\b")
    wanted = [line for line in (ROOT / "requirements-ha.txt").read_text().splitlines() if line and not ours.match(line)]
    (folder / "requirements.txt").write_text("\n".join(wanted))
    environment = {**os.environ, "CPATH": str(ROOT / ".tools/debian/usr/include")}
    for command in (
        ["venv", "--quiet", "--python", str(ROOT / ".venv/bin/python"), str(folder / "venv")],
        ["pip", "install", "--quiet", "--no-deps", "--python", str(folder / "venv/bin/python"), "-r", str(folder / "requirements.txt")],
    ):
        result = subprocess.run([uv(), *command], capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert result.returncode == 0, result.stderr
    missing = subprocess.run([str(folder / "venv/bin/python"), "-c", "import apis_core"], cwd=folder, capture_output=True, check=False)
    assert missing.returncode != 0
    return folder / "venv"


def unpacked(released: Path, folder: Path) -> None:
    with zipfile.ZipFile(released / "apis.zip") as archive:
        archive.extractall(folder / "config/custom_components/apis")


async def loaded(home: HomeAssistant) -> list[str]:
    for _ in range(240):
        states = [str(entry["state"]) for entry in await home.entries()]
        if states != ["setup_in_progress"]:
            return states
        await asyncio.sleep(0.5)
    return []


async def test_the_released_files_make_a_community(tmp_path: Path, released: Path, other_home: Path) -> None:
    unpacked(released, tmp_path)
    # Where the released wheel would come from a package index, it comes from the folder it was built into.
    async with home_assistant(tmp_path, APIS_HA_VENV=str(other_home), UV_FIND_LINKS=str(released)) as home:
        made = await home.flow({"next_step_id": "trial"}, {"name": "Sea Street", "units": 2})
        assert made["type"] == "create_entry"
        assert await loaded(home) == ["loaded"], home.log[-3000:]
        assert (await home.states())["sensor.sea_street_members"]["state"] == "2"


async def test_without_the_package_the_missing_requirement_is_told(tmp_path: Path, released: Path, other_home: Path) -> None:
    command = [uv(), "pip", "uninstall", "--quiet", "--python", str(other_home / "bin/python"), "apis-interchange"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    unpacked(released, tmp_path)
    async with home_assistant(tmp_path, APIS_HA_VENV=str(other_home)) as home:
        with pytest.raises(AssertionError, match="500"):
            await home.flow({"next_step_id": "trial"}, {"name": "Sea Street", "units": 2})
        assert "apis-interchange" in home.log
