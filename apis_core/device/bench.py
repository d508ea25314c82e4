"""A bench of simulated devices beside a running emulator, and faults that come and go on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
import contextlib
from dataclasses import dataclass
from pathlib import Path
import random
import re

import aiohttp
import orjson

from ..model.errors import ConfigError, DriverError, Problem
from ..ports import Json
from ..web_request import answer_to
from .simulated import LineFault, SimulatedBattery, SimulatedConverter

TIMEOUT_S = 5.0
_PLANNED = re.compile(
    r"(?P<unit>[^:@]+):(?P<device>converter|battery):(?P<kind>[a-z]+)@(?P<at>\d+(?:\.\d+)?)(?:\+(?P<length>\d+(?:\.\d+)?))?"
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault of one device: from `at_s` on, for `length_s`, or for good."""

    device: str
    fault: LineFault
    at_s: float
    length_s: float | None

    @classmethod
    def parse(cls, text: str) -> Planned:
        """Read `UNIT:converter:KIND@S+S`.

        Raises:
            ConfigError: if it is not of that form.

        """
        found = _PLANNED.fullmatch(text)
        if found is None or found["kind"] not in list(LineFault):
            expected = f"UNIT:converter:KIND@S[+S] with a kind of {', '.join(LineFault)}"
            raise ConfigError((Problem("fault", repr(text), expected),))
        length = found["length"]
        name = f"{found['unit']}-{found['device']}"
        return cls(name, LineFault(found["kind"]), float(found["at"]), float(length) if length else None)


@contextlib.asynccontextmanager
async def devices(
    emulator: str, units: Sequence[str], folder: Path, rng: random.Random
) -> AsyncIterator[dict[str, SimulatedConverter | SimulatedBattery]]:
    """The devices of some units, by their names, on ports in `folder`, while the context lasts.

    Raises:
        DriverError: if the emulator does not answer or does not have the units.

    """
    async with aiohttp.ClientSession(emulator) as session:

        async def ask(path: str) -> Json:
            try:
                async with answer_to(session, "GET", path, TIMEOUT_S) as response:
                    answer: Json = orjson.loads(await response.read())
            except (TimeoutError, aiohttp.ClientError, orjson.JSONDecodeError) as error:
                raise DriverError(f"{emulator}{path}: {str(error) or type(error).__name__}") from error
            return answer

        found: dict[str, SimulatedConverter | SimulatedBattery] = {}
        for unit_id in units:
            if not await ask(f"/get/unit/{unit_id}"):
                raise DriverError(f"{emulator}: found no unit {unit_id}")
            found[f"{unit_id}-converter"] = SimulatedConverter(folder / f"{unit_id}-converter", unit_id, ask, rng)
            found[f"{unit_id}-battery"] = SimulatedBattery(folder / f"{unit_id}-battery", unit_id, ask, rng)
        tasks = [asyncio.create_task(device.run()) for device in found.values()]
        try:
            # The ports appear with the devices' first step.
            await asyncio.sleep(0)
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def play(faults: Iterable[Planned], found: Mapping[str, SimulatedConverter | SimulatedBattery], say: Callable[[str], None]) -> None:
    """Let faults come and go as planned, from now on.

    Raises:
        ConfigError: if there is no such device.

    """
    for planned in faults:
        if planned.device not in found:
            raise ConfigError((Problem("fault", planned.device, f"one of {', '.join(found)}"),))
    async with asyncio.TaskGroup() as group:
        for planned in faults:
            group.create_task(_play_one(planned, found[planned.device], say))


async def _play_one(planned: Planned, device: SimulatedConverter | SimulatedBattery, say: Callable[[str], None]) -> None:
    await asyncio.sleep(planned.at_s)
    say(f"{planned.device}: {planned.fault}")
    device.set_fault(planned.fault)
    if planned.length_s is not None:
        await asyncio.sleep(planned.length_s)
        say(f"{planned.device}: well again")
        device.set_fault(None)
