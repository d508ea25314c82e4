"""Very many houses at once: the exact engine's house and the scenarios' rules as array operations in steps of half an hour.

A step has no single deals: what a community's houses would give and take by their scenarios is pooled, and shared out in
proportion. Everything else is the exact engine's (hardware reference 1.5, 1.6); its figures are the yardstick in the tests.
The layout is community by community, and a block of communities lives through the whole time before the next one begins, so
that what a step touches stays in the processor's cache.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..emulator.houses import Losses, Triggers
from ..emulator.profiles import Profiles
from ..emulator.shares import shares
from ..presets import PRESETS, Terms
from .library import Library

type Array = NDArray[np.float64]

STEP_S = 1800.0
STEP_H = STEP_S / 3600
WEEK_STEPS = int(7 * 86_400 / STEP_S)
LINE_V = 350.0
# Sharing answers what a step brings while it brings it: it looks at the batteries at this part of the step. With this one the
# energy that is shared comes within 4 % of the exact engine's (tests/simulation/test_fleet.py). At the very end it would leave
# batteries at their edges to the last bit, and roundings would decide.
LOOK_AHEAD = 0.9
# So many houses live through the time together: fewer, and numpy is called more than it works; more, and no cache holds them.
BLOCK = 40_000
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
        """1 - energy bought from the mains / load."""
        return 1 - self.total("mains") / self.total("load")

    @property
    def shares(self) -> dict[str, float]:
        """The original's four shares: see emulator.shares."""
        return shares(
            load_wh=self.total("load"),
            solar_wh=self.total("solar"),
            curtailed_wh=self.total("curtailed"),
            mains_wh=self.total("mains"),
            stored_wh=self.total("end") - self.total("begin"),
        )

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
    parts = [
        slice(begin * fleet.size, min(begin + per_block, fleet.communities) * fleet.size)
        for begin in range(0, fleet.communities, per_block)
    ]

    def play(part: slice) -> Array:
        chosen = rows[part], shifts[part], load_factor[part], solar_kw[part]
        found: Array = run(load_w, solar_w, *chosen, fleet.size, first_step, steps, figures)
        return found

    if len(parts) == 1:
        return Figures(play(parts[0]), steps)
    # Array operations of this size let other threads run.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return Figures(np.concatenate(list(pool.map(play, parts))), steps)


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
    """Some communities through the time, step by step, all their houses at once.

    A row is the houses of one place in their communities: what is summed up by community is summed over whole rows, and what is
    one community's meets its houses without being copied. Everything is written to where it was, as far as it goes.
    """
    (capacity, begin, bypass_on, bypass_off, ac_on, ac_off, system, ups, ups_share, bypass_w, bypass_share, transformer, ac, ac_loss,
     _ask, _middle, _offer, most, _reaches, _leaves) = constants.tolist()  # fmt: skip
    row, first = (np.ascontiguousarray(each.reshape(-1, size).T) for each in (rows, shifts + first_step))
    factor, kw = (np.ascontiguousarray(each.reshape(-1, size).T) for each in (load_factor, solar_kw))
    loads, suns = _Series(Library(load_w), row, first, factor), _Series(Library(solar_w), row % len(solar_w), first, kw)
    pool = _Pool(row.shape, constants[_NAMES.index("ask") :])
    energy, flow, x = np.full(row.shape, begin), np.empty(row.shape), np.empty(row.shape)
    bypass, charging, mask = np.zeros(row.shape, bool), np.zeros(row.shape, bool), np.empty(row.shape, bool)
    over, under, mains, charged = (np.zeros(row.shape) for _ in range(4))
    for _ in range(steps):
        load, sun = loads.next(), suns.next()
        for state, low, high in ((bypass, bypass_on, bypass_off), (charging, ac_on, ac_off)):
            np.less_equal(energy, low, out=mask)
            np.logical_or(state, mask, out=state)
            np.less(energy, high, out=mask)
            np.logical_and(state, mask, out=state)
        np.multiply(load, ups_share, out=x)
        x += ups
        np.copyto(x, 0.0, where=bypass)
        np.subtract(sun, x, out=flow)
        flow -= system
        np.add(flow, ac, out=flow, where=charging)
        flow *= STEP_H
        np.multiply(load, bypass_share, out=x)
        x += bypass_w
        np.logical_not(bypass, out=mask)
        np.copyto(x, 0.0, where=mask)
        mains += x
        np.add(charged, 1.0, out=charged, where=charging)
        if most:
            pool.share(energy, flow)
        energy += flow
        np.subtract(energy, capacity, out=x)
        np.maximum(x, 0.0, out=x)
        energy -= x
        over += x
        if energy.min() < 0:
            np.minimum(energy, 0.0, out=x)
            energy -= x
            under -= x
    mains += charged * (ac + ac_loss) + transformer * steps
    sums = {
        "load": loads.sum() * STEP_H,
        "solar": suns.sum() * STEP_H - over,
        "curtailed": over,
        "mains": mains * STEP_H + under,
        "given": pool.given,
        "taken": pool.taken,
        "begin": np.full(row.shape, begin),
        "end": energy,
    }
    sums["loss"] = sums["begin"] + sums["solar"] + sums["mains"] - sums["load"] - sums["end"]
    found: Array = np.stack([sums[name].sum(axis=0) for name in TOTALS], axis=1)
    return found


