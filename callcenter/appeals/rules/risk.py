"""Questions of risk: what their answers propose. A person decides whether it is urgent."""

from callcenter.appeals.rules.fields import Content, Form
from callcenter.appeals.rules.states import AppealKind


def is_said_urgent(content: Content) -> bool:
    """Whether a consultant marked danger, or the need of an operative response."""
    return content.get("danger") == "yes" or content.get("urgency") == "urgent"


def proposes_urgency(form: Form, kind: AppealKind | None, content: Content) -> bool:
    """Whether answers to questions of risk propose urgency that nobody has marked yet."""
    if kind is AppealKind.DANGER or is_said_urgent(content):
        return False
    return any(
        content.get(field.code) in field.proposing
        for field in form.fields
        if field.active and field.proposing
    )
