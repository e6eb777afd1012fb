"""Permission on the configuration."""

from callcenter.platform.identity.permissions import Permission, Role


class ConfigurationPermission(Permission):
    """Permission on the configuration, with the roles that have it."""

    #: to see the effective settings, without secrets
    VIEW_SETTINGS = "settings.view", Role.ADMINISTRATOR
