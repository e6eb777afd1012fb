"""Actions on accounts of users, on the pages or by the command; subject: the user."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class AccountAction(Action):
    """Actions on accounts of users, on the pages or by the command; subject: the user."""

    # Of people who sign in, by administrators on the pages or by the API; subject: the user.

    #: detail: role
    USER_ADDED_ON_PAGE = "web:user:added", N_("User added")
    #: detail: role
    ROLE_GIVEN_ON_PAGE = "web:user:role_given", N_("Role given")
    #: the old password stopped working
    USER_INVITED_ON_PAGE = "web:user:invited", N_("User invited")
    #: detail: extension of the consultant
    USER_LINKED_ON_PAGE = "web:user:linked", N_("User linked with a telephone")
    #: detail: subject (there)
    USER_IDENTIFIED_ON_PAGE = "web:user:identified", N_("Identity of a user set")
    USER_SIGNS_ON_PAGE = "web:user:signs", N_("How a user signs papers set")
    USER_DISABLED_ON_PAGE = "web:user:disabled", N_("User disabled")
    USER_ENABLED_ON_PAGE = "web:user:enabled", N_("User enabled")

    # Of a reset by two of them; detail: reason, and asked_by of a decision.

    SECOND_FACTOR_RESET_REQUESTED = (
        "web:second_factor:reset_asked",
        N_("Reset of a second factor asked for"),
    )
    SECOND_FACTOR_RESET_REFUSED = (
        "web:second_factor:reset_refused",
        N_("Reset of a second factor refused"),
    )
    SECOND_FACTOR_RESET_ON_PAGE = "web:second_factor:reset", N_("Second factor reset")
    PASSWORD_SET_ON_PAGE = "web:user:password_set", N_("Password of a user set")

    # The same by the command.

    ROLE_GIVEN = "command:user:role_given", N_("Role given by command")
    USER_IDENTIFIED = "command:user:identified", N_("Identity of a user set by command")
    #: detail: role
    USER_ADDED = "command:user:added", N_("User added by command")
    USER_INVITED = "command:user:invited", N_("User invited by command")
    #: detail: extension of the consultant; none: unlinked
    USER_LINKED = "command:user:linked", N_("User linked with a telephone by command")
    #: how somebody signs receipts was changed
    USER_SIGNS = "command:user:signs", N_("How a user signs papers set by command")
    USER_DISABLED = "command:user:disabled", N_("User disabled by command")
    USER_ENABLED = "command:user:enabled", N_("User enabled by command")
    #: subject: the user
    SECOND_FACTOR_RESET = "command:second_factor:reset", N_("Second factor reset by command")
    USER_PASSWORD_SET = "command:user:password_set", N_("Password of a user set by command")
