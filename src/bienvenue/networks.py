"""Which network an ip belongs to, for counting and for fairness."""

import ipaddress


def network_of(ip: str) -> str:
    """Give the network an ip counts for: itself in IPv4, its /64 in IPv6 (ASVS 15.3.4)."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"{address.ipv4_mapped}/32"
        return str(ipaddress.ip_network((address, 64), strict=False))
    return f"{address}/32"
