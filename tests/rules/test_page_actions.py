"""Forms of pages answer by the page action: one way to redirect, and to show a refusal."""

import ast
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
