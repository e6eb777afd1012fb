"""Forms of pages answer by the page action: one way to redirect, and to show a refusal."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import callcenter

PACKAGE = Path(callcenter.__file__).parent
#: Sign-in sets cookies with each answer, and says one thing whatever was wrong.
APART = PACKAGE / "platform/web/sign_in"
#: Give something out, once: what failed on our side is said on their pages too.
GIVE_OUT = {
    "/sealed-numbers/{opening_id}/number",
    "/demands/{demand_number}/carrier",
    "/authority/demands/{demand_number}/download",
}
#: Lead on without a refusal to show: a page may come in place of a redirect, nothing is refused,
#: and addresses of older versions.
LEAD_ON = {
    "/users/{user}/person",
    "/search/views/{view_id}/drop",
    "/duty",
    "/duty/call/{what}",
}
#: What a browser writes itself, what is chosen and not typed, and what is good once.
NOT_TYPED = re.compile(r'type="(hidden|checkbox|radio|file|password)"|one-time-code')
FORM = re.compile(r'<form\b[^>]*(?:method="post"|sends\().*?</form>', re.DOTALL)
TAG = r"(?:[^>{]|\{\{.*?\}\}|\{%.*?%\})*>"
FIELD = re.compile(rf"<input\b{TAG}|<textarea\b{TAG}.*?</textarea>", re.DOTALL)
#: What was typed, also as templates set it or pass it to a macro; else that of one address.
TYPED = r"\b(?:(?:typed|again|said)|typed_at\((?P<address>.*?)\))(?:\.{name}\b|\.get\(\"{name}\")"


def routes_of(handler: ast.AsyncFunctionDef) -> set[str]:
    """The routes of this handler to which a browser sends a form."""
    return {
        ast.literal_eval(each.args[0])
        for each in handler.decorator_list
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr == "post"
    }


def forms() -> Iterator[tuple[set[str], ast.AsyncFunctionDef]]:
    """The handlers of forms of all rooms, with their routes."""
    for file in PACKAGE.rglob("*pages*.py"):
        if not file.is_relative_to(APART):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.AsyncFunctionDef) and (routes := routes_of(node)):
                    yield routes, node


def names(node: ast.AST) -> set[str]:
    """The names that a handler uses, whole or as members of a module."""
    return {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Name | ast.Attribute)
    }


def caught(form: ast.AST) -> set[str]:
    """The names of what a handler catches."""
    handlers = (each for each in ast.walk(form) if isinstance(each, ast.ExceptHandler))
    return {name for each in handlers if each.type for name in names(each.type)}


def address_of(form: str) -> str:
    """The address that a form is sent to, as an expression of its template."""
    if sends := re.search(r"sends\((.*?)\)", form):
        return sends[1]
    action = re.search(r'action="((?:[^"{]|\{\{.*?\}\})*)"', form)
    parts = enumerate(re.split(r"\{\{ (.*?) \}\}", action[1] if action else ""))
    return " ~ ".join(part if at % 2 else f'"{part}"' for at, part in parts if part)


def has_typed(form: str, field: str) -> bool:
    """Whether the field has what was typed into it in this form."""
    name = re.search(r'\bname="(\w+)"', field)
    found = name and re.search(TYPED.replace("{name}", name[1]), field)
    return found is not None and found["address"] in (None, address_of(form))


def test_forms_catch_no_refusal_by_themselves() -> None:
    assert {
        route for routes, form in forms() if caught(form) & {"InvalidRequest"} for route in routes
    } == GIVE_OUT


def test_forms_redirect_by_the_page_action() -> None:
    assert len(list(forms())) > 60
    assert {
        route
        for routes, form in forms()
        if names(form) & {"redirect", "RedirectResponse"}
        for route in routes
    } == LEAD_ON


def test_a_refused_form_has_what_was_typed() -> None:
    empty = {
        f"{file.name}: {field}"
        for file in PACKAGE.rglob("templates/*.html")
        for form in FORM.findall(file.read_text(encoding="utf-8"))
        for field in FIELD.findall(form)
        if not NOT_TYPED.search(field) and not has_typed(form, field)
    }
    assert empty == set()


@pytest.mark.parametrize(
    ("field", "has"),
    [
        ('name="reason" value="{{ typed.reason }}"', True),
        ('name="reason" value="{{ typed_at("/plans/" ~ plan.id ~ "/end").reason }}"', True),
        ('name="reason" value="{{ typed_at("/plans/" ~ plan.id ~ "/review").reason }}"', False),
        ('name="reason" value="{{ typed.note }}"', False),
        ('name="reason" max="{{ latest }}"', False),
    ],
)
def test_a_field_has_what_was_typed_into_it_alone(field: str, has: bool) -> None:
    form = f'<form method="post" action="/plans/{{{{ plan.id }}}}/end"><input {field}></form>'
    assert has_typed(form, f"<input {field}>") is has
