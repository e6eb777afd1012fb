"""Representative settings, accounts and secrets; nothing of them exists on this machine."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.config.binary import AsteriskBinary
from callcenter.telephony.asterisk.config.renderer import Secrets, SipAccount

PROGRAM = AsteriskBinary(
    command=("/usr/sbin/asterisk",),
    version=(22, 10, 1),
    modules=Path("/usr/lib/x86_64-linux-gnu/asterisk/modules"),
    data=Path("/usr/share/asterisk"),
    takes_refer=True,
)
SECRETS = Secrets(ari="secret-of-ari", ami="secret-of-ami", hep="secret-of-hep")
ACCOUNTS = (
    SipAccount("101", "0123456789abcdef0123456789abcdef"),
    SipAccount("202", "fedcba9876543210fedcba9876543210", webrtc=True),
)


def settings(**changed: object) -> Settings:
    values: dict[str, object] = {
        "var": Path("/srv/callcenter/var"),
        "sip_address": IPv4Address("192.0.2.10"),
        "operator_networks": (IPv4Network("198.51.100.0/29"), IPv4Network("203.0.113.7/32")),
        "unified_center_uri": "sip:1414@192.0.2.14:5060",
    }
    return Settings(_env_file=None, **(values | changed))  # type: ignore[arg-type]
