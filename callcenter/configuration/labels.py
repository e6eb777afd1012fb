"""Words of the configuration."""

from callcenter.configuration.rules import SettingSource
from callcenter.platform.core.errors import N_

SOURCES = {
    SettingSource.ENVIRONMENT: N_("environment of the process"),
    SettingSource.FILE: N_("file of settings"),
    SettingSource.DEFAULT: N_("default"),
}
