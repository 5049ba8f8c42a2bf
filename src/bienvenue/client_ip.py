"""Client ip: the ip a request comes from, and the network it counts for.

That is the ip of the connection. X-Forwarded-For is read only when the connection is that of a
proxy the operator names, and no other header ever is: any client can write it (ASVS 4.1.3, 15.3.4).
"""

import ipaddress
import re
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX = "unix"
"""The word in a list of trusted proxies for connections over a unix socket, which have no ip."""

UNKNOWN = "unknown"
"""The network of connections without an ip."""

_PORT = re.compile(r":[0-9]{1,5}")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class TrustedProxies:
    """The proxies whose X-Forwarded-For and X-Request-Id are believed."""

    def __init__(self, text: str = "") -> None:
        """Read networks separated by commas, and the word `unix`. Raises ValueError."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        self._unix = UNIX in names
        self._networks = [_network(name) for name in names if name != UNIX]

    def __bool__(self) -> bool:
        """Tell whether any proxy is trusted."""
        return self._unix or bool(self._networks)

    def __str__(self) -> str:
        """Return them as the setting writes them."""
        return ", ".join([UNIX] * self._unix + [str(network) for network in self._networks])

    def holds(self, ip: str) -> bool:
        """Tell whether an ip, or "" for a connection that has none, is that of a trusted proxy."""
        if not self:
            return False
        address = address_of(ip)
        if address is None:
            return self._unix and ip == ""
        return any(address in network for network in self._networks)

    def everything(self) -> bool:
        """Tell whether together they hold every IPv4 address or every IPv6 address."""
        four = [net for net in self._networks if isinstance(net, ipaddress.IPv4Network)]
        six = [net for net in self._networks if isinstance(net, ipaddress.IPv6Network)]
        all_of_four, all_of_six = ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0")
        return all_of_four in ipaddress.collapse_addresses(four) or (
            all_of_six in ipaddress.collapse_addresses(six)
        )


def visitor_ip(connection: str, forwarded: str, trusted: TrustedProxies) -> str:
    """Return the ip a request counts for, or "" when the connection has none.

    `connection` is the ip of the connection, `forwarded` every X-Forwarded-For of the request,
    joined by commas. Each proxy appends the ip it saw, so the list is read from its end: trusted
    proxies are skipped, the first other ip is the visitor, and an unreadable entry ends the walk.
    """
    address = address_of(connection)
    found = "" if address is None else str(address)
    if not trusted.holds(connection):
        return found
    for entry in reversed(forwarded.split(",")):
        address = address_of(entry)
        if address is None:
            break
        found = str(address)
        if not trusted.holds(found):
            break
    return found


def address_of(text: str) -> Address | None:
    """Read an ip without port, zone or brackets; an IPv4-mapped one is IPv4. None if it is none."""
    text = text.strip(" \t")
    bracketed = text.startswith("[")
    if bracketed:
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _PORT.fullmatch(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _PORT.fullmatch(f":{port}"):
            return None
    plain, zoned, _ = text.partition("%")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return None if bracketed or zoned else address


def network_of(ip: str) -> str:
    """Return the network an ip counts for: itself in IPv4, its /64 in IPv6 (ASVS 15.3.4)."""
    address = address_of(ip)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return f"{address}/32"


def networks_of(ip: str, wider: Iterable[int]) -> list[str]:
    """Return the network an ip counts for and, in IPv6, the wider ones of these lengths.

    The narrowest comes first. An IPv4 address has none that is wider: its neighbours are others.
    """
    address, narrow = address_of(ip), network_of(ip)
    if not isinstance(address, ipaddress.IPv6Address):
        return [narrow]
    around = (ipaddress.ip_network((address, length), strict=False) for length in wider)
    return [narrow, *map(str, around)]


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            "names networks separated by commas, as 10.0.0.0/8 or 2001:db8::7, or `unix`; the bits "
            "behind the length of one are zero"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        low = int(network.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((low, network.prefixlen - 96))
    return network
