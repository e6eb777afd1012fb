"""Our registrations with operators, as the running Asterisk tells them."""

import re
import subprocess

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import cli_command

_LINE = re.compile(r"^ *operator-([a-z0-9]+)/\S+ +\S+ +(\w+)", re.MULTILINE)
_TIMEOUT = 20  # seconds; it answers at once


def find_unregistered(settings: Settings) -> list[str]:
    """Names of operators with whom we are to be registered and are not.

    Raises OperationFailed when Asterisk does not answer.
    """
    command = cli_command(settings, "pjsip show registrations")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as exc:
        raise OperationFailed(f"Asterisk did not answer within {_TIMEOUT} s") from exc
    if done.returncode != 0:
        raise OperationFailed("Asterisk does not run, so no trunk is registered: start it")
    states = dict(_LINE.findall(done.stdout))
    return [
        name
        for name, operator in settings.operators.items()
        if operator.registrar is not None and states.get(name) != "Registered"
    ]
