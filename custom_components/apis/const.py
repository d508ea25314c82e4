"""What all parts of the integration share."""

import logging
from typing import Final

DOMAIN: Final = "apis"
LOGGER = logging.getLogger(__package__)

CONF_KIND: Final = "kind"
CONF_UNITS: Final = "units"
KIND_TRIAL: Final = "trial"
KIND_DAEMON: Final = "daemon"
KIND_NODE: Final = "node"
CONF_FOLDER: Final = "folder"

# What becomes of a deal, for the activity.
EVENT_DEAL: Final = "apis_deal"

# Who is named in the ledger when nobody else can be.
WHO: Final = "Home Assistant"
