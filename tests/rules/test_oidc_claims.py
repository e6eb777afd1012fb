"""What a provider claims of somebody, and the state that comes back from it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity import oidc_state
from callcenter.platform.identity.oidc_claims import claim, has_second_factor, name_of, role_of
from callcenter.platform.identity.permissions import Role

NOW = datetime(2026, 11, 25, tzinfo=UTC)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(st.dictionaries(st.sampled_from(["groups", "amr", "acr", "email", "a", "a.b"]), values))
def test_any_claim_gives_a_configured_role_or_none(claims: dict[str, Any]) -> None:
    assert role_of(claims, "groups", {"heads": Role.HEAD}) in (Role.HEAD, None)
    assert has_second_factor(claims, ()) is False
    assert re.fullmatch(r"[a-z0-9._-]{0,40}", name_of(claims))
    claim(claims, "a.b.c")


def test_groups_within_other_claims_are_found() -> None:
    claims = {"realm_access": {"roles": ["heads"]}, "https://a.kz/groups": ["line"]}
    roles = {"heads": Role.HEAD, "line": Role.CONSULTANT}
    assert role_of(claims, "realm_access.roles", roles) is Role.HEAD
    assert role_of(claims, "https://a.kz/groups", roles) is Role.CONSULTANT
    assert role_of(claims, "realm_access.roles.heads", roles) is None


@given(st.text(max_size=60))
def test_no_text_is_a_state_of_ours_by_mistake(text: str) -> None:
    with pytest.raises(InvalidRequest):
        oidc_state.back_of("token", text, NOW)


def test_a_state_lasts_ten_minutes() -> None:
    state = oidc_state.new_state("token", "/appeals?a=b c", NOW)
    assert oidc_state.back_of("token", state, NOW + oidc_state.SIGN_IN_TIMEOUT) == "/appeals?a=b c"
    for token, at in (("other", NOW), ("token", NOW + oidc_state.SIGN_IN_TIMEOUT * 1.1)):
        with pytest.raises(InvalidRequest):
            oidc_state.back_of(token, state, at)
