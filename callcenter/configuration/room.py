"""The room of the configuration: what it registers."""

from callcenter.configuration.permissions import ConfigurationPermission
from callcenter.platform.core.registry import Room

ROOM = Room(
    name="configuration",
    web="callcenter.configuration.web_module",
    offers=(*ConfigurationPermission,),
)
