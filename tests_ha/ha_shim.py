"""What the test package of 2026.10 expects where Home Assistant 2026.11 has moved it; loaded before the package is."""

from homeassistant.components import logger
from homeassistant.components.logger import helpers

logger._clear_logger_overwrites = helpers._clear_logger_overwrites  # type: ignore[attr-defined]
