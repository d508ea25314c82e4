"""A browser for the tests here."""

import fcntl
import os
from pathlib import Path
import shutil
import subprocess

import pytest

from tests.test_processes import ROOT

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def browser() -> dict[str, str]:
    """An environment in which the scripts here find a browser; brought into .tools/browser when it is not there."""
    folder = ROOT / ".tools/browser"
    folder.parent.mkdir(exist_ok=True)
    # Two processes may want it at once.
    with (folder.parent / "browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _brought(folder)


def _brought(folder: Path) -> dict[str, str]:
    wanted = (HERE / "package.json").read_text()
    installed = folder / "package.json"
    if not installed.is_file() or installed.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", folder / "wanted.json")
        installed.write_text(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if result.returncode:
            installed.unlink()
            raise AssertionError(result.stderr)
    environment = {**os.environ, "BROWSER_MODULES": str(folder)}
    # A whole browser where there is one or one can be had; the small engine that came with the modules otherwise.
    whole = subprocess.run([str(ROOT / "scripts/setup-browser")], capture_output=True, text=True, timeout=300, check=False)
    return {**environment, "CHROMIUM": whole.stdout.strip().splitlines()[-1]} if whole.returncode == 0 else environment
