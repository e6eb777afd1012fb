"""Alerts about signing in."""

from callcenter.platform.core.errors import N_
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.severity import AlertOwner

SIGN_IN_ATTACKED = AlertKind(
    "sign_in_attacked",
    N_(
        "Somebody is guessing passwords of many users, or from many addresses: tell the"
        " administrator."
    ),
    owner=AlertOwner.ADMINISTRATOR,
)
