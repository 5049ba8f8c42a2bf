"""networks: who the visitor is, whatever the headers say."""

from __future__ import annotations

import pytest

from bienvenue.client_ip import TrustedProxies, address_of, network_of, visitor_ip
from bienvenue.settings import Settings, SettingsProblem

PROXIES = TrustedProxies("10.0.0.0/8, ::1, 2001:db8:1::/48")


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("1.2.3.4", "1.2.3.4"),
        (" 1.2.3.4\t", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::ffff:102:304", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("[2001:DB8:0:0::7]:443", "2001:db8::7"),
        ("2001:0db8::0007", "2001:db8::7"),
    ],
)
def test_every_form_of_an_ip_is_made_plain(text: str, ip: str) -> None:
    """Port, zone, brackets and the IPv6 form of IPv4 make no other visitor."""
    assert str(address_of(text)) == ip
    assert network_of(text) == network_of(ip)


@pytest.mark.parametrize(
    "text",
    [
        "", "unknown", "_hidden", "1.2.3", "1.2.3.4:", "1.2.3.4:port", "1.2.3.4%eth0", "[1.2.3.4]",
        "[::1", "[::1]x", "::1]",
        "1.2.3.4 5.6.7.8", "01.2.3.4", "\u0661.2.3.4", '"1.2.3.4"', "1.2.3.4\n",
        "for=1.2.3.4", "localhost", "1.2.3.4/32",
    ],
)  # fmt: skip
def test_what_is_no_ip_is_none(text: str) -> None:
    """It never becomes one by good will."""
    assert address_of(text) is None
    assert network_of(text) == "unknown"


@pytest.mark.parametrize(
    ("connection", "forwarded", "visitor"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6,198.51.100.1:443,[2001:db8:1::2]:80", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.1,", "10.0.0.1"),
        ("10.0.0.1", "," * 60_000, "10.0.0.1"),
        ("fe80::1%eth0", "198.51.100.1", "fe80::1"),
        ("", "198.51.100.1", ""),
        ("nonsense", "198.51.100.1", ""),
    ],
)
def test_the_walk_from_the_right(connection: str, forwarded: str, visitor: str) -> None:
    """Trusted proxies are skipped, the first other ip is the visitor, nonsense ends the walk."""
    assert visitor_ip(connection, forwarded, PROXIES) == visitor
    nobody = visitor_ip(connection, forwarded, TrustedProxies())
    assert nobody == visitor_ip(connection, "", TrustedProxies())


def test_a_unix_socket_is_trusted_by_its_name_only() -> None:
    """It has no ip; who may open it is decided by its permissions."""
    assert visitor_ip("", "198.51.100.1", TrustedProxies("unix")) == "198.51.100.1"
    assert visitor_ip("", "198.51.100.1", PROXIES) == ""
    assert visitor_ip("nonsense", "198.51.100.1", TrustedProxies("unix")) == ""
    assert visitor_ip("203.0.113.9", "198.51.100.1", TrustedProxies("unix")) == "203.0.113.9"


def test_a_network_counts_by_64_bits_in_ipv6() -> None:
    """A home has so many of them; one subscriber is one visitor."""
    assert (
        network_of("2001:db8:0:7::1") == network_of("2001:db8:0:7:ffff::2") == "2001:db8:0:7::/64"
    )
    assert network_of("2001:db8:0:8::1") != network_of("2001:db8:0:7::1")
    assert network_of("::ffff:1.2.3.4") == network_of("1.2.3.4") == "1.2.3.4/32"


@pytest.mark.parametrize(
    ("text", "all_of_them"),
    [
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("0.0.0.0/1, 128.0.0.0/1", True),
        ("::ffff:0:0/96", True),
        ("10.0.0.0/8, unix", False),
        ("", False),
    ],
)
def test_it_knows_when_everybody_is_trusted(text: str, all_of_them: bool) -> None:
    """However that is written."""
    assert TrustedProxies(text).everything() is all_of_them


def test_the_setting_is_read_and_written_in_one_form() -> None:
    """Mapped networks are IPv4; the order stays, `unix` comes first."""
    settings = Settings({"BIENVENUE_TRUSTED_PROXIES": " ::ffff:10.0.0.0/104 ,::1,unix,"})
    assert settings.core.trusted_proxies == "unix, 10.0.0.0/8, ::1/128"
    assert settings.trusted.holds("10.9.9.9")
    assert not settings.trusted.holds("11.9.9.9")
    assert not Settings({}).trusted


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "*", "1.2.3.4 5.6.7.8"]
)
def test_a_setting_that_names_no_network_is_refused(text: str) -> None:
    """At start, with the name of the variable."""
    with pytest.raises(SettingsProblem, match=r"BIENVENUE_TRUSTED_PROXIES.*names networks"):
        Settings({"BIENVENUE_TRUSTED_PROXIES": text})
