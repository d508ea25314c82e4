"""The commands of real hardware: its driver, and devices to try it on."""

import asyncio
import contextlib
from dataclasses import replace
import logging
from pathlib import Path
import random
import signal
from typing import Annotated

from rich.console import Console
import typer

console = Console()


def driver(
    config: Annotated[Path, typer.Option(help="A file in the form of the original driver's dcdc_batt_comm.yml.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on; anything but this machine needs --token or --allow.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8080 by default.")] = None,
    token: Annotated[str | None, typer.Option(help="What a client from elsewhere has to show.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="An address or network that needs no token; repeatable.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the driver remembers who it is.")] = None,
    goodbye: Annotated[bool, typer.Option("--goodbye", help="Let a client end the driver with /essx/goodbye.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Drive a converter and read a battery on serial lines, behind the original's Web API, with a dead-man of its own."""
    from .device import server, settings as device_settings  # serial lines, which other commands do without
    from .model.errors import ConfigError

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)-8s %(message)s", datefmt="%H:%M:%S"
    )
    chosen, notices = device_settings.read(config, {"host": host, "port": port, "token": token, "allow": allow})
    for notice in notices:
        console.print(f"note {notice}", highlight=False, soft_wrap=True)
    settings = replace(chosen, data_dir=data_dir or chosen.data_dir, goodbye=goodbye)
    if problems := settings.problems():
        raise ConfigError(problems)

    async def serve() -> None:
        stop = _stop_event()
        battery = f", battery {settings.battery.port}" if settings.battery else ", no battery"

        def say(bound: int) -> None:
            console.print(
                f"converter {settings.converter.port}{battery} at http://{settings.host}:{bound}; Ctrl-C ends",
                highlight=False,
                soft_wrap=True,
            )

        await server.run(settings, stop, say)

    asyncio.run(serve())


def simulate_devices(
    emulator: Annotated[str, typer.Option(help="Where an emulator listens.")] = "http://127.0.0.1:4390",
    unit: Annotated[list[str] | None, typer.Option(help="A unit whose devices to offer; repeatable; E001 without it.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the ports appear, as UNIT-converter and UNIT-battery.")] = Path("apis-devices"),
    fault: Annotated[
        list[str] | None, typer.Option(help="UNIT:converter:KIND@S[+S] or UNIT:battery:KIND@S[+S]: from a second on, for so long.")
    ] = None,
) -> None:
    """Offer converters and Modbus batteries on pseudo-terminals, fed by an emulator's units, with every fault of a line."""
    from .device import bench  # pseudo-terminals and HTTP, which other commands do without

    faults = [bench.Planned.parse(text) for text in fault or ()]

    async def serve() -> None:
        stop = _stop_event()
        async with bench.devices(emulator, unit or ["E001"], folder, random.Random(1)) as found:
            for name, device in found.items():
                console.print(f"{name}: {device.link}", highlight=False, soft_wrap=True)
            console.print("Ctrl-C ends", highlight=False, soft_wrap=True)
            playing = asyncio.create_task(bench.play(faults, found, console.print))
            await stop.wait()
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing

    asyncio.run(serve())


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
