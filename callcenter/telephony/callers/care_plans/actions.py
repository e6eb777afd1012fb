"""Actions on plans for frequent callers."""

from callcenter.platform.audit.actions import Action


class CarePlanAction(Action):
    """Actions on plans for frequent callers."""

    PLAN_MADE = "web:plan:made"  #: subject: the plan; detail: number (masked), extension
    PLAN_REVIEWED = "web:plan:reviewed"  #: subject: the plan; detail: number (masked), review_on
    PLAN_ENDED = "web:plan:ended"  #: subject: the plan; detail: number (masked)