class _Series:
    """What each house has of a series, step by step."""

    def __init__(self, library: Library, rows: NDArray[np.intp], first: NDArray[np.intp], factor: Array) -> None:
        """`first`: the step at which each house begins."""
        self._library, self._factor, self._step = library, factor, 0
        self._rows, self._first = rows, first % library.year
        self._at = library.at(rows, self._first)
        self._now = np.empty(rows.shape)

    def next(self) -> Array:
        """This step's; the same array each time."""
        begin = self._step % self._library.year * self._library.count
        # Nothing is out of bounds: told so, numpy writes without a copy in between.
        np.take(self._library.flat[begin:], self._at, out=self._now, mode="clip")
        self._now *= self._factor
        self._step += 1
        return self._now

    def sum(self) -> Array:
        """What all steps so far came to."""
        found: Array = self._factor * self._library.sums(self._rows, self._first, self._step)
        return found


class _Pool:
    """What the houses of each community give to each other in a step.

    Who is above the upper edge asks to give; who is below the middle accepts. Who is below the lower edge asks to charge; who
    is above the middle accepts. What both sides want meets, in proportion.
    """

    def __init__(self, shape: tuple[int, ...], constants: Array) -> None:
        """`shape`: places, communities. `constants`: the last of `_NAMES`, from `ask` on."""
        self._ask, self._middle, self._offer, self._most, self._reaches, self._leaves = constants.tolist()
        # Counted from the start [Wh at the battery], shape (places, communities).
        self.given, self.taken = np.zeros(shape), np.zeros(shape)
        self._seen, self._on_line, self._excess, self._spare, self._short, self._room = (np.empty(shape) for _ in range(6))

    def share(self, energy: Array, flow: Array) -> None:
        """Add to each house's flow in the step [Wh] what it takes and gives."""
        seen, on_line = self._seen, self._on_line
        np.multiply(flow, LOOK_AHEAD, out=seen)
        seen += energy
        np.multiply(seen, 1 / self._leaves, out=on_line)
        np.subtract(on_line, self._offer / self._leaves, out=self._excess)
        np.subtract(on_line, self._middle / self._leaves, out=self._spare)
        np.multiply(seen, 1 / self._reaches, out=on_line)
        np.subtract(self._ask / self._reaches, on_line, out=self._short)
        np.subtract(self._middle / self._reaches, on_line, out=self._room)
        for wish in (self._excess, self._spare, self._short, self._room):
            np.clip(wish, 0.0, self._most, out=wish)
        a, b, c, d = (wish.sum(axis=0) for wish in (self._excess, self._spare, self._short, self._room))
        # The short ones are served from everything that is spare, the others from what is in excess.
        for_short = np.minimum(c, b)
        for_room = np.minimum(np.maximum(d - c, 0.0), np.maximum(a - for_short, 0.0))
        whole = for_short + for_room
        if not whole.any():
            return
        # excess * p + (spare - excess) * q, and likewise for those who take.
        q, s = _part(np.maximum(whole - a, 0.0), b - a) * self._leaves, _part(for_room, d - c) * self._reaches
        p, r = np.minimum(_part(whole, a), 1.0) * self._leaves, _part(for_short, c) * self._reaches
        for wish, inner, outer_part, inner_part, count, sign in (
            (self._spare, self._excess, q, p, self.given, -1.0),
            (self._room, self._short, s, r, self.taken, 1.0),
        ):
            wish -= inner
            wish *= outer_part
            inner *= inner_part
            wish += inner
            count += wish
            if sign > 0:
                flow += wish
            else:
                flow -= wish


def _part(some: Array, whole: Array) -> Array:
    """A part of a whole, nothing of nothing."""
    found: Array = np.divide(some, whole, out=np.zeros_like(some), where=whole > 0)
    return found


@cache
def _compiled() -> Any:
    """The same as one loop per house and step, compiled. Raises ModuleNotFoundError where numba is not installed."""
    from .fleet_compiled import run

    return partial(run, look_ahead=LOOK_AHEAD, step_h=STEP_H)
