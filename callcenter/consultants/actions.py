"""Actions on consultants and the center's own lists."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class ConsultantAction(Action):
    """Actions on consultants and the center's own lists."""

    #: by a supervisor; detail: state, reason
    DUTY_CHANGED = "web:consultant:duty_changed", N_("Presence of a consultant changed")
    #: detail: languages, skills with levels
    CONSULTANT_CHANGED = "web:consultant:changed", N_("Consultant changed")
    #: added or changed; subject: its code; detail: names, active
    SKILL_KEPT = "web:skill:kept", N_("Skill saved")
    #: the same of a reason of pauses
    PAUSE_REASON_KEPT = "web:pause_reason:kept", N_("Reason of pauses saved")

    # Of their accounts, on the page of a user; subject: the consultant.

    #: detail: languages
    ADDED_ON_PAGE = "web:consultant:added", N_("Consultant added on a page")
    RENAMED_ON_PAGE = "web:consultant:renamed", N_("Consultant renamed")
    #: detail: telephone
    TELEPHONE_SET_ON_PAGE = (
        "web:consultant:telephone_set",
        N_("Telephone of a consultant chosen on a page"),
    )
    PASSWORD_SET_ON_PAGE = (
        "web:consultant:password_set",
        N_("Password of a telephone set on a page"),
    )

    # The same by the command, and more.

    #: detail: languages
    CONSULTANT_ADDED = "command:consultant:added", N_("Consultant added")
    #: detail: skills with levels
    SKILLS_SET = "command:consultant:skills_set", N_("Skills of a consultant set")
    #: detail: team; "": none
    TEAM_SET = "command:consultant:team_set", N_("Team of a consultant set")
    #: detail: telephone, as the command has it
    TELEPHONE_SET = "command:consultant:telephone_set", N_("Telephone of a consultant chosen")
    CONSULTANT_ENABLED = "command:consultant:enabled", N_("Consultant enabled")
    CONSULTANT_DISABLED = "command:consultant:disabled", N_("Consultant disabled")
    CONSULTANT_PASSWORD_SET = "command:consultant:password_set", N_("Password of a telephone set")
