"""Our registrations with operators, as the running Asterisk tells them."""

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ami import ask_once

CONNECT_TIMEOUT = 5.0  # seconds


async def read_registrations(settings: Settings) -> dict[str, bool]:
    """Whether we are registered, by the name of each operator with whom we are to be.

    Where there is none, Asterisk is not asked. Raises OperationFailed when it does not answer.
    """
    names = [name for name, each in settings.operators.items() if each.registrar is not None]
    if not names:
        return {}
    answer = await ask_once(settings, "PJSIPShowRegistrationsOutbound", CONNECT_TIMEOUT)
    registered = {each["ObjectName"] for each in answer.items if each.get("Status") == "Registered"}
    return {name: f"operator-{name}" in registered for name in names}
