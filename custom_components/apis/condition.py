"""Conditions: a unit is sharing, a deal is running between two units."""

from typing import Any, Unpack, cast, override

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR
from homeassistant.const import CONF_OPTIONS, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConditionErrorMessage, HomeAssistantError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition, ConditionCheckParams, ConditionConfig, make_entity_state_condition
from homeassistant.helpers.typing import ConfigType
import probatio

from .helpers import async_of_kind
from .services import async_unit_of

CONF_UNIT, CONF_PARTNER = "device_id", "partner_device_id"
BETWEEN_SCHEMA = probatio.Schema({CONF_OPTIONS: {probatio.Required(CONF_UNIT): cv.string, probatio.Required(CONF_PARTNER): cv.string}})


class IsSharing(make_entity_state_condition({BINARY_SENSOR: DomainSpec()}, STATE_ON)):  # type: ignore[misc]
    """A unit's converter is on."""

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        return async_of_kind(self._hass, super().entity_filter(entities), "sharing")


class DealIsRunning(Condition):
    """Energy flows between two units, whichever way."""

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        return cast("ConfigType", BETWEEN_SCHEMA(config))

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        """For two units."""
        super().__init__(hass, config)
        options: dict[str, Any] = config.options or {}
        self._devices = options[CONF_UNIT], options[CONF_PARTNER]

    @override
    def _async_check(self, **kwargs: Unpack[ConditionCheckParams]) -> bool:
        try:
            (data, unit_id), (_, partner_id) = (async_unit_of(self._hass, device_id) for device_id in self._devices)
        except HomeAssistantError as error:
            # A community that is not there is no reason to end a whole script: the next choice is looked at.
            raise ConditionErrorMessage(type="deal_is_running", message=str(error)) from error
        # What ran when the community was heard of last may have ended long ago.
        return data.coordinator.last_update_success and any(
            set(deal.unit_ids) == {unit_id, partner_id} and deal.is_running for deal in data.coordinator.data.deals
        )


CONDITIONS: dict[str, type[Condition]] = {"is_sharing": IsSharing, "deal_is_running": DealIsRunning}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """The conditions."""
    return CONDITIONS
