"""Actions of signing in, second factors and API clients."""

from callcenter.platform.audit.actions import Action


class IdentityAction(Action):
    """Actions of signing in, second factors and API clients."""

    SIGNED_IN = "web:session:started"  #: subject: the user; detail: by (provider)
    SIGN_IN_REFUSED = "web:session:refused"  #: subject: the user, if known; detail: why, by
    OWN_PASSWORD_SET = "web:user:own_password_set"  # noqa: S105 - the name of an action
    INVITATION_ACCEPTED = "web:user:invitation_accepted"  #: a password was chosen by a link
    FIRST_ADMINISTRATOR_ADDED = "web:user:first_administrator"  #: by the link of the first start
    SIGN_IN_LOCKED = (
        "web:session:locked"  #: too many tries; detail: locked (sign_in_attempts.Scope)
    )
    ACCESS_REFUSED = "web:access:refused"  #: for want of a permission; subject: method and path
    MORE_REFUSED = (
        "web:access:more_refused"  #: subject: who; detail: count (without entries), since
    )
    SELF_APPROVAL_REFUSED = "web:approval:self_refused"  #: subject: table and id of the request
    USER_CAME = "web:user:came"  #: added by the organisation's sign-in; detail: role
    ROLE_FOLLOWED = "web:user:role_followed"  #: as the groups there changed; detail: role
    ENTITLEMENT_LOST = "web:user:entitlement_lost"  #: at the organisation's sign-in; detail: why
    SIGNED_OUT = "web:session:ended"  #: subject: the user
    # Of second factors; subject: the user.
    SECOND_FACTOR_ENROLLED = "web:second_factor:enrolled"
    SECOND_FACTOR_REFUSED = "web:second_factor:refused"  #: a wrong code, after a right password
    RECOVERY_CODE_USED = "web:second_factor:recovery_used"  #: detail: left (how many)
    MACHINE_ADDED = "command:machine:added"  #: subject: the machine
    MACHINE_REVOKED = "command:machine:revoked"
