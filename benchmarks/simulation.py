"""How fast communities run in virtual time: `python -m benchmarks.simulation [UNITS DAYS]`.

Targets: 19 units, 365 days, deals of 100 Wh at 2 A in under 300 s on one core; 100 units, 30 days in under 150 s. Without
arguments a part of each is run and what the whole would take is worked out from it; the last table is where the time goes.
"""

import cProfile
import io
import pstats
import sys
import time

from apis_core.simulation.options import START, Options
from apis_core.simulation.run import simulate

PARTS = ((19, 365.0, 4.0), (100, 30.0, 0.4))
# The quarters of the year, from each of which days are taken.
QUARTERS = 4


def measure(units: int, days: float, part: float) -> None:
    """`part` days, spread over the year where the whole is one."""
    starts = [START.replace(month=1 + 3 * i) for i in range(QUARTERS)] if days > 300 else [START.replace(month=6)]
    seconds, deals = 0.0, 0
    for start in starts:
        begun = time.perf_counter()
        result = simulate(Options(units=units, days=part / len(starts), start=start.replace(hour=0)))
        seconds += time.perf_counter() - begun
        deals += len(result.deals)
    whole_s = seconds / part * days
    each = f"{seconds / deals * 1e6:.0f} us a deal" if deals else "no deals"
    say(f"{units} units: {part:g} days in {seconds:.1f} s, {deals} deals, {each}; {days:g} days would take {whole_s:.0f} s")


def profile() -> None:
    """Where the time goes, for half a summer day."""
    profiler = cProfile.Profile()
    profiler.runcall(simulate, Options(days=0.5, start=START.replace(month=6)))
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).sort_stats("tottime").print_stats(20)
    say("\n".join(line[:120] for line in out.getvalue().splitlines()[6:] if line.strip()))


def say(line: str) -> None:
    """One line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[2]))
    else:
        for units, days, part in PARTS:
            measure(units, days, part)
        profile()
