"""`python -m apis_core` is `apis`."""

import signal
import sys


def main() -> None:
    """Run a command; Ctrl-C while its code is still being read is told no differently from a later one."""
    try:
        from .cli import main as run
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    run()


if __name__ == "__main__":
    main()
