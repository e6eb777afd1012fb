"""Labels of roles, and of the reasons that nothing was changed."""

from callcenter.platform.core.errors import N_, InvalidRequest, SelfApproval
from callcenter.platform.identity.permissions import Role
from callcenter.users.people import PersonField, WrongField
from callcenter.users.service import CannotChangeOwnAccount, LastAdministrator, NotAssignable

ROLES = {
    Role.CONSULTANT: N_("Consultant"),
    Role.SENIOR: N_("Senior consultant"),
    Role.RECORDS_OFFICER: N_("Records officer"),
    Role.HEAD: N_("Head"),
    Role.KNOWLEDGE_EDITOR: N_("Knowledge editor"),
    Role.AUTHORITY: N_("Authority"),
    Role.STATE_BODY: N_("State body"),
    Role.ADMINISTRATOR: N_("Administrator"),
    Role.AUDITOR: N_("Auditor"),
}
REFUSED: dict[type[InvalidRequest], str] = {
    NotAssignable: N_("This role may do nothing yet. Choose another one."),
    CannotChangeOwnAccount: N_("Somebody else has to change your own role, or shut you out."),
    SelfApproval: N_(
        "You made this request: another person decides. Your attempt is in the audit log."
    ),
    LastAdministrator: N_("There would be no administrator left. Add another one first."),
}
WRONG = {
    PersonField.NAME: N_("Nobody was added: the name is taken, or is no name."),
    PersonField.FULL_NAME: N_("Nothing was saved: name and position have 1 to 100 characters."),
    PersonField.EXTENSION: N_(
        "Nothing was saved: the extension has 3 to 6 digits, is no service's number, and nobody's."
    ),
    PersonField.LANGUAGES: N_("Nothing was saved: tick at least one language."),
    PersonField.TEAM: N_("Nothing was saved: the name of a team has 40 characters at most."),
}
REFUSED_OTHERWISE = N_("Nothing was changed: what was typed is wrong, or belongs to somebody else.")


def refusal_label(refusal: InvalidRequest) -> str:
    """The reason that a person was not saved, as pages say it."""
    if isinstance(refusal, WrongField):
        return WRONG[refusal.field]
    return REFUSED.get(type(refusal), REFUSED_OTHERWISE)
