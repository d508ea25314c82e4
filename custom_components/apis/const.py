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
CONF_COMMUNITY: Final = "community"
CONF_IDENTITY: Final = "identity"
CONF_FOLDER: Final = "folder"
CONF_ALIASES: Final = "aliases"
CONF_POLICY: Final = "policy"
CONF_SENSORS: Final = "sensors"
CONF_POINT_VALUE: Final = "point_value"
CONF_UNIT_ID: Final = "unit_id"
# The subentry that is a unit, and the key of what it is made from.
UNIT: Final = "unit"

# What a person's own sensors may know of a house.
POWERS: Final = ("solar", "load", "mains")

# The scenarios that the core ships.
PRESETS: Final = ("balanced", "reserve", "generous", "self_use", "storm")

# What becomes of a deal, for the activity.
EVENT_DEAL: Final = "apis_deal"

# Who is named in the ledger when nobody else can be.
WHO: Final = "Home Assistant"

# Home Assistant gives everybody twenty seconds; converters are off the line well before.
END_WITHIN_S: Final = 9.0
