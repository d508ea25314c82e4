"""The process that `apis node` becomes: units that work for years, without the libraries that only a command line needs.

    python -m apis_core.daemon --data-dir DIR --port N [--host HOST] [--verbose] CONFIG...

What it says goes to standard error in plain lines, as a service manager's journal wants them.
"""

import argparse
import asyncio
from collections.abc import Iterable, Sequence
import logging
from pathlib import Path
import signal
import socket
import sys

from . import app as composition
from .announcement import announced
from .model.errors import ApisError, ConfigError, Problem
from .model.keys import Notice
from .server.endpoint import serve
from .server.pairing import FILE_NAME, Pairing
from .setups import load_setups
from .web import identity, port_of
from .workshop import UnitSetup

_LOGGER = logging.getLogger(__name__)
HOST = "127.0.0.1"
IDENTITY_FILE = "identity"
EXIT_REFUSED, EXIT_BAD_INPUT = 1, 2


def address(text: str) -> tuple[str, int]:
    """HOST:PORT in its parts. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ConfigError((Problem("--api", text, "HOST:PORT, such as 192.168.1.9:4391 or 0.0.0.0:4391"),))
    return host.strip("[]"), int(port)


def command(configs: Sequence[Path], data_dir: Path, port: int, *, host: str = HOST, verbose: bool) -> list[str]:
    """The command line that starts this module; its working directory adds nothing to where modules come from."""
    options = ["--data-dir", str(data_dir), "--host", host, "--port", str(port), *(["--verbose"] if verbose else [])]
    return [sys.executable, "-P", "-m", __name__, *options, "--", *map(str, configs)]


async def run(setups: Sequence[UnitSetup], data_dir: Path, host: str, port: int) -> None:
    """Run the units until a signal ends them in order; announced where other machines can reach them.

    Raises:
        ApisError: if a unit cannot start.
        OSError: if the endpoint's port is taken.

    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Before any converter is touched: a node that cannot be reached would end the deals that it takes up.
    _expect_free(host, port)
    async with composition.open_community(setups, data_dir) as community:
        who = identity(data_dir / IDENTITY_FILE)
        runner = await serve(community, host, port, Pairing(data_dir / FILE_NAME), who)
        names = ", ".join(setup.settings.unit_id for setup in setups)
        _LOGGER.info("units %s; endpoint http://%s:%s", names, host, port_of(runner))
        try:
            async with announced("node", host, port_of(runner), who):
                await stop.wait()
        finally:
            await runner.cleanup()


def _expect_free(host: str, port: int) -> None:
    """Whether the endpoint can listen there. Raises OSError."""
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(where)
        except OSError as error:
            raise OSError(error.errno, f"the endpoint cannot listen on {host}:{port}: {error.strerror}") from error


def main() -> None:
    """Run a node; what goes wrong is one clear line."""
    parser = argparse.ArgumentParser(prog="apis node")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("configs", type=Path, nargs="+")
    options = parser.parse_args()
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-8s %(message)s", datefmt="%H:%M:%S")
    try:
        setups = load_setups(options.configs)
        _tell(notice for setup in setups if setup.files is not None for notice in setup.files.notices)
        asyncio.run(run(setups, options.data_dir, options.host, options.port))
    except ConfigError as error:
        for problem in error.problems:
            _say(f"error {problem}")
        sys.exit(EXIT_BAD_INPUT)
    except (ApisError, OSError) as error:
        _say(f"error {error}")
        sys.exit(EXIT_REFUSED)


def _tell(notices: Iterable[Notice]) -> None:
    """Each notice once, however many units it is about."""
    for name, message in dict.fromkeys((notice.where.rpartition(": ")[2], notice.message) for notice in notices):
        _say(f"note {name}: {message}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
