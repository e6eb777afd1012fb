"""Text of the notice to an applicant: which body has the appeal, and its number (R22)."""

from datetime import datetime

from callcenter.bodies.rules.directory import Body
from callcenter.platform.core.errors import N_
from callcenter.platform.core.i18n import Translator
from callcenter.platform.core.timezone import ZONE
from callcenter.requests.rules.states import RequestState
from callcenter.requests.store import BodyRequest

HAS_IT = N_("Your appeal № %(appeal)s is with this body: %(body)s. It has № %(number)s of %(day)s.")
HAD_IT = N_(
    "Your appeal № %(appeal)s was passed on to this body: %(body)s. It had № %(number)s of %(day)s."
)
ENDINGS = {
    RequestState.ANSWERED: N_("The body has answered: ask us how it goes on."),
    RequestState.REFUSED: N_("The body says that another one is competent: ask us how it goes on."),
    RequestState.WITHDRAWN: N_("We have taken it back: ask us how it goes on."),
}
ASK_THERE = N_("Ask there how it goes on.")
ASK_BY_TELEPHONE = N_("Ask there how it goes on, by telephone %(telephone)s.")


def compose_notice(
    words: Translator, appeal_number: str, body: Body, request: BodyRequest, now: datetime
) -> str:
    """The notice of a request that a body has or had, in the language of the words."""
    ending, telephone = ENDINGS.get(request.state), body.telephone(now)
    has_it = words.plain(HAD_IT if ending else HAS_IT) % {
        "appeal": appeal_number,
        "body": body.name_on(now.astimezone(ZONE).date()).in_language(words.language),
        "number": request.number,
        "day": f"{request.dated:%d.%m.%Y}",
    }
    if ending:
        return f"{has_it} {words.plain(ending)}"
    if telephone is None:
        return f"{has_it} {words.plain(ASK_THERE)}"
    return f"{has_it} {words.plain(ASK_BY_TELEPHONE) % {'telephone': telephone.value}}"
