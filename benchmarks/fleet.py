"""How fast fleets are played: `python -m benchmarks.fleet [HOUSES]`, one year of half-hours in communities of 20, with sharing.

Every line is one run of the same fleet on this machine; the ratios are to the bare compiled loop.
"""

from collections.abc import Callable
from functools import partial
import sys
import time
from typing import Any

from apis_core.emulator.profiles import bundled
from apis_core.simulation import fleet, fleet_compiled
from apis_core.simulation.fleet import Fleet, simulate

STEPS = 17_520
# So much of the fleet is enough to keep every processor busy with arrays.
NUMPY_PART = 4


def timed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def main() -> None:
    """Print what each way takes, per house and step."""
    houses = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    profiles, large = bundled(), Fleet(houses // 20, 20, load_scale=0.73)
    simulate(Fleet(1, 20), profiles, steps=10, engine="numba")
    parts = (*fleet.steps_of(profiles), *fleet.households(large, profiles.house_count))
    bare = partial(fleet_compiled.run, *parts, 20, 0, STEPS, fleet.constants(large), fleet.LOOK_AHEAD, fleet.STEP_H)
    few = Fleet(max(1, large.communities // NUMPY_PART), 20, load_scale=0.73)
    runs = {
        "bare compiled loop": (timed(bare), large.houses),
        "numba": (timed(partial(simulate, large, profiles, engine="numba")), large.houses),
        "numpy": (timed(partial(simulate, few, profiles)), few.houses),
        "numpy, 20 houses": (timed(partial(simulate, Fleet(1, 20), profiles)), 20),
        "numba, 20 houses": (timed(partial(simulate, Fleet(1, 20), profiles, engine="numba")), 20),
        "numba, 100 houses": (timed(partial(simulate, Fleet(5, 20), profiles, engine="numba")), 100),
    }
    yardstick = runs["bare compiled loop"][0] / large.houses
    for name, (seconds, count) in runs.items():
        per_step_us = seconds / STEPS * 1e6
        rate = count * STEPS / seconds / 1e6
        ratio = seconds / count / yardstick
        print(f"{name:20} {count:9,} houses {seconds:8.2f} s {rate:8.1f} M house-steps/s {per_step_us:10.1f} us a step, x {ratio:.2f}")


if __name__ == "__main__":
    main()
