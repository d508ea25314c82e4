"""The commands that run communities in virtual time."""

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import replace
from datetime import datetime
import hashlib
import math
from pathlib import Path
import shlex
import signal
import tempfile
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
import typer

from .model.errors import ConfigError, Problem
from .model.files import read_file
from .model.policy import Policy
from .model.scenario import Scenario

if TYPE_CHECKING:
    from .simulation.chaos import Outcome
    from .simulation.options import Options
    from .simulation.run import Progress as Ask
    from .simulation.tables import Result

console = Console()
BAR = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("left"), TimeRemainingColumn())


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to simulate with")
    return value


# The first says already what the others would.
INSTEAD = {
    "from_diagnostics": ("units", "scenario", "policy", "battery_wh", "start"),
    "policy": ("deal_current_a", "deal_wh"),
    "without_sharing": ("compare",),
    "solar": ("pv_scale",),
}


def _expect_no_contradiction(context: typer.Context) -> None:
    """What would be ignored is refused. Raises ConfigError."""

    def is_given(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    for name, others in INSTEAD.items():
        for other in others:
            if is_given(name) and is_given(other):
                first, second = (f"--{text.replace('_', '-')}" for text in (name, other))
                raise ConfigError((Problem(second, f"beside {first}", "one of the two"),))


def simulate(
    context: typer.Context,
    units: Annotated[int, typer.Option(min=2, max=1000, help="How many houses.")] = 19,
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="How many days.")] = 365.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run.")] = 1,
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day, 1 January without it; the data serve any year.")
    ] = None,
    scenario: Annotated[Path | None, typer.Option(help="A scenario file for all houses.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A policy file; its members must be E001, E002, ...")] = None,
    load: Annotated[Path | None, typer.Option(help="A load file in the original's format.")] = None,
    solar: Annotated[Path | None, typer.Option(help="A solar file in the original's format.")] = None,
    battery_wh: Annotated[float, typer.Option(min=100, max=1e6, callback=_finite, help="The battery of each house [Wh].")] = 4800.0,
    pv_scale: Annotated[
        float, typer.Option(min=0, max=1e4, callback=_finite, help="The PV of each house [kW]; a solar file counts as it is.")
    ] = 4.0,
    load_scale: Annotated[float, typer.Option(min=0, max=1e3, callback=_finite, help="A factor for every house's load.")] = 1.0,
    deal_current_a: Annotated[float, typer.Option(min=0.1, max=7, callback=_finite, help="The current of a deal [A].")] = 2.0,
    deal_wh: Annotated[int, typer.Option(min=1, help="The energy of a deal [Wh].")] = 100,
    without_sharing: Annotated[bool, typer.Option("--without-sharing", help="Every house for itself.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Run the same time without sharing too, and compare.")] = False,
    from_diagnostics: Annotated[
        Path | None, typer.Option(help="A community's downloaded diagnostics: its own units, scenarios, policy, charges and season.")
    ] = None,
    every_tick: Annotated[
        bool, typer.Option("--every-tick", help="Keep every periodic look and message: slow, to check the other.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="A folder for summary, tables and report.")] = None,
) -> None:
    """A community in virtual time: what would sharing do for us?"""
    from .simulation.options import START, Options  # numpy and the physics, which other commands do without

    _expect_no_contradiction(context)
    if policy is None and from_diagnostics is None and deal_wh >= battery_wh:
        raise typer.BadParameter(f"{deal_wh} Wh: expected less than a battery of {battery_wh:g} Wh holds", param_hint="--deal-wh")
    options = Options(
        units=units,
        days=days,
        seed=seed,
        start=start or START,
        scenario=None if scenario is None else Scenario.from_json(read_file(scenario), str(scenario), battery_wh)[0],
        policy=None if policy is None else Policy.from_json(read_file(policy), str(policy))[0],
        load=load,
        solar=solar,
        battery_wh=battery_wh,
        solar_kw=pv_scale,
        load_scale=load_scale,
        deal_current_a=deal_current_a,
        deal_wh=deal_wh,
        every_tick=every_tick,
        sharing=not without_sharing,
    )
    if from_diagnostics is not None:
        from .simulation.diagnostics import options_of

        options = options_of(from_diagnostics, options)
    if options.policy is not None and set(options.policy.member_unit_ids) != set(options.unit_ids):
        raise ConfigError(
            (
                Problem(
                    f"{policy or from_diagnostics}: memberUnitIds", ", ".join(options.policy.member_unit_ids), ", ".join(options.unit_ids)
                ),
            )
        )
    _expect_writable(out)
    with _keeping_what_is_done() as stopped:
        result, without = _played(options, stopped, compare=compare and not without_sharing)
        _tell_and_write(result, without, out)


def _tell_and_write(result: Result, without: Result | None, out: Path | None) -> None:
    console.print(_picture(result, without))
    if _is_cut_short(result):
        console.print(f"interrupted after {days_of(result):g} of {result.options.days:g} days: this is what was done", highlight=False)
    written = []
    for path in _written(out, result, without):
        written.append(path.name)
        console.print(f"wrote {path}", highlight=False)
    if written and "report.html" not in written:
        console.print("no report: the extra `report` is not installed", highlight=False)
    console.print(f"digest: {result.digest}", highlight=False, soft_wrap=True)


def chaos(
    seeds: Annotated[str, typer.Option(help="One seed, or FROM..TO (TO excluded).")] = "0..20",
    hours: Annotated[float, typer.Option(min=0.1, max=100, help="How long things may go wrong.")] = 0.5,
    units: Annotated[int, typer.Option(min=3, max=100, help="How many houses.")] = 8,
    plan: Annotated[Path | None, typer.Option(help="A file with a plan, instead of the seed's own.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; as many as there are processors without it.")] = None,
    shrink: Annotated[bool, typer.Option(help="Look for a smaller plan with which it still goes wrong.")] = True,
    out: Annotated[Path, typer.Option(help="Where plans of runs that went wrong are kept.")] = Path("chaos"),
) -> None:
    """Disasters on purpose, drawn from seeds: whatever goes wrong, what must hold has to hold."""
    from .simulation import search  # numpy and the physics, which other commands do without

    first, last = _seeds(seeds)
    given = None if plan is None else search.read_plan(plan, units)
    failed: list[int] = []
    done, digest = 0, hashlib.sha256()
    with Progress(*BAR, console=console, transient=True) as bar, _telling_of_interrupts(lambda: f"{done} of {last - first} runs", failed):
        task = bar.add_task("runs", total=last - first)
        for outcome in search.runs(range(first, last), units, hours, given, jobs):
            bar.advance(task)
            done += 1
            digest.update(outcome.digest.encode())
            if not outcome.violations:
                continue
            failed.append(outcome.seed)
            _tell_of(bar.console, outcome, f"{len(outcome.plan)} faults")
            again = f"apis chaos --seeds {outcome.seed} --hours {hours:g} --units {units}"
            try:
                file = search.write_plan(out / f"chaos-{outcome.seed}.json", outcome)
                if shrink and len((found := search.shrunk(outcome, units, hours)).plan) < len(outcome.plan):
                    search.write_plan(file, found)
                    _tell_of(bar.console, found, f"{len(found.plan)} of {len(outcome.plan)} faults are enough")
                again += f" --plan {shlex.quote(str(file))}"
            except OSError as error:
                # Its seed has it all.
                bar.console.print(f"  the plan could not be kept: {error}", highlight=False, markup=False, soft_wrap=True)
            bar.console.print(f"  again: {again}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{last - first} runs of {hours:g} h with {units} houses: {len(failed)} went wrong", highlight=False)
    console.print(f"digest: {digest.hexdigest()}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _tell_of(console: Console, outcome: Outcome, faults: str) -> None:
    console.print(f"[red]seed {outcome.seed}[/red]: {faults}", highlight=False)
    for violation in outcome.violations:
        console.print(f"  {violation}", highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _telling_of_interrupts(done: Callable[[], str], failed: list[int]) -> Iterator[None]:
    """What had been found when Ctrl-C came."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"interrupted after {done()}: {len(failed)} went wrong", highlight=False)
        raise typer.Exit(130) from None


def sweep(
    grid: Annotated[Path, typer.Option(help="A YAML file: `base` for what all cells have, `grid` for lists of values.")],
    out: Annotated[Path, typer.Option(help="Where cells are kept; what is there is not played again.")] = Path("sweep"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; as many as there are processors without it.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A dask.distributed scheduler, for more than one machine.")
    ] = None,
) -> None:
    """Fleets of houses that differ in a few parameters: a table, a heat map, and what each cell cost."""
    from .simulation import sweep as sweeps  # numpy and the physics, which other commands do without

    wanted = sweeps.read(grid)
    with Progress(*BAR, console=console, transient=True) as bar, _workers(jobs, scheduler) as mapped:
        task = bar.add_task("cells")
        played = sweeps.run(wanted, out, mapped, lambda done, whole: bar.update(task, completed=done, total=whole))
    costs = sorted(result["seconds"] for result in sweeps.kept(out).values())
    console.print(f"{played} of {len(wanted.cells())} cells were played; one takes {costs[len(costs) // 2]:.2f} s", highlight=False)
    console.print(f"wrote {out / sweeps.TABLE}", highlight=False)
    try:
        path = sweeps.write_maps(wanted, out)
    except ModuleNotFoundError:
        console.print("no heat map: the extra `report` is not installed", highlight=False)
    else:
        console.print(f"wrote {path}" if path is not None else "no heat map: one needs two parameters", highlight=False)


@contextlib.contextmanager
def _workers(jobs: int | None, scheduler: str | None) -> Iterator[Any]:
    """What plays many cells, and gives each as soon as it is done."""
    if scheduler is None:
        from concurrent.futures import ProcessPoolExecutor, as_completed
        from multiprocessing import get_context

        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield lambda work, values: (done.result() for done in as_completed([pool.submit(work, value) for value in values]))
        return
    try:
        import distributed
    except ModuleNotFoundError:
        raise ConfigError((Problem("--scheduler", scheduler, "the extra `cluster` installed"),)) from None
    with distributed.Client(scheduler) as client:  # type: ignore[no-untyped-call]

        def mapped(work: Any, values: Any) -> Iterator[Any]:
            for done in distributed.as_completed(client.map(work, values, pure=False)):  # type: ignore[no-untyped-call]
                yield done.result()

        yield mapped


def _seeds(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    try:
        begin = int(first)
        end = int(last) if dots else begin + 1
    except ValueError:
        begin, end = 0, 0
    if end <= begin:
        raise ConfigError((Problem("--seeds", text, "a whole number, or FROM..TO with TO above FROM"),))
    return begin, end


def _played(options: Options, stopped: list[int], *, compare: bool) -> tuple[Result, Result | None]:
    """The run, and the same without sharing if it is wanted; what was done when it was `stopped`."""
    from .simulation.run import simulate as play

    with Progress(*BAR, console=console, transient=True) as bar:

        def ask(name: str) -> Ask:
            task = bar.add_task(name, total=1.0)

            def tell(share: float) -> bool:
                bar.update(task, completed=share)
                return not stopped

            return tell

        without = play(replace(options, sharing=False), ask("without sharing")) if compare else None
        if without is not None and _has_hours(without) and _is_cut_short(without):
            return without, None
        result = play(options, ask("with sharing" if options.sharing else "without sharing"))
    if not _has_hours(result):
        if without is None or not _has_hours(without):
            console.print("interrupted before its first hour was over: there is nothing to show", highlight=False)
            raise typer.Exit(128 + signal.SIGINT)
        console.print("interrupted before the first hour with sharing was over: this is the time without", highlight=False)
        return without, None
    if without is not None:
        # What both have is compared.
        without = replace(without, hours=without.hours[: len(result.hours)])
    return result, without


def days_of(result: Result) -> float:
    """How long a run lasted in the end [days]."""
    return (result.hours[-1].elapsed_s - result.hours[0].elapsed_s) / 86_400


def _has_hours(result: Result) -> bool:
    """Whether any of a run was played."""
    return len(result.hours) > 1


def _is_cut_short(result: Result) -> bool:
    """Whether a run ended before its time: at least an hour before, but for the last bits of its seconds."""
    return (result.options.days - days_of(result)) * 86_400 > 1.0


def _expect_writable(folder: Path | None) -> None:
    """Before a long run, not after it. Raises ConfigError."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError((Problem("--out", f"{folder} ({error.strerror})", "a folder that can be written to"),)) from None


@contextlib.contextmanager
def _keeping_what_is_done() -> Iterator[list[int]]:
    """Ctrl-C, or being told to end, ends a run at its next hour; further ones do not keep what was done from being written."""
    stopped: list[int] = []
    before = {number: signal.signal(number, lambda got, _frame: stopped.append(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _picture(result: Result, without: Result | None) -> Table:
    from .simulation import indicators

    own = indicators.community(result)
    other = indicators.community(without) if without is not None else None
    table = Table(title=f"{result.options.units} houses, {days_of(result):g} days", title_justify="left")
    table.add_column("")
    table.add_column("with sharing" if result.options.sharing else "without sharing", justify="right")
    if other is not None:
        table.add_column("without", justify="right")
    rows = [
        ("self-sufficiency", "self_sufficiency", "{:.1%}"),
        ("PV used", "self_consumption", "{:.1%}"),
        ("load", "load_wh", "kwh"),
        ("bought from the mains", "bought_wh", "kwh"),
        ("curtailed sun", "curtailed_wh", "kwh"),
        ("losses", "loss_wh", "kwh"),
        ("shared", "shared_wh", "kwh"),
        ("battery to battery", "exchange_efficiency", "{:.1%}"),
        ("deals completed", "deals_completed", "{:,}"),
        ("deals ended early", "ended_early", "{:,}"),
        ("deals under way at the end", "deals_live", "{:,}"),
        ("errors", "errors", "{:,}"),
    ]
    for figures in (own, other):
        if figures is not None:
            figures["ended_early"] = figures["deals"] - figures["deals_completed"] - figures["deals_live"]
    for name, key, form in rows:
        table.add_row(name, *(_shown(figures[key], form) for figures in (own, other) if figures is not None))
    return table


def _shown(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value / 1000:,.1f} kWh" if form == "kwh" else form.format(value)


def _written(out: Path | None, result: Result, without: Result | None) -> Iterator[Path]:
    if out is not None:
        from .simulation.output import write

        yield from write(out, result, without)
