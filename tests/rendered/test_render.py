"""The rendered text itself, and what must never become text."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.asterisk import render as module
from callcenter.asterisk.render import SipAccount, compose
from callcenter.errors import AskedWrongly, WeFailed
from tests.rendered.given import ACCOUNTS, PROGRAM, SECRETS, settings

EXPECTED = Path(__file__).parent / "expected"


def test_every_file_is_rendered_exactly_as_expected() -> None:
    files = compose(settings(), ACCOUNTS, PROGRAM, SECRETS)
    expected = {path.name: path.read_text(encoding="utf-8") for path in EXPECTED.iterdir()}
    assert files == expected


def test_the_order_of_accounts_does_not_matter() -> None:
    assert compose(settings(), ACCOUNTS, PROGRAM, SECRETS) == compose(
        settings(), ACCOUNTS[::-1], PROGRAM, SECRETS
    )


def test_without_consultants_only_the_trunks_are_left() -> None:
    files = compose(settings(), (), PROGRAM, SECRETS)
    assert re.findall(r"^\[([^]]+)\]\(leg\)", files["pjsip.conf"], re.MULTILINE) == [
        "operator",
        "unified-center",
        "network",
    ]
    assert "member =>" not in files["queues.conf"]


def test_media_is_bound_to_no_address_when_sip_is_heard_everywhere() -> None:
    files = compose(settings(sip_address="0.0.0.0"), ACCOUNTS, PROGRAM, SECRETS)  # noqa: S104
    assert "bind = 0.0.0.0:5060" in files["pjsip.conf"]
    assert "media_address" not in files["pjsip.conf"]


def test_a_relative_folder_becomes_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    files = compose(settings(var=Path("state")), ACCOUNTS, PROGRAM, SECRETS)
    assert "astetcdir => /usr/state/asterisk/etc" in files["asterisk.conf"]
    assert "Playback(/usr/state/prompts/kk/${ARG1})" in files["extensions.conf"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ settings.nothing | conf }}", "nothing"),
        ("{{ settings.nothing }}", "nothing"),
        ("{{ nowhere | conf }}", "nowhere"),
        ("{% for each in nowhere %}{% endfor %}", "nowhere"),
        ("{{ secrets.ari }}", "no filter"),
        ("{{ 'a' ~ settings.sip_port }}", "no filter"),
        ("{{ settings.sip_port | conf", "cannot render wrong.conf.j2"),
    ],
)
def test_a_template_that_is_wrong_fails_loudly_and_tells_no_secret(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong.conf.j2").write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "TEMPLATES", (tmp_path,))
    with pytest.raises(WeFailed, match=message) as raised:
        compose(settings(), ACCOUNTS, PROGRAM, SECRETS)
    assert SECRETS.ari not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rtp_start": 20000, "rtp_end": 19999}, "CALLCENTER_RTP_END"),
        ({"claim_timeout": 61}, "CALLCENTER_CLAIM_TIMEOUT"),
        ({"var": Path("/" + "long" * 25)}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/[x]")}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/{a,b}")}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/a,b")}, "contains ,"),
        ({"var": Path("/srv/$SHELL")}, r"contains \$"),
        ({"var": Path("/srv/a\nb")}, "one line"),
        ({"var": Path("/srv/\udcff")}, "one line"),
    ],
)
def test_doubtful_settings_are_refused_by_name(changed: dict[str, object], message: str) -> None:
    with pytest.raises(AskedWrongly, match=message):
        compose(settings(**changed), ACCOUNTS, PROGRAM, SECRETS)


def test_two_accounts_with_one_extension_are_refused() -> None:
    with pytest.raises(AskedWrongly, match="101"):
        compose(settings(), (*ACCOUNTS, ACCOUNTS[0]), PROGRAM, SECRETS)


@given(st.text(), st.text())
def test_an_account_takes_nothing_but_digits_and_a_digest(extension: str, digest: str) -> None:
    for values in ((extension, "0" * 32), ("101", digest)):
        try:
            account = SipAccount(*values)
        except AskedWrongly:
            continue
        assert re.fullmatch(r"[0-9]{3,6}", account.extension)
        assert re.fullmatch(r"[0-9a-f]{32}", account.digest)


@pytest.mark.parametrize("extension", ["", "12", "1234567", "١٢٣", "101\n", "10;1", "operator"])
def test_what_is_no_extension_is_refused(extension: str) -> None:
    with pytest.raises(AskedWrongly):
        SipAccount(extension, "0" * 32)
