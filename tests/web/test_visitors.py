"""Who counts as the visitor, over WSGI and the edge: headers of attackers change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import MakeService, Service
from tests.web.edge import ask, edge_of

STRANGER = "203.0.113.9"
PROXY = "10.0.0.1"

#: Tries a wrong password from an ip with headers, for another account each time.
Try = Callable[[str, dict[str, str]], int]

SPOOFS: list[Callable[[int], dict[str, str]]] = [
    lambda n: {"X-Forwarded-For": f"198.51.100.{n}"},
    lambda n: {"X-Real-IP": f"198.51.100.{n}"},
    lambda n: {"Forwarded": f"for=198.51.100.{n}"},
    lambda n: {"CF-Connecting-IP": f"198.51.100.{n}"},
    lambda n: {"True-Client-IP": f"198.51.100.{n}", "X-Client-IP": f"198.51.100.{n}"},
    lambda n: {"X-Forwarded-For": f"198.51.100.{n}, {PROXY}", "X-Remote-User": "root"},
]


@pytest.fixture(params=["wsgi", "edge"])
def way(request: pytest.FixtureRequest) -> str:
    """Which of the two front ways in is used."""
    return str(request.param)


def trying(service: Service, way: str) -> Try:
    """Give a function that tries, and gives the status."""
    edge = edge_of(service)
    tries = iter(range(1000))

    def attempt(ip: str, headers: dict[str, str]) -> int:
        form = f"email=p{next(tries)}@example.org&password=wrong"
        if way == "wsgi":
            return (
                service.client()
                .post(
                    "/sessions",
                    data=form,
                    content_type="application/x-www-form-urlencoded",
                    headers=headers,
                    environ_overrides={"REMOTE_ADDR": ip},
                )
                .status_code
            )
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return ask(edge, "POST", "/sessions", *raw, body=form.encode(), ip=ip).status

    return attempt


def strict(make_service: MakeService, **settings: object) -> Service:
    """Give a service where the third failure of a network is its last for now."""
    return make_service(**{"rate_limit_network": 3, "rate_limit_account": 50} | settings)


@pytest.mark.table(shown=3)
@pytest.mark.usefixtures("moving_clock")
@pytest.mark.parametrize("spoof", SPOOFS)
def test_headers_of_an_attacker_buy_no_further_guess(
    make_service: MakeService, way: str, spoof: Callable[[int], dict[str, str]]
) -> None:
    """C03: another header each time, one network all the time; a trusted proxy elsewhere or not."""
    for proxies in (None, PROXY):
        attempt = trying(strict(make_service, trusted_proxies=proxies), way)
        ip = STRANGER if proxies is None else "203.0.113.10"
        said = [attempt(ip, spoof(number)) for number in range(5)]
        assert said == [401, 401, 401, 429, 429]


@pytest.mark.usefixtures("moving_clock")
def test_behind_a_trusted_proxy_each_visitor_counts_alone(
    make_service: MakeService, way: str
) -> None:
    """A flood of one stops that one, and what a visitor adds on the left is not read."""
    attempt = trying(strict(make_service, trusted_proxies="10.0.0.0/8"), way)
    flood = [attempt(PROXY, {"X-Forwarded-For": f"6.6.6.{n}, {STRANGER}"}) for n in range(4)]
    assert flood == [401, 401, 401, 429]
    assert attempt(PROXY, {"X-Forwarded-For": "198.51.100.1"}) == 401
    assert attempt("10.9.9.9", {"X-Forwarded-For": f"{STRANGER}, {PROXY}"}) == 429


@pytest.mark.usefixtures("moving_clock")
@pytest.mark.parametrize(
    "forms",
    [
        ["1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304", "1.2.3.4"],
        ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::", "2001:0db8::1%eth0"],
    ],
)
def test_forms_of_one_ip_and_ips_of_one_network_share_a_count(
    make_service: MakeService, way: str, forms: list[str]
) -> None:
    """C05: as connections, and as what a trusted proxy says."""
    attempt = trying(strict(make_service, trusted_proxies=PROXY), way)
    assert [attempt(ip, {}) for ip in forms] == [401, 401, 401, 429]
    assert attempt(PROXY, {"X-Forwarded-For": f"{forms[1]}"}) == 429
    if "." in forms[0]:
        assert attempt(PROXY, {"X-Forwarded-For": f"{forms[0]}:4711"}) == 429


@pytest.mark.usefixtures("moving_clock")
def test_the_edge_drops_names_with_underscores(make_service: MakeService) -> None:
    """G13: behind a trusted proxy that knows only hyphens, `X_Forwarded_For` is not its."""
    attempt = trying(strict(make_service, trusted_proxies=PROXY), "edge")
    for number in range(3):
        smuggled = {"X_Forwarded_For": f"6.6.6.{number}", "X-Forwarded-For": STRANGER}
        assert attempt(PROXY, smuggled) == 401
    assert attempt(PROXY, {"X_Forwarded_For": "6.6.6.7", "X-Forwarded-For": STRANGER}) == 429
    assert attempt(PROXY, {"X_Forwarded_For": STRANGER}) == 401


@pytest.mark.usefixtures("moving_clock")
def test_several_headers_of_one_name_are_one_list(make_service: MakeService) -> None:
    """The proxy's own is the last one."""
    service = strict(make_service, trusted_proxies=PROXY)
    edge = edge_of(service)
    for number in range(4):
        answer = ask(
            edge,
            "POST",
            "/sessions",
            (b"x-forwarded-for", f"6.6.6.{number}".encode()),
            (b"x-forwarded-for", STRANGER.encode()),
            body=b"email=bob@example.com&password=wrong",
            ip=PROXY,
        )
        assert answer.status == (429 if number == 3 else 401)


def test_the_session_keeps_the_visitors_ip(make_service: MakeService, way: str) -> None:
    """What a person reads in the list of devices is where they were."""
    service = make_service(trusted_proxies=PROXY)
    browser = service.signed_in()
    headers = {"X-Forwarded-For": "6.6.6.6, ::ffff:198.51.100.1"}
    if way == "edge":
        form = b"email=bob@example.com&password=une phrase de passe bien longue"
        raw = [(b"x-forwarded-for", headers["X-Forwarded-For"].encode())]
        assert ask(edge_of(service), "POST", "/sessions", *raw, body=form, ip=PROXY).status == 200
    else:
        form_of = {"email": "bob@example.com", "password": "une phrase de passe bien longue"}
        over = {"REMOTE_ADDR": PROXY}
        service.client().post("/sessions", data=form_of, headers=headers, environ_overrides=over)
    devices = browser.get("/sessions").json
    assert devices is not None
    assert {device["ip"] for device in devices["sessions"]} == {"127.0.0.1", "198.51.100.1"}


def test_a_proxy_header_without_a_trusted_proxy_is_named_once(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator learns that something is missing; an attacker cannot fill the log."""
    for _ in range(3):
        service.client().post(
            "/sessions",
            data={"email": "bob@example.com", "password": "x"},
            headers={"X-Forwarded-For": "6.6.6.6"},
        )
        service.client().get("/sessions/new", headers={"X-Forwarded-For": "6.6.6.6"})
    assert caplog.text.count("BIENVENUE_TRUSTED_PROXIES") == 1
    assert "6.6.6.6" not in caplog.text
