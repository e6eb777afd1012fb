"""Actions of signing in, second factors and API clients."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class IdentityAction(Action):
    """Actions of signing in, second factors and API clients."""

    #: subject: the user; detail: by (provider)
    SIGNED_IN = "web:session:started", N_("Signed in to the pages")
    #: subject: the user, if known; detail: why, by
    SIGN_IN_REFUSED = "web:session:refused", N_("Sign-in refused")
    OWN_PASSWORD_SET = "web:user:own_password_set", N_("Own password changed")
    #: a password was chosen by a link
    INVITATION_ACCEPTED = "web:user:invitation_accepted", N_("Invitation accepted")
    #: by the link of the first start
    FIRST_ADMINISTRATOR_ADDED = "web:user:first_administrator", N_("First administrator added")
    #: too many tries; detail: locked (sign_in_attempts.Scope)
    SIGN_IN_LOCKED = "web:session:locked", N_("Sign-in locked")
    #: for want of a permission; subject: method and path
    ACCESS_REFUSED = "web:access:refused", N_("Access refused")
    #: subject: who; detail: count (without entries), since
    MORE_REFUSED = "web:access:more_refused", N_("More refusals")
    #: subject: table and id of the request
    SELF_APPROVAL_REFUSED = "web:approval:self_refused", N_("Approval of one's own request refused")
    #: added by the organisation's sign-in; detail: role
    USER_CAME = "web:user:came", N_("User came by the organisation's sign-in")
    #: as the groups there changed; detail: role
    ROLE_FOLLOWED = "web:user:role_followed", N_("Role followed from the organisation")
    #: at the organisation's sign-in; detail: why
    ENTITLEMENT_LOST = "web:user:entitlement_lost", N_("User lost the right to work here")
    #: subject: the user
    SIGNED_OUT = "web:session:ended", N_("Signed out of the pages")

    # Of second factors; subject: the user.

    SECOND_FACTOR_ENROLLED = "web:second_factor:enrolled", N_("Second factor set up")
    #: a wrong code, after a right password
    SECOND_FACTOR_REFUSED = "web:second_factor:refused", N_("Second factor refused")
    #: detail: left (how many)
    RECOVERY_CODE_USED = "web:second_factor:recovery_used", N_("Recovery code used")
    #: subject: the machine
    MACHINE_ADDED = "command:machine:added", N_("API client added")
    MACHINE_RENEWED = "command:machine:renewed", N_("API client given a new token")
    MACHINE_REVOKED = "command:machine:revoked", N_("API client revoked")
