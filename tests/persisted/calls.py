"""Where calls are, at every stage, with every field filled at least once."""

from callcenter.telephony.calls.call_state import CallStage, CallState
from callcenter.telephony.calls.outcomes import Outcome
from tests.persisted.entries import APPEAL, CONSULTANT, OUTGOING, RECORDING

SINCE = 1764230400.25

CALLS: dict[str, CallState] = {
    "1764230400.1": CallState(str(APPEAL)),
    "1764230400.2": CallState(str(APPEAL), language="kk", urgencies=("silent", "danger")),
    "1764230400.3": CallState(
        str(APPEAL),
        first=501,
        stage=CallStage.WAITING,
        language="ru",
        other_language="kk",
        waits_since=SINCE,
        lost_before=True,
    ),
    "1764230400.4": CallState(
        str(APPEAL),
        stage=CallStage.TALKING,
        language="ru",
        notice_heard=True,
        consultant="201",
        consultant_id=str(CONSULTANT),
        recording=str(RECORDING),
        is_proved=True,
        is_aside=True,
        is_muted=True,
        guest="202",
    ),
    "1764230400.5": CallState(
        str(APPEAL), stage=CallStage.MESSAGE, language="ru", recording=str(RECORDING)
    ),
    "1764230400.6": CallState(str(APPEAL), stage=CallStage.REDIRECTING, language="kk"),
    "1764230400.7": CallState(
        str(APPEAL), stage=CallStage.REDIRECTED, became=Outcome.REDIRECTED, guest="+7701*****67"
    ),
    "1764230400.8": CallState(str(APPEAL), stage=CallStage.FAREWELL, became=Outcome.MESSAGE),
    "called-9": CallState(
        str(APPEAL), first=10_001, outgoing=str(OUTGOING), is_callback=True, stage=CallStage.TALKING
    ),
}
