"""Very many houses at once: the exact engine's house and the scenarios' rules as array operations in steps of half an hour.

A step has no single deals: what a community's houses would give and take by their scenarios is pooled, and shared out in
proportion. Everything else is the exact engine's (hardware reference 1.5, 1.6); its figures are the yardstick in the tests.
The layout is community by community, and a block of communities lives through the whole time before the next one begins, so
that what a step touches stays in the processor's cache.
"""

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..emulator.houses import Losses, Triggers
from ..emulator.profiles import Profiles
from ..presets import PRESETS, Terms

type Array = NDArray[np.float64]

STEP_S = 1800.0
STEP_H = STEP_S / 3600
WEEK_STEPS = int(7 * 86_400 / STEP_S)
LINE_V = 350.0
# Sharing answers what a step brings while it brings it: it looks at the batteries at this part of the step. With this one the
# energy that is shared comes within 4 % of the exact engine's (tests/simulation/test_fleet.py).
LOOK_AHEAD = 0.75
# So many houses live through the time together: their state fits into a processor's second cache.
BLOCK = 4000
# What a run sums up, in Wh.
TOTALS = ("load", "solar", "curtailed", "mains", "loss", "given", "taken", "begin", "end")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Communities of houses that are alike but for their household, and a factor on its load and its sun.

    `deal_current_a`, `slots`: a converter carries at most so many deals of that current at once; `together`: so many it carries
    on average while it is on, which its own losses are shared by (measured with the exact engine). `battery_wh`, `solar_kw`,
    `load_scale`: of each house. `spread`: households differ by a factor drawn evenly from 1 - spread to 1 + spread.
    """

    communities: int
    size: int = 20
    battery_wh: float = 4800.0
    solar_kw: float = 4.0
    solars_kw: tuple[float, ...] = ()
    load_scale: float = 1.0
    spread: float = 0.0
    deal_current_a: float = 2.0
    slots: int = 3
    together: float = 1.6
    terms: Terms = field(default_factory=lambda: PRESETS["balanced"])
    losses: Losses = field(default_factory=Losses)
    triggers: Triggers = field(default_factory=Triggers)
    charge_pct: float = 50.0
    sharing: bool = True
    seed: int = 1

    @property
    def houses(self) -> int:
        """How many houses."""
        return self.communities * self.size


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to [Wh], all houses together; `by_community`: a row for each, a column for each of TOTALS."""

    by_community: Array
    steps: int

    def total(self, name: str) -> float:
        """One of TOTALS."""
        return float(self.by_community[:, TOTALS.index(name)].sum())

    @property
    def self_sufficiency(self) -> float:
        """1 - energy bought from the mains / load; the original's `ssr_real` counts the same (hardware reference 1.10)."""
        return 1 - self.total("mains") / self.total("load")

    @property
    def pv_used(self) -> float:
        """PV energy used or stored / what the sun offered."""
        return 1 - self.total("curtailed") / (self.total("solar") + self.total("curtailed"))


def steps_of(profiles: Profiles) -> tuple[Array, Array]:
    """Load [W] and PV [W/kW] of each household in the middle of each step, shapes (households, steps of a year)."""
    return _stepped(profiles.load.values_w, profiles.load.interval_s), _stepped(profiles.solar.values_w, profiles.solar.interval_s)


def _stepped(values_w: Array, interval_s: float) -> Array:
    """Linear in between, as the exact engine takes it; the year wraps."""
    count = values_w.shape[1]
    steps = round(count * interval_s / STEP_S)
    position = (np.arange(steps) + 0.5) * (STEP_S / interval_s)
    first = np.floor(position).astype(np.intp)
    part = position - first
    found: Array = values_w[:, first % count] * (1 - part) + values_w[:, (first + 1) % count] * part
    return found


