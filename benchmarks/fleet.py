"""How fast fleets are played: `python -m benchmarks.fleet [HOUSES]`, one year of half-hours in communities of 20, with sharing.

Every line is one run of the same fleet on this machine; the ratios are to the bare loop: the same arithmetic written down
once more, as plainly as it can be, and compiled.
"""

from collections.abc import Callable
from functools import partial
import sys
import time
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from apis_core.emulator.profiles import bundled
from apis_core.simulation import fleet
from apis_core.simulation.fleet import Fleet, simulate

type Array = NDArray[np.float64]

STEPS = 17_520
# So much of the fleet is enough to keep every processor busy with arrays.
NUMPY_PART = 4


@numba.njit(parallel=True, fastmath=True, error_model="numpy")
def bare(loads: Array, suns: Array, size: int, communities: int, steps: int, constants: Array, factor: float, kw: float) -> Array:
    """Every house's energy after the steps, and what each community gave and bought [Wh], shape (communities, size + 2).

    `loads`, `suns`: a row per step, a column per house of a community; all communities are alike.
    """
    (capacity, begin, bypass_on, bypass_off, ac_on, ac_off, system, ups, ups_share, bypass_w, bypass_share, transformer, ac, ac_loss,
     ask, middle, offer, most, reaches, leaves) = constants  # fmt: skip
    found = np.zeros((communities, size + 2))
    for community in numba.prange(communities):
        energy, flow, bypass, charging = np.full(size, begin), np.zeros(size), np.zeros(size), np.zeros(size)
        excess, spare, short, room = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
        given = bought = 0.0
        for step in range(steps):
            all_excess = all_spare = all_short = all_room = 0.0
            for i in range(size):
                load, now = loads[step, i] * factor, energy[i]
                bypass[i] = (1.0 if now <= bypass_on else bypass[i]) if now < bypass_off else 0.0
                charging[i] = (1.0 if now <= ac_on else charging[i]) if now < ac_off else 0.0
                flow[i] = suns[step, i] * kw - system - (1.0 - bypass[i]) * (ups + ups_share * load) + ac * charging[i]
                bought += transformer + bypass[i] * (bypass_w + bypass_share * load) + charging[i] * (ac + ac_loss)
                flow[i] *= fleet.STEP_H
                seen = now + fleet.LOOK_AHEAD * flow[i]
                excess[i] = min(most, max(0.0, (seen - offer) / leaves))
                spare[i] = min(most, max(0.0, (seen - middle) / leaves))
                short[i] = min(most, max(0.0, (ask - seen) / reaches))
                room[i] = min(most, max(0.0, (middle - seen) / reaches))
                all_excess += excess[i]
                all_spare += spare[i]
                all_short += short[i]
                all_room += room[i]
            for_short = min(all_short, all_spare)
            for_room = min(max(all_room - all_short, 0.0), max(all_excess - for_short, 0.0))
            whole = for_short + for_room
            if whole > 0.0:
                p = min(whole / all_excess, 1.0) if all_excess > 0 else 0.0
                q = max(whole - all_excess, 0.0) / (all_spare - all_excess) if all_spare > all_excess else 0.0
                r = for_short / all_short if all_short > 0 else 0.0
                s = for_room / (all_room - all_short) if all_room > all_short else 0.0
                for i in range(size):
                    out = (excess[i] * p + (spare[i] - excess[i]) * q) * leaves
                    flow[i] += (short[i] * r + (room[i] - short[i]) * s) * reaches - out
                    given += out
            for i in range(size):
                energy[i] = min(capacity, max(0.0, energy[i] + flow[i]))
        found[community, :size], found[community, size], found[community, size + 1] = energy, given, bought * fleet.STEP_H
    return found


def bare_run(houses: Fleet) -> Callable[[], Any]:
    """The bare loop for a fleet, compiled."""
    load_w, solar_w = fleet.steps_of(bundled())
    rows, _, factor, kw = fleet.households(houses, len(load_w))
    columns = rows[: houses.size]
    loads, suns = (np.ascontiguousarray(each[columns % len(each)].T) for each in (load_w, solar_w))
    work = partial(bare, loads, suns, houses.size, constants=fleet.constants(houses), factor=float(factor[0]), kw=float(kw[0]))
    work(communities=1, steps=1)
    return partial(work, communities=houses.communities, steps=STEPS)


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
    few = Fleet(max(1, large.communities // NUMPY_PART), 20, load_scale=0.73)
    runs = {
        "bare compiled loop": (timed(bare_run(large)), large.houses),
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
