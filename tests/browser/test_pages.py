"""Pages in a real browser, as a person uses them."""

import json
from pathlib import Path
import subprocess
from typing import Any
import urllib.request

import pytest

from tests.test_processes import emulator

pytestmark = pytest.mark.alone

HERE = Path(__file__).parent


def visit(script: str, url: str, folder: Path, environment: dict[str, str]) -> Any:
    command = ["node", str(HERE / script), url, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def test_the_emulators_page(tmp_path: Path, browser: dict[str, str]) -> None:
    with emulator(4, 60) as port:
        seen = visit("emulator.mjs", f"http://127.0.0.1:{port}/", tmp_path, browser)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/units/E001", timeout=5) as answer:
            unit = json.loads(answer.read())
    # The one request that was refused on purpose is the browser's only complaint.
    assert [text for text in seen["errors"] if "400" not in text] == []
    assert len(seen["errors"]) == 1
    assert seen["cards"] == 4
    assert seen["typedStays"] == "77"
    assert "found 20, expected 0 to 8.5162" in seen["error"]
    assert seen["found"] == ["E003"]
    assert seen["focused"] in ("BUTTON", "INPUT", "A", "SUMMARY")
    assert seen["overflow"] == {"412": 0, "1280": 0}
    assert seen["documented"] >= 15
    assert unit["converter"]["mode"] == "VOLTAGE_REFERENCE"
    assert unit["converter"]["current_a"] == 3
