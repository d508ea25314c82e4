"""The community card with 100 houses and 50 running deals: `python -m benchmarks.cards [SECONDS]`.

Long tasks of the page [ms] (to stay below 50), frames per second, and its memory at the begin and at the end [MB].
"""

import json
import os
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run it, and print what was seen."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    whole = subprocess.run([str(ROOT / "scripts/setup-browser")], capture_output=True, text=True, check=False)
    environment = {**os.environ, "BROWSER_MODULES": str(ROOT / ".tools/browser")}
    if whole.returncode == 0:
        environment["CHROMIUM"] = whole.stdout.strip().splitlines()[-1]
    cards = ROOT / "custom_components/apis/frontend/apis.js"
    command = ["node", str(ROOT / "benchmarks/cards.mjs"), str(cards), seconds, "100", "50"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(result.stdout)
    begin, end = found["memoryMb"]
    print(f"{found['houses']} houses, 50 deals, {seconds} s: {found['longTasks']} long tasks, the longest {found['longestMs']:.0f} ms")
    print(f"{found['framesPerSecond']:.0f} frames per second, memory {begin:.1f} to {end:.1f} MB")


if __name__ == "__main__":
    main()
