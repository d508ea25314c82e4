"""The documentation: it builds without a warning, it names everything there is, and what it tells people to type works."""

import json
from pathlib import Path
import re
import shlex
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml

from apis_core.cli import cli
from tests.test_processes import APIS, ENVIRONMENT, ROOT

DOCS = ROOT / "docs"
HERE = ROOT / "custom_components/apis"
EN: dict[str, Any] = json.loads((HERE / "translations/en.json").read_text())


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env={**ENVIRONMENT, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    html = (tmp_path / "site/index.html").read_text()
    # A reader without the network sees the same.
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"https?://(?!github\.com)", html)


@pytest.mark.parametrize("name", sorted(yaml.safe_load((HERE / "services.yaml").read_text())))
def test_every_action_is_told_of(name: str) -> None:
    assert f"`apis.{name}`" in page("actions")


def test_every_trigger_and_condition_is_told_of() -> None:
    for kind in ("triggers", "conditions"):
        for name in EN[kind]:
            assert f"`apis.{name}`" in page("actions")


def test_every_entity_is_told_of() -> None:
    text = page("entities")
    for platform, entities in EN["entity"].items():
        for key, names in entities.items():
            # Those over longer times stand beside the one over a day.
            assert key.endswith(("_7d", "_30d")) or f"| {names['name']} | {platform} |" in text, key


def test_every_problem_has_a_remedy() -> None:
    assert page("troubleshooting").count("(repair)") == len(EN["issues"])


def test_every_option_and_blueprint_and_card_is_told_of() -> None:
    for title in EN["options"]["step"]["init"]["menu_options"].values():
        assert title in page("home-assistant") + page("energy")
    for path in (ROOT / "blueprints").rglob("*.yaml"):
        assert f"`{path.stem}`" in page("blueprints")
    for kind in re.findall(r'type: "(apis-[a-z]+-card)"', (ROOT / "frontend/src/apis.ts").read_text()):
        assert f"`custom:{kind}`" in page("cards")
    for app in ("emulator", "driver"):
        assert f"APIS {app}" in page("apps")


def test_every_command_is_told_of() -> None:
    names = {command.name or command.callback.__name__.replace("_", "-") for command in cli.registered_commands if command.callback}
    names |= {group.name for group in cli.registered_groups if group.name}
    for name in names:
        assert f"`apis {name}`" in page("command-line"), name


def test_every_dependency_is_told_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(each for group in project["optional-dependencies"].values() for each in group)]
    text = page("dependencies").lower()
    missing = [name for name in (re.split(r"[><=\[]", each)[0].lower() for each in wanted) if name not in text]
    assert missing == []


@pytest.mark.alone
def test_what_the_tutorial_says_to_type_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", page("tutorial"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert {line for line in lines if line.startswith("scripts/")} == {"scripts/setup", "scripts/home-assistant"}
    commands = [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/apis ")]
    assert [command[0] for command in commands] == ["demo", "simulate"]
    for command in commands:
        result = subprocess.run([*APIS, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT)
        assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "out.json").read_text())
