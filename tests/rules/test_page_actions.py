"""Forms of pages answer by the page action: one way to redirect, and to show a refusal."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import callcenter

PACKAGE = Path(callcenter.__file__).parent
#: Sign-in sets cookies with each answer, and says one thing whatever was wrong.
APART = PACKAGE / "platform/web/sign_in"
#: Give something out, once: what failed on our side is said on their pages too.
GIVE_OUT = {"open_number", "carrier", "download"}
#: Lead on without a refusal to show: a page may come in place of a redirect, nothing is refused,
#: and addresses of older versions.
LEAD_ON = {"save", "drop_view", "moved"}
#: What a browser writes itself, what is chosen and not typed, and what is good once.
NOT_TYPED = re.compile(r'type="(hidden|checkbox|radio|file|password)"|one-time-code')
FORM = re.compile(r'<form\b[^>]*(?:method="post"|sends\().*?</form>', re.DOTALL)
FIELD = re.compile(
    r"<(?:input|textarea)\b(?:[^>{]|\{\{.*?\}\}|\{%.*?%\})*>(?:.*?</textarea>)?", re.DOTALL
)


def is_form(handler: ast.AsyncFunctionDef) -> bool:
    """Whether a browser sends a form to this handler."""
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr == "post"
        for each in handler.decorator_list
    )


def forms() -> Iterator[ast.AsyncFunctionDef]:
    """The handlers of forms of all rooms."""
    for file in PACKAGE.rglob("*pages*.py"):
        if not file.is_relative_to(APART):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.AsyncFunctionDef) and is_form(node):
                    yield node


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


def test_forms_catch_no_refusal_by_themselves() -> None:
    assert {form.name for form in forms() if caught(form) & {"InvalidRequest"}} == GIVE_OUT


def test_forms_redirect_by_the_page_action() -> None:
    assert len({form.name for form in forms()}) > 60
    assert {form.name for form in forms() if names(form) & {"redirect", "RedirectResponse"}} == (
        LEAD_ON
    )


def test_a_refused_form_has_what_was_typed() -> None:
    empty = {
        f"{file.name}: {field}"
        for file in PACKAGE.rglob("templates/*.html")
        for form in FORM.findall(file.read_text(encoding="utf-8"))
        for field in FIELD.findall(form)
        if not NOT_TYPED.search(field) and "{{" not in re.sub(r'(id|for)="[^"]*"', "", field)
    }
    assert empty == set()
