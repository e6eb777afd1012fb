"""Feature codes: consultants dial them to change their presence state."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from callcenter.consultants.rules.states import PresenceState
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.telephony.calls.ports import Leg, Sounds

_CONSULTANTS_CHANNEL = re.compile(r"PJSIP/([0-9]{3,6})-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """Presence state of a code, and the prompt that confirms it.

    `key` is that of a reason in the reference list.
    """

    state: PresenceState
    prompt: str
    reason: str = ""
    key: int | None = None


#: *10 signs in, *11 ends a pause: both make ready.
CODES: Mapping[str, FeatureCode] = {
    "*10": FeatureCode(PresenceState.READY, "duty_ready"),
    "*11": FeatureCode(PresenceState.READY, "duty_ready"),
    "*12": FeatureCode(PresenceState.PAUSED, "duty_paused", reason="lunch"),
    "*13": FeatureCode(PresenceState.SIGNED_OUT, "duty_signed_out"),
}


_PAUSE = re.compile(r"\*12([1-9])")


def find_code(dialled: str) -> FeatureCode | None:
    """Return the dialled code: one of CODES, or *12 and the key of a reason; else None."""
    if keyed := _PAUSE.fullmatch(dialled):
        return FeatureCode(PresenceState.PAUSED, "duty_paused", key=int(keyed[1]))
    return CODES.get(dialled)


class PresencePort(Protocol):
    """Changes the presence state of consultants."""

    async def ask(
        self, extension: str, state: PresenceState, *, by: str, reason: str
    ) -> PresenceState:
        """Change the state. Raises CallcenterError when it was not changed."""


def extension_of(channel_name: str) -> str | None:
    """Return the extension of a channel by its name; its caller ID proves nothing."""
    found = _CONSULTANTS_CHANNEL.fullmatch(channel_name)
    return found[1] if found else None


async def run_feature_code(
    leg: Leg,
    sounds: Sounds,
    presence: PresencePort,
    code: FeatureCode,
    *,
    extension: str,
    reason_of: Callable[[int], Awaitable[str]],
) -> str | None:
    """Execute a feature code and confirm it in both languages.

    `reason_of` returns the reason of a key. Returns why it was refused, None when it was done.
    Raises LegHungUp when the consultant hangs up before the end; the state is changed all the same.
    """
    refused = None
    try:
        reason = code.reason if code.key is None else await reason_of(code.key)
        await presence.ask(extension, code.state, by="self", reason=reason)
    except CallcenterError as exc:
        refused = str(exc)
    await leg.answer()
    prompt = "duty_refused" if refused else code.prompt
    await leg.play([sounds.sound(each, prompt) for each in CALLER_LANGUAGES], until_key=False)
    await leg.hang_up()
    return refused
