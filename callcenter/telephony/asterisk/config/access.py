"""Networks from which Asterisk hears SIP: whoever else sends it is refused at once."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from callcenter.platform.core.settings import Settings

Network = IPv4Network | IPv6Network

#: Browsers, whose WebSocket comes from the proxy of this machine.
PROXY: Network = IPv4Network("127.0.0.1/32")


def permitted_networks(settings: Settings) -> tuple[Network, ...]:
    """The networks of trunks, telephones and whom we call; none while one of them is unknown.

    What comes within a call is refused from elsewhere too, so a list that lacks one would keep
    calls from being hung up.
    """
    if unknown_hosts(settings):
        return ()
    peers = [network for host in _hosts(settings) if (network := _network_of(host))]
    trunks = [each for operator in settings.operators.values() for each in operator.networks]
    named = (*settings.operator_networks, *trunks, *settings.sip_networks)
    return tuple(dict.fromkeys((PROXY, *named, *peers, *settings.telephone_networks)))


def unknown_hosts(settings: Settings) -> list[str]:
    """The hosts that are known by name alone, none once `sip_networks` has their networks."""
    if settings.sip_networks:
        return []
    return sorted({host for host in _hosts(settings) if _network_of(host) is None})


def _hosts(settings: Settings) -> Iterator[str]:
    """Whom we call and where we register, without operators whose networks are named."""
    yield _without_port(settings.unified_center_uri.rpartition("@")[2])
    yield _without_port(settings.network_uri.rpartition("@")[2])
    for operator in settings.operators.values():
        if operator.host is not None and not operator.networks:
            yield _without_port(operator.host)


def _without_port(host: str) -> str:
    return host.partition(":")[0]


def _network_of(host: str) -> Network | None:
    try:
        return ip_network(host)
    except ValueError:
        return None
