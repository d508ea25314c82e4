"""Which version of this package runs."""

from importlib.metadata import version

# Read once: it stands in a file.
VERSION = version("apis-interchange")