def simulate(
    fleet: Fleet, profiles: Profiles, *, first_step: int = 0, steps: int | None = None, engine: str = "numpy", block: int = BLOCK
) -> Figures:
    """The whole fleet through the time: a year, or `steps` from a step of the year on.

    `engine`: `numpy`, or `numba` where that is installed; both give the same figures but for rounding.

    Raises:
        ModuleNotFoundError: if numba is wanted and not there.

    """
    load_w, solar_w = steps_of(profiles)
    steps = load_w.shape[1] if steps is None else steps
    rows, shifts, load_factor, solar_kw = households(fleet, load_w.shape[0])
    figures = constants(fleet)
    run = _numpy if engine == "numpy" else _compiled()
    # Compiled, a community is a block of its own.
    per_block = max(1, block // fleet.size) if engine == "numpy" else fleet.communities
    found = []
    for begin in range(0, fleet.communities, per_block):
        part = slice(begin * fleet.size, min(begin + per_block, fleet.communities) * fleet.size)
        chosen = rows[part], shifts[part], load_factor[part], solar_kw[part]
        found.append(run(load_w, solar_w, *chosen, fleet.size, first_step, steps, figures))
    return Figures(np.concatenate(found), steps)


def households(fleet: Fleet, known: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """Of each house: whose data it has, by how many weeks they are shifted, the factor on its load, and its PV [kW].

    A community's factors come from a seed of its own: they are the same in whatever parts a fleet is simulated.
    """
    number = np.arange(fleet.houses)
    within = number % fleet.size
    rows = (number % known).astype(np.intp)
    shifts = ((number // known) % 52 * WEEK_STEPS).astype(np.intp)
    factor = np.ones(fleet.houses)
    if fleet.spread:
        draws = [np.random.default_rng((fleet.seed, community)).random(fleet.size) for community in range(fleet.communities)]
        factor = 1 + fleet.spread * (2 * np.concatenate(draws) - 1)
    solar = np.array(fleet.solars_kw or (fleet.solar_kw,))
    return rows, shifts, fleet.load_scale * factor, solar[within % len(solar)]


def constants(fleet: Fleet) -> Array:
    """Everything that is the same for all, as one row; the order is `_NAMES`."""
    wh = fleet.battery_wh
    loss, triggers, terms = fleet.losses, fleet.triggers, fleet.terms
    power_w = fleet.deal_current_a * LINE_V
    together = min(fleet.together, fleet.slots)
    values: dict[str, float] = {
        "capacity": wh,
        "begin": wh * fleet.charge_pct / 100,
        "bypass_on": wh * triggers.bypass_on_pct / 100,
        "bypass_off": wh * triggers.bypass_off_pct / 100,
        "ac_on": wh * triggers.ac_on_pct / 100,
        "ac_off": wh * triggers.ac_off_pct / 100,
        "system": loss.system_w + loss.wait_w,
        "ups": loss.ups_battery_w,
        "ups_share": 1 + loss.ups_battery_ratio,
        "bypass_w": loss.ups_bypass_w,
        "bypass_share": 1 + loss.ups_bypass_ratio + loss.transformer_ratio,
        "transformer": loss.transformer_w,
        "ac": loss.ac_charge_w,
        "ac_loss": loss.ac_charge_loss_w,
        "ask": wh * terms.ask,
        "middle": wh * terms.middle,
        "offer": wh * terms.offer,
        # What a house carries in a step at most, and what reaches a battery, or leaves one, of a watt-hour on the line.
        "most": power_w * STEP_H * fleet.slots if fleet.sharing else 0.0,
        "reaches": 1 - (loss.charge_w - loss.wait_w) / (power_w * together),
        "leaves": 1 + (loss.discharge_w - loss.wait_w) / (power_w * together),
    }
    assert tuple(values) == _NAMES
    return np.array(list(values.values()))


_NAMES = (
    "capacity", "begin", "bypass_on", "bypass_off", "ac_on", "ac_off", "system", "ups", "ups_share", "bypass_w", "bypass_share",
    "transformer", "ac", "ac_loss", "ask", "middle", "offer", "most", "reaches", "leaves",
)  # fmt: skip


def _numpy(
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
) -> Array:
    """Some communities through the time, step by step, all their houses at once."""
    (capacity, begin, bypass_on, bypass_off, ac_on, ac_off, system, ups, ups_share, bypass_w, bypass_share, transformer, ac, ac_loss,
     ask, middle, offer, most, reaches, leaves) = constants.tolist()  # fmt: skip
    year, shape = load_w.shape[1], (-1, size)
    energy = np.full(len(rows), begin)
    bypass, charging = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    sums = {name: np.zeros(len(rows)) for name in TOTALS}
    sums["begin"] += begin
    for step in range(first_step, first_step + steps):
        at = (step + shifts) % year
        load, sun = load_w[rows, at] * load_factor, solar_w[rows % solar_w.shape[0], at] * solar_kw
        bypass = (bypass | (energy <= bypass_on)) & (energy < bypass_off)
        charging = (charging | (energy <= ac_on)) & (energy < ac_off)
        need = system + np.where(bypass, 0.0, ups + ups_share * load) - ac * charging
        mains = transformer + np.where(bypass, bypass_w + bypass_share * load, 0.0) + (ac + ac_loss) * charging
        flow = (sun - need) * STEP_H
        if most:
            given, taken = _shared(energy + LOOK_AHEAD * flow, shape, ask, middle, offer, most, reaches, leaves)
            flow += taken - given
            sums["given"] += given
            sums["taken"] += taken
        after = energy + flow
        over, under = np.maximum(after - capacity, 0.0), np.maximum(-after, 0.0)
        energy = after - over + under
        sums["load"] += load
        sums["solar"] += sun - over / STEP_H
        sums["curtailed"] += over / STEP_H
        sums["mains"] += mains + under / STEP_H
    for name in ("load", "solar", "curtailed", "mains"):
        sums[name] *= STEP_H
    sums["end"] += energy
    sums["loss"] = sums["begin"] + sums["solar"] + sums["mains"] - sums["load"] - sums["end"]
    found: Array = np.stack([sums[name].reshape(shape).sum(axis=1) for name in TOTALS], axis=1)
    return found


def _shared(
    energy: Array, shape: tuple[int, int], ask: float, middle: float, offer: float, most: float, reaches: float, leaves: float
) -> tuple[Array, Array]:
    """What each gives and takes in a step [Wh at its battery].

    Who is above the upper edge asks to give; who is below the middle accepts. Who is below the lower edge asks to charge;
    who is above the middle accepts. What both sides want meets, in proportion.
    """
    excess = np.minimum(np.maximum(energy - offer, 0.0) / leaves, most)
    spare = np.minimum(np.maximum(energy - middle, 0.0) / leaves, most)
    short = np.minimum(np.maximum(ask - energy, 0.0) / reaches, most)
    room = np.minimum(np.maximum(middle - energy, 0.0) / reaches, most)
    a, b, c, d = (each.reshape(shape).sum(axis=1) for each in (excess, spare, short, room))
    # The short ones are served from everything that is spare, the others from what is in excess.
    for_short = np.minimum(c, b)
    for_room = np.minimum(np.maximum(d - c, 0.0), np.maximum(a - for_short, 0.0))
    whole = for_short + for_room
    share_excess = np.where(a > 0, np.minimum(whole / np.where(a > 0, a, 1.0), 1.0), 0.0)
    rest = np.maximum(whole - a, 0.0)
    beyond = b - a
    share_spare = np.where(beyond > 0, rest / np.where(beyond > 0, beyond, 1.0), 0.0)
    share_short = np.where(c > 0, for_short / np.where(c > 0, c, 1.0), 0.0)
    others = d - c
    share_room = np.where(others > 0, for_room / np.where(others > 0, others, 1.0), 0.0)

    def spread(per_community: Array) -> Array:
        return np.repeat(per_community, shape[1])

    out = (excess * spread(share_excess) + (spare - excess) * spread(share_spare)) * leaves
    into = (short * spread(share_short) + (room - short) * spread(share_room)) * reaches
    return out, into


@cache
def _compiled() -> Any:
    """The same as one loop per house and step, compiled. Raises ModuleNotFoundError where numba is not installed."""
    from .fleet_compiled import run

    return partial(run, look_ahead=LOOK_AHEAD, step_h=STEP_H)
