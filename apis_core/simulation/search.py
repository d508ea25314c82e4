"""Many runs on all processors, and the plans of those that went wrong."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
import functools
import logging
import multiprocessing
from pathlib import Path

import orjson

from ..model.errors import ConfigError, Problem
from . import chaos
from .chaos import Outcome
from .plans import Fault, Plan


def runs(seeds: Iterable[int], units: int, hours: float, plan: Plan | None, jobs: int | None) -> Iterator[Outcome]:
    """The outcome of each seed, in their order."""
    work = functools.partial(chaos.run, units=units, hours=hours, plan=plan)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_be_quiet) as pool:
        yield from pool.map(work, seeds)


def _be_quiet() -> None:
    # What goes wrong on purpose is no news.
    logging.disable(logging.CRITICAL)


def shrunk(outcome: Outcome, units: int, hours: float) -> Outcome:
    """The same going wrong with a smaller plan."""
    before = logging.root.manager.disable
    _be_quiet()
    try:
        return chaos.shrink(outcome, units, hours)
    finally:
        logging.disable(before)


def write_plan(path: Path, outcome: Outcome) -> Path:
    """Keep a plan with what it led to. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"seed": outcome.seed, "violations": list(outcome.violations), "faults": [fault.to_json() for fault in outcome.plan]}
    path.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))
    return path


def read_plan(path: Path, units: int) -> Plan:
    """A plan that was kept, for so many houses.

    Raises:
        ConfigError: if it is none.

    """
    try:
        data = orjson.loads(path.read_bytes())
        faults = data["faults"]
    except OSError as error:
        raise ConfigError((Problem(str(path), error.strerror or str(error), "a JSON file with faults"),)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError((Problem(str(path), str(error), "a JSON file with faults"),)) from None
    if not isinstance(faults, list):
        raise ConfigError((Problem(f"{path}: faults", repr(faults)[:80], "a list"),))
    plan = tuple(sorted(Fault.from_json(item, f"{path}: faults[{i}]") for i, item in enumerate(faults)))
    known = {f"E{number + 1:03}" for number in range(units)}
    strangers = sorted({unit_id for fault in plan for unit_id in fault.units} - known)
    if strangers:
        raise ConfigError((Problem(f"{path}: units", ", ".join(strangers), f"units of {units} houses, E001 to E{units:03}"),))
    return plan
