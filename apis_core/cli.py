"""`apis ...`: run units, an emulator or a demo, and look at and steer a running community."""

import asyncio
from collections.abc import Callable, Coroutine
import csv
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
import io
import logging
import os
from pathlib import Path
import signal
import sys
from typing import Annotated, Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.text import Text
import typer

from . import app as composition, cli_devices, cli_virtual, daemon, screen
from .model.errors import ApisError, ConfigError, Problem
from .model.files import read_file
from .model.hardware import Hardware
from .model.installation import load_unit
from .model.keys import Notice
from .model.modes import OperationMode
from .model.policy import Policy
from .model.scenario import Scenario
from .model.times import parse_time
from .server.client import RemoteCommunity

API_PORT = 4391
OPERATOR = "operator"
console = Console()
errors = Console(stderr=True)
cli = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)
deal_cli = typer.Typer(no_args_is_help=True, help="Make and end deals by hand.")
cli.add_typer(deal_cli, name="deal")
unit_cli = typer.Typer(no_args_is_help=True, help="What a person knows of a unit.")
cli.add_typer(unit_cli, name="unit")
policy_cli = typer.Typer(no_args_is_help=True, help="What the community has agreed on.")
cli.add_typer(policy_cli, name="policy")

Url = Annotated[str, typer.Option("--url", envvar="APIS_URL", help="Where a node's endpoint listens.")]
DEFAULT_URL = f"http://127.0.0.1:{API_PORT}"


class Table(StrEnum):
    """How lists are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def main() -> None:
    """Run a command; what goes wrong is one clear line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What was done is not called a failure because a terminal lacks a letter.
            stream.reconfigure(errors="replace")
    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except ConfigError as error:
        for problem in error.problems:
            _say_error(str(problem))
        sys.exit(daemon.EXIT_BAD_INPUT)
    except ApisError as error:
        _say_error(str(error))
        sys.exit(daemon.EXIT_REFUSED)
    except OSError as error:
        _say_error(str(error))
        sys.exit(daemon.EXIT_REFUSED)


cli.command()(cli_virtual.simulate)
cli.command()(cli_virtual.chaos)
cli.command()(cli_virtual.sweep)
cli.command()(cli_devices.driver)
cli.command()(cli_devices.simulate_devices)


def _say_error(text: str) -> None:
    errors.print(Text("error ", "red") + Text(text), highlight=False, soft_wrap=True)


