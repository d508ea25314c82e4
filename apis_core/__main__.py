"""`python -m apis_core` is `apis`."""

from .cli import main

main()
