"""What a caller leaves who does not wait: a message, recorded, which a consultant will hear.

The promise that it is heard is kept in PostgreSQL before the caller is asked to speak. So what was
said is somebody's task also when the caller hangs up, or when a part of ours dies meanwhile.
"""

import logging
import time
from uuid import UUID

from callcenter.errors import WeFailed
from callcenter.line.call import Call, to_the_end
from callcenter.line.outcomes import Moment, Outcome
from callcenter.line.ports import LegGone
from callcenter.line.tape import Tape

log = logging.getLogger(__name__)

END = "#"


async def message_left(call: Call) -> bool:
    """Take down a message, up to the pound key or its longest; False when there is none.

    That it is recorded is said before. A hang-up ends it and keeps it, as `call.if_left` says
    then; whatever else cuts it short keeps it too. Raises LegGone.
    """
    await call.say("message_begin", until_key=False)
    tape = Tape(call)
    try:
        is_kept = await _is_promised(call, tape)
        is_left = is_kept and await _spoken(call, tape.id)
    finally:
        await to_the_end(tape.stop())
    if not is_left:
        await call.say("message_none" if is_kept else "not_kept", until_key=False)
        return False
    await call.say("message_ok", "goodbye", until_key=False)
    return True


async def message_ended(call: Call, recording_id: UUID) -> bool:
    """Go on with a message that is being recorded, and promised already; as `message_left`."""
    tape = Tape(call, recording_id)
    call.if_left = Outcome.MESSAGE
    try:
        how = await _until_end(call)
    finally:
        await to_the_end(tape.stop())
    call.record.moment(Moment.MESSAGE_LEFT, how=how)
    await call.say("message_ok", "goodbye", until_key=False)
    return True


async def _is_promised(call: Call, tape: Tape) -> bool:
    """Whether it is recorded and somebody's task from now on, both for certain."""
    if not await tape.start(None):
        return False
    is_kept = False
    try:
        await call.record.message_promised(
            recording_id=tape.id,
            language=call.wanted_language,
            arrived=call.waits_since or time.time(),
            urgent=bool(call.urgencies),
        )
        is_kept = True
    except WeFailed as exc:
        log.error("call %s: no message can be taken: %s", call.leg.id, exc)
    finally:
        if not is_kept:
            call.record.message_empty(tape.id)  # it may have been kept after all
    return is_kept


async def _spoken(call: Call, recording_id: UUID) -> bool:
    """Whether there is a message when the caller has ended, was cut short, or has hung up."""
    began: float | None = None
    how = "interrupted"
    try:
        await call.say("message_speak", until_key=False)
        began = time.monotonic()
        how = await _until_end(call)
    except LegGone:
        how = "hung_up"
        raise
    finally:
        is_left = began is not None and time.monotonic() - began >= call.times.message_shortest
        if is_left:
            call.if_left = Outcome.MESSAGE
            call.record.moment(Moment.MESSAGE_LEFT, how=how)
        else:
            call.record.message_empty(recording_id)
            call.record.moment(Moment.MESSAGE_EMPTY)
    return is_left


async def _until_end(call: Call) -> str:
    """How the caller ended it: other keys than the one that ends it mean nothing."""
    ends_at = time.monotonic() + call.times.message_limit
    while (left := ends_at - time.monotonic()) > 0:
        key = await call.leg.key(left)
        if key == END:
            return "key"
        if key is None:
            break
    return "limit"
