"""The environment: which of its variables are settings, and which a platform put there.

For a service called bienvenue, Kubernetes gives every container of the namespace
`BIENVENUE_PORT=tcp://10.43.12.7:5000`, `BIENVENUE_SERVICE_HOST` and others, and Docker does so for
a linked container. For bienvenue-smtp they are `BIENVENUE_SMTP_PORT` and others. They are told from
settings by name and value together (Kubernetes, Service, Environment variables).
"""

import ipaddress
import re
from collections.abc import Mapping

_URL = re.compile(r"(tcp|udp|sctp)://\S+")
_NUMBER = re.compile(r"[0-9]{1,5}")
_OF_A_PLATFORM = [
    (re.compile(r"(.+_)?PORT(_[0-9]+_(TCP|UDP|SCTP))?"), _URL),
    (re.compile(r"(.+_)?PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO"), re.compile(r"tcp|udp|sctp")),
    (re.compile(r"(.+_)?PORT_[0-9]+_(TCP|UDP|SCTP)_PORT"), _NUMBER),
    (re.compile(r"(.+_)?SERVICE_PORT(_.+)?"), _NUMBER),
]
_IP = re.compile(r"(.+_)?(SERVICE_HOST|PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR)")
_LINK = re.compile(r"/[^/]+/[^/]+")


def settings_in(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the settings among variables, by their names in lower case without the prefix."""
    found = {
        name.removeprefix(prefix): value
        for name, value in sorted(environ.items())
        if name.startswith(prefix)
    }
    # A link of Docker names itself as /web/bienvenue, and repeats the other container's variables.
    links = tuple(
        name.removesuffix("NAME") + "ENV_"
        for name, value in found.items()
        if re.fullmatch(r"(.+_)?NAME", name) and _LINK.fullmatch(value)
    )
    return {
        name.lower(): value
        for name, value in found.items()
        if not _is_of_a_platform(name, value)
        and not name.startswith(links)
        and f"{name.removesuffix('NAME')}ENV_" not in links
    }


def _is_of_a_platform(name: str, value: str) -> bool:
    if any(names.fullmatch(name) and values.fullmatch(value) for names, values in _OF_A_PLATFORM):
        return True
    if not _IP.fullmatch(name):
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
