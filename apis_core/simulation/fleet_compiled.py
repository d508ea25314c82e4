"""The fleet's step as compiled loops: community by community, each through the whole time, on all processors. Needs numba.

Every loop over houses is free of branches, calls and signed indices, so that the compiler makes vector instructions of it;
sums may be taken in another order than numpy's, which is the only difference.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from .library import Library

type Array = NDArray[np.float64]
type Index = NDArray[np.uint64]

# What `_run` counts of each community [Wh]: curtailed, mains, given, taken, and what its batteries hold at the end.
COUNTS = 5
# No infinities and no zeros with a sign are in it, and sums may be reordered.
FAST = {"reassoc", "nnan", "ninf", "nsz", "contract", "arcp"}


def run(
    load_w: Array,
    solar_w: Array,
    rows: NDArray[np.intp],
    shifts: NDArray[np.intp],
    load_factor: Array,
    solar_kw: Array,
    size: int,
    first_step: int,
    steps: int,
    constants: Array,
    look_ahead: float,
    step_h: float,
) -> Array:
    """See fleet._numpy: the same arithmetic, house by house."""
    loads, suns = Library(load_w), Library(solar_w)
    load_first, sun_first = (shifts + first_step) % loads.year, (shifts + first_step) % suns.year
    sun_rows = rows % solar_w.shape[0]
    own = (
        loads.flat,
        suns.flat,
        loads.at(rows, load_first).astype(np.uint64),
        suns.at(sun_rows, sun_first).astype(np.uint64),
        load_factor,
        solar_kw,
    )
    counted = _run(*own, loads.count, suns.count, loads.year, size, steps, constants, look_ahead, step_h)
    curtailed, mains, given, taken, end = counted.T
    # What the sun gives and a house takes hangs on nothing that happens.
    load = _by_community(load_factor * loads.sums(rows, load_first, steps), size) * step_h
    solar = _by_community(solar_kw * suns.sums(sun_rows, sun_first, steps), size) * step_h - curtailed
    begin = np.full(len(load), constants[1] * size)
    found: Array = np.stack([load, solar, curtailed, mains, begin + solar + mains - load - end, given, taken, begin, end], axis=1)
    return found


def _by_community(values: Array, size: int) -> Array:
    found: Array = values.reshape(-1, size).sum(axis=1)
    return found


@numba.njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def _run(  # pragma: no cover - compiled
    loads: Array,
    suns: Array,
    load_at: Index,
    sun_at: Index,
    load_factor: Array,
    solar_kw: Array,
    load_count: int,
    sun_count: int,
    year: int,
    size: int,
    steps: int,
    constants: Array,
    look_ahead: float,
    step_h: float,
) -> Array:
    (capacity, begin, bypass_on, bypass_off, ac_on, ac_off, system, ups, ups_share, bypass_w, bypass_share, transformer, ac, ac_loss,
     ask, middle, offer, most, reaches, leaves) = constants  # fmt: skip
    communities = len(load_at) // size
    found = np.zeros((communities, COUNTS))
    per_leaves, per_reaches = 1.0 / leaves, 1.0 / reaches
    for community in numba.prange(communities):
        first = community * size
        energy, flow, load, sun = np.full(size, begin), np.empty(size), np.empty(size), np.empty(size)
        bypass, charging = np.zeros(size), np.zeros(size)
        excess, spare, short, room = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
        own_load, own_sun = load_at[first : first + size].copy(), sun_at[first : first + size].copy()
        factor, kw = load_factor[first : first + size].copy(), solar_kw[first : first + size].copy()
        curtailed = mains = missing = given = taken = 0.0
        for step in range(steps):
            load_here, sun_here = np.uint64(step % year * load_count), np.uint64(step % year * sun_count)
            for i in range(size):
                load[i] = loads[own_load[i] + load_here] * factor[i]
                sun[i] = suns[own_sun[i] + sun_here] * kw[i]
            a = b = c = d = 0.0
            for i in range(size):
                now = energy[i]
                on = 1.0 if now <= bypass_on else bypass[i]
                on = on if now < bypass_off else 0.0
                grid = 1.0 if now <= ac_on else charging[i]
                grid = grid if now < ac_off else 0.0
                bypass[i], charging[i] = on, grid
                flow[i] = (sun[i] - system - (1.0 - on) * (ups + ups_share * load[i]) + ac * grid) * step_h
                mains += on * (bypass_w + bypass_share * load[i]) + grid * (ac + ac_loss)
                seen = now + look_ahead * flow[i]
                excess[i] = min(most, max(0.0, (seen - offer) * per_leaves))
                spare[i] = min(most, max(0.0, (seen - middle) * per_leaves))
                short[i] = min(most, max(0.0, (ask - seen) * per_reaches))
                room[i] = min(most, max(0.0, (middle - seen) * per_reaches))
                a += excess[i]
                b += spare[i]
                c += short[i]
                d += room[i]
            for_short = min(c, b)
            for_room = min(max(d - c, 0.0), max(a - for_short, 0.0))
            whole = for_short + for_room
            if whole > 0.0:
                share_excess = min(whole / a, 1.0) if a > 0 else 0.0
                share_spare = max(whole - a, 0.0) / (b - a) if b - a > 0 else 0.0
                share_short = for_short / c if c > 0 else 0.0
                share_room = for_room / (d - c) if d - c > 0 else 0.0
                for i in range(size):
                    out = (excess[i] * share_excess + (spare[i] - excess[i]) * share_spare) * leaves
                    into = (short[i] * share_short + (room[i] - short[i]) * share_room) * reaches
                    flow[i] += into - out
                    given += out
                    taken += into
            for i in range(size):
                after = energy[i] + flow[i]
                over, under = max(0.0, after - capacity), max(0.0, -after)
                curtailed += over
                missing += under
                energy[i] = after - over + under
        line = found[community]
        line[0], line[1] = curtailed, (mains + transformer * size * steps) * step_h + missing
        line[2], line[3], line[4] = given, taken, energy.sum()
    return found
