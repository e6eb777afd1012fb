"""Operators' trunks, as the running Asterisk tells them.

Where there is nothing to be told, Asterisk is not asked. Functions raise OperationFailed when it
does not answer.
"""

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ami import ask_once

CONNECT_TIMEOUT = 5.0  # seconds
UNREACHABLE = "UNAVAILABLE"  # state of a device whose contact answers no OPTIONS


async def read_registrations(settings: Settings) -> dict[str, bool]:
    """Whether we are registered, by the name of each operator with whom we are to be."""
    names = [name for name, each in settings.operators.items() if each.registrar is not None]
    if not names:
        return {}
    answer = await ask_once(settings, "PJSIPShowRegistrationsOutbound", CONNECT_TIMEOUT)
    registered = {each["ObjectName"] for each in answer.items if each.get("Status") == "Registered"}
    return {name: f"operator-{name}" in registered for name in names}


async def read_reachability(settings: Settings) -> dict[str, bool]:
    """Whether OPTIONS are answered, by the name of each operator to whom they are sent."""
    names = [name for name, each in settings.operators.items() if each.options_uri is not None]
    if not names:
        return {}
    answer = await ask_once(settings, "DeviceStateList", CONNECT_TIMEOUT)
    states = {each["Device"]: each["State"] for each in answer.items}
    return {
        name: states.get(f"PJSIP/operator-{name}", UNREACHABLE) != UNREACHABLE for name in names
    }
