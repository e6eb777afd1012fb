"""Actions on plans for frequent callers."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class CarePlanAction(Action):
    """Actions on plans for frequent callers."""

    #: subject: the plan; detail: number (masked), extension
    PLAN_MADE = "web:plan:made", N_("Care plan made")
    #: subject: the plan; detail: number (masked), review_on
    PLAN_REVIEWED = "web:plan:reviewed", N_("Care plan reviewed")
    #: subject: the plan; detail: number (masked)
    PLAN_ENDED = "web:plan:ended", N_("Care plan ended")
