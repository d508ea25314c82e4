"""One number, one place for addresses, and no release of what is not ready."""

import importlib.util
import json
from pathlib import Path
import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.test_processes import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
URLS: dict[str, str] = PROJECT["project"]["urls"]
REPOSITORY = URLS["Repository"]
OWNER = REPOSITORY.split("/")[-2]


def test_everything_that_names_an_address_names_the_same() -> None:
    manifest = json.loads((ROOT / "custom_components/apis/manifest.json").read_text())
    assert manifest["documentation"] == URLS["Documentation"]
    assert manifest["issue_tracker"] == URLS["Issues"]
    assert manifest["codeowners"] == [f"@{OWNER}"]
    assert yaml.safe_load((ROOT / "repository.yaml").read_text())["url"] == REPOSITORY
    assert yaml.safe_load((ROOT / "mkdocs.yml").read_text())["repo_url"] == REPOSITORY
    for app in ("emulator_addon", "driver_addon"):
        config = yaml.safe_load((ROOT / app / "config.yaml").read_text())
        assert config["url"] == REPOSITORY
        assert config["image"] == f"ghcr.io/{OWNER}/{app}"
    for path in (ROOT / "blueprints").rglob("*.yaml"):
        (found,) = re.findall(r"source_url: (\S+)", path.read_text())
        assert found == f"{REPOSITORY}/blob/main/{path.relative_to(ROOT)}"
    for name in ("README.md", "docs/index.md"):
        for found in re.findall(r"https://github\.com/[\w-]+/[\w-]+", (ROOT / name).read_text()):
            assert found == REPOSITORY


def test_every_foreign_step_of_a_workflow_is_pinned_and_what_it_runs_is_here() -> None:
    paths = sorted((ROOT / ".github/workflows").glob("*.yaml"))
    assert [path.stem for path in paths] == ["docs", "release", "test", "validate"]
    for path in paths:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"]
        for job in workflow["jobs"].values():
            assert "runs-on" in job
            for step in job["steps"]:
                if "uses" in step:
                    assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step
                else:
                    script = step["run"].split()[0]
                    assert not script.startswith(("scripts/", ".ci/")) or (ROOT / script).is_file()
    steps = [step.get("run", step.get("uses", "")) for step in yaml.safe_load(paths[1].read_text())["jobs"]["release"]["steps"]]
    order = [
        "checkout",
        "scripts/build --release",
        "scripts/publish",
        "scripts/wait-for-package",
        "docker login",
        "scripts/build-apps",
        "gh release create",
    ]
    assert [next(i for i, step in enumerate(steps) if part in step) for part in order] == list(range(len(order)))


def test_templates_of_issues_are_forms() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yaml"):
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= form.keys()
        assert all(each["type"] in ("textarea", "input", "dropdown") and each["attributes"]["label"] for each in form["body"])


def release_notes() -> Any:
    spec = importlib.util.spec_from_file_location("release_notes", Path(ROOT / "scripts/release_notes.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("version", "changelog", "placeholder", "words"),
    [
        ("1.2.0", "## 1.2.0 - 2027-01-01\n\n- new\n", True, "address-is-a-placeholder: found true"),
        ("1.2.1", "## 1.2.0 - 2027-01-01\n\n- new\n", False, "found 1.2.1, expected pyproject.toml's 1.2.0"),
        ("1.2.0", "## 1.1.0 - 2027-01-01\n\n- old\n", False, "found nothing of 1.2.0"),
        ("1.2.0", "## 1.2.0 - unreleased\n\n- new\n", False, "found 1.2.0 as unreleased"),
    ],
)
def test_what_is_not_ready_is_no_release(version: str, changelog: str, placeholder: bool, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        release_notes().notes(version, {"version": "1.2.0"}, changelog, placeholder=placeholder)


def test_a_releases_notes_are_its_part_of_the_changelog() -> None:
    changelog = "# Changelog\n\n## 1.2.0 - 2027-01-01\n\n- new\n\n## 1.1.0 - 2026-12-01\n\n- old\n"
    assert release_notes().notes("1.2.0", {"version": "1.2.0"}, changelog, placeholder=False) == "- new\n"
    # This checkout's address is nobody's yet.
    assert PROJECT["tool"]["apis"]["address-is-a-placeholder"] is True
