"""Feature codes: what consultants dial on their softphones to say what they are doing."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from callcenter.consultants.states import State
from callcenter.errors import CallcenterError
from callcenter.line.ports import Leg, Sounds

LANGUAGES = ("kk", "ru")
_CONSULTANTS_CHANNEL = re.compile(r"PJSIP/([0-9]{3,6})-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Code:
    """What a code asks for, and the prompt that confirms it.

    `key` is that of a reason which the center keeps.
    """

    wanted: State
    prompt: str
    reason: str = ""
    key: int | None = None


#: *10 signs in, *11 goes on: one wish, two habits.
CODES: Mapping[str, Code] = {
    "*10": Code(State.READY, "duty_ready"),
    "*11": Code(State.READY, "duty_ready"),
    "*12": Code(State.PAUSED, "duty_paused", reason="lunch"),
    "*13": Code(State.SIGNED_OUT, "duty_signed_out"),
}


_PAUSE = re.compile(r"\*12([1-9])")


def code_of(dialled: str) -> Code | None:
    """What was dialled, if it is a code: one of the list, or *12 and the key of a reason."""
    if keyed := _PAUSE.fullmatch(dialled):
        return Code(State.PAUSED, "duty_paused", key=int(keyed[1]))
    return CODES.get(dialled)


class Duties(Protocol):
    """Where a consultant's state is changed."""

    async def ask(self, extension: str, wanted: State, *, by: str, reason: str) -> State:
        """Raises CallcenterError when it was not done."""


def extension_of(channel_name: str) -> str | None:
    """Whose telephone a channel of the switch is; the number that it shows proves nothing."""
    found = _CONSULTANTS_CHANNEL.fullmatch(channel_name)
    return found[1] if found else None


async def feature_code(
    leg: Leg,
    sounds: Sounds,
    duties: Duties,
    code: Code,
    *,
    extension: str,
    reason_of: Callable[[int], Awaitable[str]],
) -> str | None:
    """Do what a consultant dialled and say so in both languages.

    `reason_of` tells the reason of a key. Returns why it was refused, None when it was done.
    Raises LegGone when the consultant leaves before the end; it is done all the same.
    """
    refused = None
    try:
        reason = code.reason if code.key is None else await reason_of(code.key)
        await duties.ask(extension, code.wanted, by="self", reason=reason)
    except CallcenterError as exc:
        refused = str(exc)
    await leg.answer()
    prompt = "duty_refused" if refused else code.prompt
    await leg.play([sounds.sound(each, prompt) for each in LANGUAGES], until_key=False)
    await leg.hang_up()
    return refused
