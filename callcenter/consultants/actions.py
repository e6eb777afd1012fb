"""Actions on consultants and the center's own lists."""

from callcenter.platform.audit.actions import Action


class ConsultantAction(Action):
    """Actions on consultants and the center's own lists."""

    DUTY_CHANGED = "web:consultant:duty_changed"  #: by a supervisor; detail: state, reason
    CONSULTANT_CHANGED = "web:consultant:changed"  #: detail: languages, skills with levels
    SKILL_KEPT = "web:skill:kept"  #: added or changed; subject: its code; detail: names, active
    PAUSE_REASON_KEPT = "web:pause_reason:kept"  #: the same of a reason of pauses
    # Of their accounts, on the page of a user; subject: the consultant.
    ADDED_ON_PAGE = "web:consultant:added"  #: detail: languages
    RENAMED_ON_PAGE = "web:consultant:renamed"
    TELEPHONE_SET_ON_PAGE = "web:consultant:telephone_set"  #: detail: telephone
    PASSWORD_SET_ON_PAGE = "web:consultant:password_set"  # noqa: S105 - the name of an action
    # The same by the command, and more.
    CONSULTANT_ADDED = "command:consultant:added"  #: detail: languages
    SKILLS_SET = "command:consultant:skills_set"  #: detail: skills with levels
    TEAM_SET = "command:consultant:team_set"  #: detail: team; "": none
    TELEPHONE_SET = "command:consultant:telephone_set"  #: detail: telephone, as the command has it
    CONSULTANT_ENABLED = "command:consultant:enabled"
    CONSULTANT_DISABLED = "command:consultant:disabled"
    CONSULTANT_PASSWORD_SET = "command:consultant:password_set"  # noqa: S105 - the name of an action
