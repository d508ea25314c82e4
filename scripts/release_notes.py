"""Says what is new in a version, from the changelog; refuses one that is not ready. `python scripts/release_notes.py VERSION`."""

from pathlib import Path
import re
import sys
import tomllib

ROOT = Path(__file__).parents[1]


def notes(version: str, project: dict[str, object], changelog: str, *, placeholder: bool) -> str:
    """The changelog's section. Raises ValueError with what is missing."""
    if placeholder:
        raise ValueError("pyproject.toml: tool.apis.address-is-a-placeholder: found true, expected the repository's own address")
    if version != project["version"]:
        raise ValueError(f"version: found {version}, expected pyproject.toml's {project['version']}")
    section = re.search(rf"^## {re.escape(version)}([^\n]*)\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    if section is None or not section[2].strip():
        raise ValueError(f"CHANGELOG.md: found nothing of {version}, expected a section with what is new")
    if "unreleased" in section[1]:
        raise ValueError(f"CHANGELOG.md: found {version} as unreleased, expected its date")
    return section[2].strip() + "\n"


def main() -> int:
    """Print them."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    placeholder = bool(data["tool"]["apis"]["address-is-a-placeholder"])
    try:
        print(notes(sys.argv[1], data["project"], (ROOT / "CHANGELOG.md").read_text(), placeholder=placeholder), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
