"""Everything that the product is installed with allows distribution under Apache-2.0."""

from tests.licences import TABLE, is_allowed, npm_packages, page, python_packages


def test_licences_of_dependencies_are_allowed() -> None:
    found = python_packages() | npm_packages()
    assert len(found) > 70
    assert {name: each for name, each in found.items() if not is_allowed(each)} == {}


def test_a_forbidden_licence_is_distinguished_from_a_choice() -> None:
    assert is_allowed("GPL-2.0-only OR MIT")
    assert not is_allowed("MIT AND GPL-2.0-only")
    assert not is_allowed("")


def test_the_page_of_licences_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == page(), "run scripts/licences"
