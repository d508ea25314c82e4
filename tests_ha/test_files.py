"""The integration's files against each other and against Home Assistant's rules, as far as they can be checked."""

import ast
import json
from pathlib import Path
import re
import tomllib
from typing import Any

import pytest
import yaml

from custom_components.apis.sensor import UNIT_SENSORS

ROOT = Path(__file__).parents[1]
HERE = ROOT / "custom_components/apis"
EN: dict[str, Any] = json.loads((HERE / "translations/en.json").read_text())
ICONS: dict[str, Any] = json.loads((HERE / "icons.json").read_text())
MANIFEST: dict[str, Any] = json.loads((HERE / "manifest.json").read_text())
ACTIONS: dict[str, Any] = yaml.safe_load((HERE / "services.yaml").read_text())
MODULES = sorted(HERE.glob("*.py"))
PLATFORMS = ("binary_sensor", "button", "calendar", "event", "number", "select", "sensor", "switch")


def flat(node: Any, path: str = "") -> dict[str, str]:
    if not isinstance(node, dict):
        return {path: str(node)}
    return {key: value for name, item in node.items() for key, value in flat(item, f"{path}.{name}" if path else name).items()}


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_the_manifest_agrees_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert MANIFEST["version"] == project["version"]
    assert MANIFEST["requirements"] == [f"{project['name']}=={project['version']}"]
    assert list(MANIFEST)[:2] == ["domain", "name"]
    assert list(MANIFEST)[2:] == sorted(list(MANIFEST)[2:])
    assert MANIFEST["domain"] == HERE.name
    assert [path for path in ROOT.glob("**/manifest.json") if not {".venv", ".venv-ha", ".cache", "node_modules"} & set(path.parts)] == [
        HERE / "manifest.json"
    ]


@pytest.mark.parametrize("language", [path.stem for path in (HERE / "translations").glob("*.json")])
def test_every_language_says_the_same(language: str) -> None:
    other, ours = flat(json.loads((HERE / f"translations/{language}.json").read_text())), flat(EN)
    assert other.keys() == ours.keys()
    for key, text in other.items():
        assert placeholders(text) == placeholders(ours[key]), key
        assert text == text.strip()
        assert text
        assert not re.search(r"<[a-z]|https?://", text), key


def test_every_form_has_labels_and_descriptions() -> None:
    for name, step in EN["config"]["step"].items():
        assert step.get("data", {}).keys() == step.get("data_description", {}).keys(), name
        assert step["title"]


def test_every_action_has_words_and_an_icon() -> None:
    assert ACTIONS.keys() == EN["services"].keys() == ICONS["services"].keys()
    for name, action in ACTIONS.items():
        assert (action or {}).get("fields", {}).keys() == EN["services"][name].get("fields", {}).keys(), name
        for field, about in (action or {}).get("fields", {}).items():
            assert EN["services"][name]["fields"][field]["description"]
            key = about["selector"].get("select", {}) if isinstance(about.get("selector"), dict) else {}
            if key and (options := key.get("options")):
                assert list(EN["selector"][key["translation_key"]]["options"]) == options


def strings(tree: ast.AST, keyword: str) -> set[str]:
    """Every literal that is given for a keyword."""
    return {
        word.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == keyword and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
    }


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_entity_has_a_name_and_an_icon(platform: str) -> None:
    tree = ast.parse((HERE / f"{platform}.py").read_text())
    used = strings(tree, "translation_key") - EN["exceptions"].keys()
    if platform == "sensor":
        used |= {each.translation_key for each in UNIT_SENSORS if each.translation_key is not None}
    if platform == "number":
        # The ones that helpers make: their first argument is key and translation key.
        used |= {
            node.args[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_energy", "_power", "_counter", "_edge")
            and isinstance(node.args[0], ast.Constant)
        }  # fmt: skip
    known = EN["entity"].get(platform, {})
    assert used == known.keys()
    with_class = {"energy_received", "energy_shared", "energy_lost", "solar_power", "load_power", "mains_power", "grid_power", "grid_current", "grid_voltage",
                  "stored_energy", "battery_power", "battery_charged", "battery_discharged", "alarm"}  # fmt: skip
    assert used - with_class <= ICONS["entity"].get(platform, {}).keys()
    assert "PARALLEL_UPDATES" in {
        target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
    }


def test_every_exception_is_translated_with_what_it_needs() -> None:
    used: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                words = {word.arg: word.value for word in node.exc.keywords}
                if "translation_key" in words:
                    key = words["translation_key"].value  # type: ignore[attr-defined]
                    given = words.get("translation_placeholders")
                    names = {item.value for item in given.keys} if isinstance(given, ast.Dict) else set()  # type: ignore[union-attr]
                    assert placeholders(EN["exceptions"][key]["message"]) == names, key
                    used.add(key)
                else:
                    assert not node.exc.args, f"{path.name}: an exception with words of its own"
    assert used == EN["exceptions"].keys()


def test_all_rules_of_the_quality_scale_are_answered() -> None:
    rules = yaml.safe_load((HERE / "quality_scale.yaml").read_text())["rules"]
    assert len(rules) == 54
    for name, answer in rules.items():
        status = answer if isinstance(answer, str) else answer["status"]
        assert status in ("done", "todo", "exempt"), name
        assert isinstance(answer, str) or answer.get("comment"), name


def test_of_the_core_only_what_faces_may_use_is_used() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                if module == "apis_core":
                    # `app` opens communities, where entries are set up and proved; `kept` knows the files they leave.
                    assert {alias.name for alias in node.names} <= {"app", "kept"}  # type: ignore[union-attr]
                    assert path.name in ("__init__.py", "backup.py", "config_flow.py", "unit_form.py", "unit_flow.py")
                elif module.startswith("apis_core"):
                    assert module == "apis_core.community" or module.startswith("apis_core.model."), f"{path.name}: {module}"


@pytest.mark.parametrize("prefix", ["", "dark_"])
def test_brand_images_have_their_sizes(prefix: str) -> None:
    sizes = {}
    for name in ("icon", "icon@2x", "logo", "logo@2x"):
        data = (HERE / f"brand/{prefix}{name}.png").read_bytes()
        sizes[name] = (int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    assert sizes["icon"] == (256, 256)
    assert sizes["icon@2x"] == (512, 512)
    assert sizes["logo@2x"] == tuple(2 * side for side in sizes["logo"])


def test_every_field_of_every_action_stands_in_the_documentation() -> None:
    lines = (ROOT / "docs/actions.md").read_text().partition("### Fields")[2].splitlines()
    for action, form in ACTIONS.items():
        (line,) = (each for each in lines if each.startswith(f"| `apis.{action}` "))
        for name, field in form["fields"].items():
            assert (f"**`{name}`**" if field.get("required") else f" `{name}`") in line, (action, name)
            choices = field["selector"].get("select", {}).get("options", ())
            assert all(f"`{choice}`" in line for choice in choices), (action, name)
