"""Actions on accounts of users, on the pages or by the command; subject: the user."""

from callcenter.platform.audit.actions import Action


class AccountAction(Action):
    """Actions on accounts of users, on the pages or by the command; subject: the user."""

    # Of people who sign in, by administrators on the pages or by the API; subject: the user.
    USER_ADDED_ON_PAGE = "web:user:added"  #: detail: role
    ROLE_GIVEN_ON_PAGE = "web:user:role_given"  #: detail: role
    USER_INVITED_ON_PAGE = "web:user:invited"  #: the old password stopped working
    USER_LINKED_ON_PAGE = "web:user:linked"  #: detail: extension of the consultant
    USER_IDENTIFIED_ON_PAGE = "web:user:identified"  #: detail: subject (there)
    USER_SIGNS_ON_PAGE = "web:user:signs"
    USER_DISABLED_ON_PAGE = "web:user:disabled"
    USER_ENABLED_ON_PAGE = "web:user:enabled"
    # Of a reset by two of them; detail: reason, and asked_by of a decision.
    SECOND_FACTOR_RESET_REQUESTED = "web:second_factor:reset_asked"
    SECOND_FACTOR_RESET_REFUSED = "web:second_factor:reset_refused"
    SECOND_FACTOR_RESET_ON_PAGE = "web:second_factor:reset"
    PASSWORD_SET_ON_PAGE = "web:user:password_set"  # noqa: S105 - the name of an action
    # The same by the command.
    ROLE_GIVEN = "command:user:role_given"
    USER_IDENTIFIED = "command:user:identified"
    USER_ADDED = "command:user:added"  #: detail: role
    USER_INVITED = "command:user:invited"
    USER_LINKED = "command:user:linked"  #: detail: extension of the consultant; none: unlinked
    USER_SIGNS = "command:user:signs"  #: how somebody signs receipts was changed
    USER_DISABLED = "command:user:disabled"
    USER_ENABLED = "command:user:enabled"
    SECOND_FACTOR_RESET = "command:second_factor:reset"  #: subject: the user
    USER_PASSWORD_SET = "command:user:password_set"  # noqa: S105 - the name of an action
