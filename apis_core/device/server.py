"""The device driver as a server: its lines opened, its Web API served, and an orderly end."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib

from aiohttp import web

from ..announcement import announced
from ..clock import WallClock
from ..drivers.modbus_battery import ModbusBattery
from ..drivers.serial_port import opener
from ..ports import Clock
from ..web import port_of
from .api import IDENTITY, application
from .service import Service
from .settings import Settings


def service_of(settings: Settings, clock: Clock) -> Service:
    """The service of a converter and a battery on this machine's ports; nothing is opened yet."""
    line = settings.converter
    battery = None
    if settings.battery is not None:
        battery = ModbusBattery(
            settings.battery.port,
            settings.battery.baud_rate,
            unit=settings.battery_unit,
            registers=settings.registers,
            timeout_s=settings.battery_timeout_s,
            direction=settings.battery.direction,
        )
    return Service(settings, clock, opener(line.port, line.baud_rate, line.direction, line.pin), battery)


@contextlib.asynccontextmanager
async def serving(service: Service, stop: asyncio.Event) -> AsyncIterator[int]:
    """The service at work behind its Web API, and the port it got. `stop` is set when a client wants the driver to end.

    Raises:
        OSError: if the address is taken.

    """
    settings = service.settings
    runner = web.AppRunner(application(service, stop.set), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        async with service.running():
            await web.TCPSite(runner, settings.host, settings.port).start()
            port = port_of(runner)
            async with announced("driver", settings.host, port, runner.app[IDENTITY]):
                yield port
    finally:
        await runner.cleanup()


async def run(settings: Settings, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
    """Drive the devices until `stop` is set; the converter is in wait then. `ready` is told the port.

    Raises:
        OSError: if the address is taken.

    """
    service = service_of(settings, WallClock())
    async with serving(service, stop) as port:
        ready(port)
        await stop.wait()
        await service.leave()