async def _until_stopped(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


@cli.command()
def demo(
    units: Annotated[int, typer.Option(min=2, max=200, help="How many houses.")] = 4,
    acceleration: Annotated[float, typer.Option(min=1, max=600, help="How much faster than real time.")] = 60.0,
    duration: Annotated[float | None, typer.Option(min=1, help="Seconds to run; without it until Ctrl-C.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="A scenario file for all units.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A policy file; its members must be E001, E002, ...")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the ledger is kept; a temporary folder without it.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the record of the run to this file.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="driver:UNIT@S, node:UNIT@S or node:master@S.")] = None,
    load: Annotated[Path | None, typer.Option(help="A load file in the original's format.")] = None,
    solar: Annotated[Path | None, typer.Option(help="A solar file in the original's format.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Houses on an emulated line trade energy: a live picture, and a record at the end."""
    from . import demo as stage  # the emulator brings numpy, which other commands do without

    logging.basicConfig(level=logging.DEBUG if verbose else logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    chosen = Policy.from_json(read_file(policy), str(policy))[0] if policy is not None else None
    ids = tuple(f"E{i + 1:03}" for i in range(units))
    if chosen is not None and chosen.member_unit_ids != ids:
        raise ConfigError((Problem(f"{policy}: memberUnitIds", ", ".join(chosen.member_unit_ids), f"E001 to E{units:03}"),))
    wanted = Scenario.from_json(read_file(scenario), str(scenario), 4800)[0] if scenario is not None else None
    options = stage.DemoOptions(
        units, acceleration, duration, wanted, chosen, data_dir, tuple(stage.Fault.parse(text) for text in fault or ()), load, solar
    )

    for each in options.faults:
        if each.unit_id not in ("master", *ids):
            raise ConfigError((Problem("--fault", each.unit_id, f"E001 to E{units:03}, or master"),))
    if json_out is not None and not json_out.parent.is_dir():
        raise ConfigError((Problem("--json", str(json_out), "a file in a folder that is there"),))

    async def play() -> dict[str, Any]:
        stop = asyncio.Event()
        await _until_stopped(stop)
        if not console.is_terminal:
            return await stage.run(options, screen.Lines(console).show, stop)
        with Live(console=console, refresh_per_second=4, screen=False) as live:
            return await stage.run(options, lambda community: live.update(screen.picture(community)), stop)

    record = asyncio.run(play())
    console.print(screen.summary(record))
    if json_out is not None:
        json_out.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))


@cli.command()
def emulator(
    units: Annotated[int | None, typer.Option(min=1, max=100_000, help="How many houses; 4 by default.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; anything but this machine needs --token or --allow.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="4390 by default.")] = None,
    acceleration: Annotated[float | None, typer.Option(min=0, max=36_000, help="Emulated seconds per second.")] = None,
    config: Annotated[Path | None, typer.Option(help="A file with settings; the original's names are understood.")] = None,
    load: Annotated[Path | None, typer.Option(help="A load file in the original's format.")] = None,
    solar: Annotated[Path | None, typer.Option(help="A solar file in the original's format.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where saved units and snapshots are kept.")] = None,
    summary: Annotated[Path | None, typer.Option(help="A CSV file for the days of all houses; begun anew.")] = None,
    individual: Annotated[str | None, typer.Option(help="A .csv or .parquet file or a database URL for each house's state.")] = None,
    token: Annotated[str | None, typer.Option(help="What a client from elsewhere has to show.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="An address or network that needs no token; repeatable.")] = None,
) -> None:
    """Emulate houses on one line, behind the original's device API, with a page to look at them."""
    from .emulator import settings as emulator_settings

    chosen, notices = emulator_settings.read(config, os.environ)
    for notice in notices:
        console.print(f"note {notice}", highlight=False)
    flags = {
        "units": units,
        "host": host,
        "port": port,
        "acceleration": acceleration,
        "load": load,
        "solar": solar,
        "data_dir": data_dir,
        "summary": summary,
        "individual": individual,
        "token": token,
        "allow": (*chosen.allow, *allow) if allow else None,
    }
    options = replace(chosen, **{key: value for key, value in flags.items() if value is not None})  # type: ignore[arg-type]

    async def serve() -> None:
        stop = asyncio.Event()
        await _until_stopped(stop)
        async with composition.open_emulator(options) as (_, bound):
            where = f"{options.units} houses at http://{options.host}:{bound}"
            console.print(f"{where}, {options.acceleration:g} times real time; Ctrl-C ends", highlight=False)
            await stop.wait()

    asyncio.run(serve())


@cli.command()
def node(
    config: Annotated[list[Path], typer.Option(help="A unit's config.json, or the folder it is in; once per unit.")],
    data_dir: Annotated[Path, typer.Option(help="Where the ledger is kept.")] = Path("apis-data"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the local endpoint.")] = API_PORT,
    api: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Listen beyond this machine, for whoever is paired.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Run units in this process, from an existing installation's files."""
    # The command line's libraries weigh more than a unit does: the process that stays does without them.
    host, port = (daemon.HOST, port) if api is None else daemon.address(api)
    arguments = daemon.command(config, data_dir, port, host=host, verbose=verbose)
    os.execv(arguments[0], arguments)


@cli.command()
def pair(url: Url = DEFAULT_URL) -> None:
    """Say a code with which one more Home Assistant may use this machine's node: for five minutes and three tries."""

    async def begin(community: RemoteCommunity) -> str:
        return await community.begin_pairing()

    code = _ask(url, begin)
    console.print(Text(f"{code[:3]} {code[3:]}", "bold"), Text("enter it within five minutes", "dim"))


@cli.command()
def unpair(
    pair_id: Annotated[str | None, typer.Argument(help="Who, as listed without it; or 'all'.")] = None, url: Url = DEFAULT_URL
) -> None:
    """Take a pairing back, or list them."""

    async def revoke(community: RemoteCommunity) -> list[dict[str, Any]]:
        if pair_id is not None:
            await community.unpair(pair_id)
        return await community.pairs()

    for found in _ask(url, revoke):
        console.print(found["id"], found["name"], found["time"], highlight=False)


@cli.command()
def check(files: Annotated[list[Path], typer.Argument(help="Configuration files, or folders with a config.json.")]) -> None:
    """Check configuration files: every problem with its place, what was found and what was expected."""
    problems: list[Problem] = []
    for path in files:
        try:
            notices = _check_file(path)
        except ConfigError as error:
            problems += error.problems
            continue
        for notice in notices:
            console.print(Text("note ", "yellow") + Text(str(notice)), highlight=False, soft_wrap=True)
        console.print(Text("good ", "green") + Text(str(path)), highlight=False, soft_wrap=True)
    if problems:
        raise ConfigError(tuple(problems))


def _check_file(path: Path) -> tuple[Notice, ...]:
    if path.is_dir():
        return load_unit(path).notices
    data = read_file(path)
    if "systemType" in data or "unitId" in data:
        return load_unit(path).notices
    if "memberUnitIds" in data or "gridMaster" in data or "mediator" in data:
        return Policy.from_json(data, str(path))[1]
    if "batteryNominalCapacityWh" in data or "gridCurrentCapacityA" in data:
        return Hardware.from_json(data, str(path))[1]
    return Scenario.from_json(data, str(path))[1]


def _ask[T](url: str, question: Callable[[RemoteCommunity], Coroutine[Any, Any, T]]) -> T:
    async def ask() -> T:
        community = RemoteCommunity.connect(url)
        try:
            return await question(community)
        finally:
            await community.close()

    return asyncio.run(ask())


@cli.command()
def units(url: Url = DEFAULT_URL) -> None:
    """Show the units of a running node."""
    console.print(screen.units_table(_ask(url, lambda community: community.snapshot())))


@cli.command()
def deals(
    url: Url = DEFAULT_URL,
    output: Annotated[Table, typer.Option("--format")] = Table.TABLE,
    start: Annotated[str | None, typer.Option("--from", help="First day or time, such as 2026-11-01.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Day or time before which deals were created.")] = None,
    unit: Annotated[str | None, typer.Option(help="Only deals of this unit.")] = None,
) -> None:
    """List deals, past ones included."""
    first, last = _moment("--from", start), _moment("--to", end)
    found = _ask(url, lambda community: community.deals(first, last, unit))
    if output is Table.JSON:
        sys.stdout.buffer.write(orjson.dumps([deal.to_json() for deal in found], option=orjson.OPT_INDENT_2) + b"\n")
    elif output is Table.CSV:
        writer = csv.writer(sys.stdout)
        writer.writerow(screen.DEAL_COLUMNS)
        writer.writerows(screen.deal_row(deal) for deal in found)
    else:
        console.print(screen.deals_table(found))


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text, UTC) if "/" in text else datetime.fromisoformat(text).astimezone(UTC)
    except ValueError, OverflowError, ApisError:
        raise ConfigError((Problem(option, repr(text), "a day or time such as 2026-11-01 or 2026-11-01T12:00"),)) from None


@deal_cli.command("create")
def deal_create(
    giver: Annotated[str, typer.Argument(metavar="FROM")],
    taker: Annotated[str, typer.Argument(metavar="TO")],
    energy_wh: Annotated[int, typer.Option(min=1, max=1_000_000, help="How much.")],
    requester: Annotated[str | None, typer.Option(help="Who asked for it: FROM (default) or TO.")] = None,
    current_a: Annotated[float | None, typer.Option(help="Grid current; the policy's without it.")] = None,
    point_per_wh: Annotated[float | None, typer.Option(min=0, help="Price.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="Between simulated units: a stage that fails, such as failAfterWarmUp.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Make a deal by hand: the answer is the deal, or why there is none."""
    deal = _ask(
        url,
        lambda community: community.create_deal(
            giver,
            taker,
            energy_wh,
            who=OPERATOR,
            requester=requester,
            current_a=current_a,
            point_per_wh=point_per_wh,
            faults=tuple(fault or ()),
        ),
    )
    console.print(screen.deals_table((deal,)))


@deal_cli.command("stop")
def deal_stop(deal_id: str, url: Url = DEFAULT_URL) -> None:
    """End a deal in order."""
    _ask(url, lambda community: community.stop_deal(deal_id, OPERATOR))
    console.print(f"deal {deal_id} is being ended", highlight=False)


@unit_cli.command("isolated")
def unit_isolated(unit_id: str, url: Url = DEFAULT_URL) -> None:
    """Say that a converter nobody can reach has been taken off the line: the others need not wait for it."""
    _ask(url, lambda community: community.declare_isolated(unit_id, OPERATOR))
    console.print(f"{unit_id} counts as off the line until it answers again", highlight=False)


@unit_cli.command("join")
def unit_join(unit_id: str, url: Url = DEFAULT_URL) -> None:
    """Take a unit that runs, but is not a member, into the community; the others go on sharing."""
    _ask(url, lambda community: community.join(unit_id, OPERATOR))
    console.print(f"{unit_id} is a member", highlight=False)


@unit_cli.command("leave")
def unit_leave(unit_id: str, url: Url = DEFAULT_URL) -> None:
    """Let a member without a deal leave the community; the others go on sharing."""
    _ask(url, lambda community: community.leave(unit_id, OPERATOR))
    console.print(f"{unit_id} has left", highlight=False)


@policy_cli.command("show")
def policy_show(url: Url = DEFAULT_URL) -> None:
    """The policy the community has agreed on, in the form of the file."""
    policy = _ask(url, lambda community: community.policy())
    sys.stdout.write(orjson.dumps(policy.to_json(), option=orjson.OPT_INDENT_2).decode() + "\n")


@policy_cli.command("propose")
def policy_propose(file: Path, url: Url = DEFAULT_URL) -> None:
    """Change the policy: in mode stop, with the word of every member."""
    wanted, _ = Policy.from_json(read_file(file), str(file))
    _ask(url, lambda community: community.propose(wanted, OPERATOR))
    console.print("every member has acknowledged it; it holds", highlight=False)


@cli.command()
def mode(
    scope: Annotated[str, typer.Argument(help="`global`, or a unit.")] = "global",
    value: Annotated[
        str | None, typer.Argument(help="autonomous, heteronomous, stop, manual; for a unit heteronomous, stop or none.")
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Show or set the community's mode, or a unit's own."""
    unit_id = None if scope == "global" else scope
    if value is not None:
        if value not in [*OperationMode, "none"]:
            raise ConfigError((Problem("mode", repr(value), f"one of {', '.join(OperationMode)} or none"),))
        chosen = None if value == "none" else OperationMode(value)
        _ask(url, lambda community: community.set_mode(chosen, unit_id, OPERATOR))
    snapshot = _ask(url, lambda community: community.snapshot())
    if unit_id is None:
        console.print(snapshot.mode)
        return
    view = next((unit for unit in snapshot.units if unit.unit_id == unit_id), None)
    if view is None:
        raise ConfigError((Problem("unit", unit_id, ", ".join(unit.unit_id for unit in snapshot.units)),))
    console.print(f"{view.mode} (own: {view.local_mode or 'none'})")
