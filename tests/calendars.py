"""The working calendar that came with this version."""

from callcenter.platform.core.working_calendar import packaged_years, parse

PACKAGED = parse(packaged_years())
