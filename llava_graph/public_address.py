"""Tells addresses of hosts on the internet from those of private networks, of the machine itself, and of nowhere.

Code that fetches a URL from an untrusted source asks here before it connects. This module resolves no name.
"""

from __future__ import annotations

import ipaddress

# Global unicast (RFC 4291), less what in it leads somewhere else or nowhere: Teredo and other protocols of the IETF,
# documentation, 6to4. Mapped, translated (NAT64) and local addresses lie outside of it anyway.
_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOT_IPV6 = [ipaddress.IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
# What Python takes for global and is not a host on the internet: the IETF's own, and the relays of 6to4.
_NOT_IPV4 = [ipaddress.IPv4Network(net) for net in ("192.0.0.0/24", "192.88.99.0/24")]


def is_public(address: str) -> bool:
    """Whether an address, as a resolver gives it, is a public one: of a host on the internet, in no private network."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in _IPV6 and not any(ip in net for net in _NOT_IPV6) and ip.is_global and ip.scope_id is None
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in net for net in _NOT_IPV4))


def is_address(host: str) -> bool:
    """Whether a host is given by its address and not by a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
