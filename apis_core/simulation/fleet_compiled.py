"""The fleet's step as compiled loops: community by community, each through the whole time, on all processors. Needs numba.

Every loop over houses is free of branches and of calls, so that the compiler makes vector instructions of it; sums may be
taken in another order than numpy's, which is the only difference.
"""

import numba
import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

TOTALS = 9
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
    # A step's figures of all households lie beside each other, so that a community reads on from where it was.
    by_step = np.ascontiguousarray(load_w.T), np.ascontiguousarray(solar_w.T)
    suns = rows % solar_w.shape[0]
    found: Array = _run(*by_step, rows, suns, shifts, load_factor, solar_kw, size, first_step, steps, constants, look_ahead, step_h)
    return found


@numba.njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def _run(  # pragma: no cover - compiled
    load_w: Array,
    solar_w: Array,
    rows: NDArray[np.intp],
    suns: NDArray[np.intp],
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
    (capacity, begin, bypass_on, bypass_off, ac_on, ac_off, system, ups, ups_share, bypass_w, bypass_share, transformer, ac, ac_loss,
     ask, middle, offer, most, reaches, leaves) = constants  # fmt: skip
    communities, year = len(rows) // size, load_w.shape[0]
    found = np.zeros((communities, TOTALS))
    per_leaves, per_reaches, shares = 1.0 / leaves, 1.0 / reaches, most > 0
    for community in numba.prange(communities):
        first = community * size
        energy, flow, load, sun = np.full(size, begin), np.empty(size), np.empty(size), np.empty(size)
        bypass, charging = np.zeros(size), np.zeros(size)
        row, own_sun = rows[first : first + size].astype(np.int32), suns[first : first + size].astype(np.int32)
        at = (shifts[first : first + size] + first_step) % year
        factor, kw = load_factor[first : first + size].copy(), solar_kw[first : first + size].copy()
        load_sum = sun_sum = over_sum = mains_sum = under_sum = given = taken = 0.0
        for _ in range(steps):
            for i in range(size):
                here = at[i]
                load[i] = load_w[here, row[i]] * factor[i]
                sun[i] = solar_w[here, own_sun[i]] * kw[i]
                at[i] = here + 1 if here + 1 < year else 0
            a = b = c = d = 0.0
            for i in range(size):
                now = energy[i]
                on = 1.0 if now <= bypass_on else bypass[i]
                on = on if now < bypass_off else 0.0
                grid = 1.0 if now <= ac_on else charging[i]
                grid = grid if now < ac_off else 0.0
                bypass[i], charging[i] = on, grid
                own = load[i]
                need = system + (1.0 - on) * (ups + ups_share * own) - ac * grid
                flow[i] = (sun[i] - need) * step_h
                load_sum += own
                sun_sum += sun[i]
                mains_sum += transformer + on * (bypass_w + bypass_share * own) + grid * (ac + ac_loss)
            if shares:
                for i in range(size):
                    seen = energy[i] + look_ahead * flow[i]
                    excess, spare = (seen - offer) * per_leaves, (seen - middle) * per_leaves
                    short, room = (ask - seen) * per_reaches, (middle - seen) * per_reaches
                    excess, spare = max(0.0, excess), max(0.0, spare)
                    short, room = max(0.0, short), max(0.0, room)
                    a += min(most, excess)
                    b += min(most, spare)
                    c += min(most, short)
                    d += min(most, room)
                for_short = min(c, b)
                for_room = min(max(d - c, 0.0), max(a - for_short, 0.0))
                whole = for_short + for_room
                if whole > 0.0:
                    share_excess = min(whole / a, 1.0) if a > 0 else 0.0
                    share_spare = max(whole - a, 0.0) / (b - a) if b - a > 0 else 0.0
                    share_short = for_short / c if c > 0 else 0.0
                    share_room = for_room / (d - c) if d - c > 0 else 0.0
                    for i in range(size):
                        seen = energy[i] + look_ahead * flow[i]
                        excess, spare = (seen - offer) * per_leaves, (seen - middle) * per_leaves
                        short, room = (ask - seen) * per_reaches, (middle - seen) * per_reaches
                        excess, spare = max(0.0, excess), max(0.0, spare)
                        short, room = max(0.0, short), max(0.0, room)
                        excess, spare = min(most, excess), min(most, spare)
                        short, room = min(most, short), min(most, room)
                        out = (excess * share_excess + (spare - excess) * share_spare) * leaves
                        into = (short * share_short + (room - short) * share_room) * reaches
                        flow[i] += into - out
                        given += out
                        taken += into
            for i in range(size):
                after = energy[i] + flow[i]
                over, under = after - capacity, -after
                over, under = max(0.0, over), max(0.0, under)
                over_sum += over
                under_sum += under
                energy[i] = after - over + under
        load_wh, solar_wh, mains_wh, end = load_sum * step_h, sun_sum * step_h - over_sum, mains_sum * step_h + under_sum, energy.sum()
        loss = begin * size + solar_wh + mains_wh - load_wh - end
        line = found[community]
        line[0], line[1], line[2], line[3], line[4] = load_wh, solar_wh, over_sum, mains_wh, loss
        line[5], line[6], line[7], line[8] = given, taken, begin * size, end
    return found
