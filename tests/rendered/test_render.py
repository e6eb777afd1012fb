"""The rendered text itself, and what must never become text."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.telephony.asterisk.config import renderer as module
from callcenter.telephony.asterisk.config.renderer import SipAccount, compose
from tests.rendered.given import ACCOUNTS, PROGRAM, SECRETS, settings

LONGEST_LINE = 8000  # characters that Asterisk reads of one (config.c)
EXPECTED = Path(__file__).parent / "expected"


def test_every_file_is_rendered_exactly_as_expected() -> None:
    files = compose(settings(), ACCOUNTS, PROGRAM, SECRETS)
    paths = [path for path in EXPECTED.rglob("*") if path.is_file()]
    expected = {str(path.relative_to(EXPECTED)): path.read_text("utf-8") for path in paths}
    assert files == expected


def test_no_event_that_somebody_waits_for_is_disabled() -> None:
    text = compose(settings(), ACCOUNTS, PROGRAM, SECRETS)["manager.conf"]
    (disabled,) = re.findall(r"^disabledevents = (.+)$", text, re.MULTILINE)
    assert len(disabled) < LONGEST_LINE
    assert not {*disabled.split(",")} & {*module.AMI_EVENTS}


def test_the_order_of_accounts_does_not_matter() -> None:
    assert compose(settings(), ACCOUNTS, PROGRAM, SECRETS) == compose(
        settings(), ACCOUNTS[::-1], PROGRAM, SECRETS
    )


def test_without_consultants_only_trunks_and_probe_are_left() -> None:
    files = compose(settings(), (), PROGRAM, SECRETS)
    assert re.findall(r"^\[([^]]+)\]\((?:leg|trunk)\)", files["pjsip.conf"], re.MULTILINE) == [
        "operator",
        "unified-center",
        "network",
        "probe",
    ]
    assert "(" not in files["accounts/pjsip.conf"]
    assert "member =>" not in files["accounts/queues.conf"]


def test_media_is_bound_to_no_address_with_sip_everywhere() -> None:
    files = compose(settings(sip_address="0.0.0.0"), ACCOUNTS, PROGRAM, SECRETS)  # noqa: S104
    assert "bind = 0.0.0.0:5060" in files["pjsip.conf"]
    assert "media_address" not in files["pjsip.conf"]


def test_a_relative_folder_becomes_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    files = compose(settings(var=Path("state")), ACCOUNTS, PROGRAM, SECRETS)
    assert "astetcdir => /usr/state/asterisk/etc" in files["asterisk.conf"]
    assert (
        "Background(/usr/state/prompts/kk/${ARG1},m,,fallback-announced)"
        in files["extensions.conf"]
    )


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
def test_a_wrong_template_fails_loudly_without_secrets(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong.conf.j2").write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "TEMPLATES", (tmp_path,))
    with pytest.raises(OperationFailed, match=message) as raised:
        compose(settings(), ACCOUNTS, PROGRAM, SECRETS)
    assert SECRETS.ari not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"operators": {"kcell": {"networks": ["203.0.113.0/29"]}}},
            r"CALLCENTER_OPERATORS: kcell: the network 203\.0\.113\.0/29 is also of "
            r"CALLCENTER_OPERATOR_NETWORKS",
        ),
        ({"rtp_start": 20000, "rtp_end": 19999}, "CALLCENTER_RTP_END"),
        ({"claim_timeout": 61}, "CALLCENTER_CLAIM_TIMEOUT"),
        ({"var": Path("/" + "long" * 25)}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/[x]")}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/{a,b}")}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/a,b")}, "CALLCENTER_VAR"),
        ({"var": Path("/srv/$SHELL")}, r"contains \$"),
        ({"var": Path("/srv/a\nb")}, "one line"),
        ({"var": Path("/srv/\udcff")}, "one line"),
    ],
)
def test_doubtful_settings_are_refused_by_name(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        compose(settings(**changed), ACCOUNTS, PROGRAM, SECRETS)


@pytest.mark.parametrize(
    "changed",
    [
        {"operators": {"kcell": {}}},
        {"operators": {"kcell": {"registrar": "sip:sip.example.kz"}}},
        {"operators": {"K-Cell": {"networks": ["192.0.2.0/24"]}}},
        {"operators": {"kcell": {"registrar": "sip:a\nb", "user": "7111"}}},
        {"operators": {"kcell": {"network": ["192.0.2.0/24"]}}},
        {"called_numbers": ["7XX"]},
        {"called_numbers": ["sip:111"]},
    ],
)
def test_a_wrong_operator_or_called_number_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"operators|called_numbers"):
        settings(**changed)


def test_without_the_first_operator_only_the_others_are_left() -> None:
    changed = settings(operator_networks=(), operators={"kcell": {"networks": ["192.0.2.0/24"]}})
    text = compose(changed, (), PROGRAM, SECRETS)["pjsip.conf"]
    assert re.findall(r"^\[(operator[^]]*)\]", text, re.MULTILINE) == ["operator-kcell"] * 2


def test_one_account_signs_the_calls_to_its_operator() -> None:
    account = {"registrar": "sip:sip.example.kz", "user": "7111"}
    changed = settings(
        operators={"first": account, "second": account}, network_uri="sip:{number}@sip.example.kz"
    )
    secrets = replace(SECRETS, operators={"first": "one", "second": "two"})
    text = compose(changed, (), PROGRAM, secrets)["pjsip.conf"]
    network = text.partition("[network](leg)")[2].partition("[")[0]
    assert re.findall("outbound_auth = (.*)", network) == ["operator-first"]


def test_two_accounts_with_one_extension_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="101"):
        compose(settings(), (*ACCOUNTS, ACCOUNTS[0]), PROGRAM, SECRETS)


@given(st.text(), st.text())
def test_an_account_takes_nothing_but_digits_and_a_digest(extension: str, digest: str) -> None:
    for values in ((extension, "0" * 32), ("101", digest)):
        try:
            account = SipAccount(*values)
        except InvalidRequest:
            continue
        assert re.fullmatch(r"[0-9]{3,6}", account.extension)
        assert re.fullmatch(r"[0-9a-f]{32}", account.digest)


@pytest.mark.parametrize("extension", ["", "12", "1234567", "١٢٣", "101\n", "10;1", "operator"])
def test_what_is_no_extension_is_refused(extension: str) -> None:
    with pytest.raises(InvalidRequest):
        SipAccount(extension, "0" * 32)


CERTIFICATE = {"sip_certificate": Path("/etc/sip.pem"), "sip_key": Path("/etc/sip.key")}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        (CERTIFICATE, ["media_encryption = sdes", "transport = tls"]),
        (
            CERTIFICATE | {"plain_telephones": True},
            ["media_encryption = sdes", "media_encryption_optimistic = yes"],
        ),
        (CERTIFICATE | {"sip_address_v6": "2001:db8::10"}, ["media_encryption = sdes"]),
    ],
)
def test_telephones_speak_encrypted_with_a_certificate(
    changed: dict[str, object], expected: list[str]
) -> None:
    text = compose(settings(**changed), ACCOUNTS, PROGRAM, SECRETS)["pjsip.conf"]
    telephone = text.partition("[telephone](!,consultant)")[2].partition("\n[")[0]
    lines = [each for each in telephone.splitlines() if each.startswith(("media_", "transport"))]
    assert lines == expected
    assert text.count("protocol = tls") == bool(changed) + ("sip_address_v6" in changed)
