"""What a plain install brings: it resolves under Home Assistant's constraints and at the lowest versions, from wheels that
exist for musl (Home Assistant's own containers) on both of its architectures.
"""

from pathlib import Path
import re
import shutil
import subprocess
import tomllib

import pytest

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "tests/data/home-assistant-constraints.txt"
UV = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
@pytest.mark.parametrize("constrained", [True, False])
def test_it_resolves_from_musl_wheels_alone(architecture: str, resolution: str, constrained: bool) -> None:
    limits = ("-c", str(CONSTRAINTS)) if constrained else ()
    arguments = ["--python-version", "3.14", "--python-platform", f"{architecture}-unknown-linux-musl", "--only-binary", ":all:"]
    command = [UV, "pip", "compile", "-q", "pyproject.toml", *limits, *arguments, "--resolution", resolution]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    found = dict(line.split("==") for line in result.stdout.split() if "==" in line)
    if constrained:
        wanted = dict(line.split("==") for line in CONSTRAINTS.read_text().split() if "==" in line)
        assert {name.lower(): version for name, version in wanted.items() if name.lower() in found} == {
            name: found[name] for name in found if name in {n.lower() for n in wanted}
        }


def test_the_wheel_declares_ranges_and_never_the_strangers_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "apis-interchange"
    assert not [line for line in project["dependencies"] if "==" in line]
    for path in ("requirements-dev.txt", "pyproject.toml"):
        # Of addresses there are the project's own alone.
        text = (ROOT / path).read_text().replace("https://github.com/apis-for-home-assistant/apis", "")
        assert not re.search(r"^apis-core|\"apis-core|https?://", text, re.MULTILINE)


HOUSES_TO_TRY = """
import asyncio, pathlib, sys
from datetime import UTC
from apis_core import app

async def main():
    async with app.open_trial_community(pathlib.Path(sys.argv[1]), UTC, 2) as community:
        print(*(unit.unit_id for unit in (await community.snapshot()).units), len(await community.deals()) > 10)

asyncio.run(main())
"""


@pytest.mark.parametrize("versions", [("--resolution", "lowest-direct"), ("-c", str(CONSTRAINTS))], ids=["lowest", "constrained"])
def test_houses_to_try_start_on_what_may_be_installed(tmp_path: Path, versions: tuple[str, str]) -> None:
    def run(*command: str) -> str:
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    python = str(tmp_path / "venv/bin/python")
    run(str(ROOT / "scripts/build"))
    (wheel,) = (ROOT / "dist").glob("*.whl")
    run(UV, "venv", "--quiet", "--python", str(ROOT / ".venv/bin/python"), str(tmp_path / "venv"))
    run(UV, "pip", "install", "--quiet", "--only-binary", ":all:", *versions, "--python", python, str(wheel))
    assert run(python, "-W", "error::SyntaxWarning", "-c", HOUSES_TO_TRY, str(tmp_path / "data")).split() == ["E001", "E002", "True"]
