"""Every setting: what is right, what is wrong, and what holds where it is absent."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from bienvenue import Auth
from bienvenue.cli import main
from bienvenue.settings import Core, Section, Settings, SettingsProblem
from tests.conftest import KEY

CANARY = "hunter2canary"
SERVER = {"smtp_host": "mail.example.org", "mail_from": "us@example.org"}
HTTPS = {"base_url": "https://login.example.org"}

#: What a message is never made of: words of a library.
FOREIGN = re.compile(r"Input should|Value error|unable to|String should|codec|pydantic|int\(\)")


class Case(NamedTuple):
    """One setting."""

    #: What it is where it is absent.
    default: Any
    #: Texts that are taken, and what they mean.
    right: dict[str, Any]
    #: Texts that are refused.
    wrong: list[str]
    #: What the refusal says.
    says: str
    #: Other settings that it needs.
    beside: Mapping[str, str] = {}


def number(default: int | None, least: int, most: int, **beside: str) -> Case:
    """A whole number."""
    return Case(
        default,
        {str(least): least, str(most): most},
        ["", "0.5", CANARY, str(least - 1), str(most + 1), "1e3", "0x10"],
        f"is a whole number from {least} to {most}",
        beside,
    )


def duration(default: int, most: str = "3650d", least: str = "1s", **beside: str) -> Case:
    """A length of time."""
    return Case(
        default,
        {"1d": 86400, " 24h ": 86400, "86400": 86400, most: None},
        ["", "0", "-1s", "1hour", "1 h", "1.5h", CANARY, f"1{most}", "9" * 30],
        f"is a length of time, as 90s, 15m, 1h or 30d: {least} to {most}",
        beside,
    )


def words(default: str, *allowed: str, **beside: str) -> Case:
    """One word of a list, in any case."""
    right = {word: word for word in allowed} | {f" {word.upper()} ": word for word in allowed}
    says = f"is {', '.join(allowed[:-1])} or {allowed[-1]}"
    return Case(default, right, ["", CANARY, f"{allowed[0]}x"], says, beside)


def path(default: Any) -> Case:
    """A path that is looked at where it is used, with a message that does not repeat it."""
    return Case(default, {"/run/x": Path("/run/x")}, [""], "is the path of a file or a folder")


URLS = [
    "",
    CANARY,
    f"ftp://{CANARY}.example.org",
    f"https://login.example.org:{CANARY}",
    f"https://bob:{CANARY}@login.example.org",
    f"https://[{CANARY}]",
    f"https://{CANARY}\u2100.example.org",
    f"https://{CANARY * 9}.example.org",
    f"https://login.example.org/{CANARY}",
    f"https://login.example.org?{CANARY}",
    f"https://login.example.org#{CANARY}",
    f"https://*.{CANARY}.example.org",
]

CASES = {
    "instance": path(Path("instance")),
    "access_tokens": words("people", "people", "services", "off"),
    "access_token_scopes": Case(
        "",
        {"": "", "read=Read your notes, notes:write": "read=Read your notes, notes:write"},
        [
            f"read=Read, {CANARY} x=y",
            "account:read",
            "read, read",
            f"read={'x' * 101}",
            ",".join(f"s{number}" for number in range(100)),
        ],
        r"(has scopes as read|has meanings of at most 100|has at most \d+ scopes)",
    ),
    "access_token_lifetime": duration(90 * 86400),
    "access_token_longest": duration(366 * 86400),
    "access_token_cap": number(50, 1, 1000),
    "cors_origins": Case(
        "",
        {"": "", "https://a.example.org, http://b.example.org:80": None},
        [f"https://ok.example.org, {url}" for url in URLS if url],
        r"(is an http or https URL, as|has no path and no user name|has a host whose name)",
    ),
    "custom_fields": Case("", {"books:Fields": "books:Fields"}, [], ""),
    "table_prefix": Case(
        "",
        {"": "", "auth_": "auth_", "a": "a", "a" * 20: "a" * 20},
        ["Auth_", "1_", "a-b", "auth.", "a" * 21, '"a"'],
        "is 1 to 20 small letters, digits and _, as auth_",
    ),
    "database_schema": Case(
        "",
        {"": "", "auth": "auth", "_a1": "_a1"},
        ["Auth", "pg_auth", "a;b", "a" * 64, "a.b"],
        "is the name of a schema in small letters, digits and _, as auth",
        {"database_url": "postgresql://localhost/x"},
    ),
    "database_url": Case(
        None,
        {"postgresql://u:p%40s@db/x": SecretStr("postgresql://u:p%40s@db/x")},
        [
            "",
            CANARY,
            f"mysql://bob:{CANARY}@db/x",
            f"{CANARY}://db/x",
            f"postgresql://bob:pa@{CANARY}@db/x",
            f"postgresql://bob@db:{CANARY}/x",
            f"postgresql://bob@[{CANARY}/x",
            f"sqlite://{CANARY}",
            f"sqlite://{CANARY}/x",
        ],
        "is sqlite:///path or postgresql://user:password@host/name; in a password @ is written",
    ),
    "secret_key_file": path(None),
    "base_url": Case(
        None,
        {"https://Login.example.org/": "https://login.example.org", "http://[::1]:80": None},
        URLS,
        r"(is an http or https URL, as|has no path and no user name|has a host whose name)",
    ),
    "mount": Case(
        "",
        {"": "", "/auth": "/auth", "/a/b-1": "/a/b-1"},
        [
            CANARY,
            "/",
            f"/{CANARY}/",
            "auth",
            "//evil.example",
            "/~mallory",
            "/../x",
            f"/a b{CANARY}",
        ],
        "is a path as /auth, without a slash at its end",
    ),
    "host": Case(
        "127.0.0.1",
        {"0.0.0.0": "0.0.0.0", "::1": "::1"},
        ["", CANARY, "localhost", f"http://{CANARY}", "10.0.0.0/8", "127.0.0.1:80", "[::1]"],
        r"is an IP, as 127\.0\.0\.1",
    ),
    "port": number(5000, 1, 65535),
    "unix_socket": path(None),
    "tls_certificate_file": path(None),
    "tls_key_file": path(None),
    "workers": number(1, 1, 64),
    "threads": number(4, 1, 256),
    "trusted_proxies": Case(
        "",
        {"": "", "unix, 10.0.0.0/8": "unix, 10.0.0.0/8"},
        [CANARY, "10.0.0.1/8", f"10.0.0.1, {CANARY}"],
        "names networks separated by commas",
    ),
    "log_format": words("text", "text", "json"),
    "log_level": words("info", "debug", "info", "warning", "error"),
    "return_origins": Case(
        "",
        {"": "", "https://a.example.org/, http://b.example.org:80": None},
        [f"https://ok.example.org, {url}" for url in URLS if url],
        r"(is an http or https URL, as|has no path and no user name|has a host whose name)",
    ),
    **{
        f"after_{step}": Case(
            None,
            {"/shelf": "/shelf", "/a/?b=c": "/a/?b=c"},
            [f"/{CANARY}//", f"https://{CANARY}.example.org", CANARY],
            "is a path as /shelf, or a URL of an origin in BIENVENUE_RETURN_ORIGINS",
        )
        for step in ("sign_in", "sign_out")
    },
    "cookie_domain": Case(
        None,
        {"example.org": "example.org", ".Example.org": "example.org", "login.example.org": None},
        ["", "org", "other.org", "ample.org", f"{CANARY}.login.example.org", "example.org; Secure"],
        r"is the host of BIENVENUE_BASE_URL or a domain above it, as example\.org for",
        HTTPS,
    ),
    "language": Case("en", {"fr": "fr"}, ["", CANARY, "FR"], "is one of en, fr"),
    "templates": Case(
        None,
        {".": Path()},
        [f"/{CANARY}", "bad.html", ""],
        "(is a folder, and there is none|is the path of a file or a folder)",
    ),
    "service_name": Case(
        "Bienvenue",
        {"Gare du Nord": "Gare du Nord"},
        ["", " ", CANARY * 9, f"x\r\nBcc: {CANARY}", f"x\x1b[{CANARY}"],
        "has 1 to 64 (printable )?characters",
    ),
    "accent": Case("#3d63dd", {"#AA0000": "#aa0000"}, ["", CANARY, "#fff", "#ffffff"], "is "),
    "logo": Case(
        None,
        {},
        [f"/{CANARY}", "", "bad.html"],
        "is (a file that cannot be read|the path|a picture)",
    ),
    "support_email": Case(
        None,
        {"help@example.org": "help@example.org"},
        ["", CANARY, f"{CANARY}@", f"a b@{CANARY}", f"a@b@{CANARY}"],
        "is an email address",
    ),
    "support_url": Case(
        None,
        {"https://example.org/help": "https://example.org/help"},
        ["", CANARY, f"javascript:{CANARY}", f"https://[{CANARY}"],
        "is a URL of http or https",
    ),
    "footer": Case(
        "",
        {"": "", "Terms=https://example.org/t": "Terms=https://example.org/t"},
        [CANARY, f"Terms={CANARY}", f"Terms=https://[{CANARY}"],
        "is a list as Privacy=",
    ),
    "password_min_length": number(15, 8, 64),
    "bcrypt_cost": number(12, 4, 16),
    "hash_threads": number(None, 1, 64),
    "hash_queue": number(4, 1, 1000),
    "session_lifetime": duration(30 * 86400),
    "session_idle": duration(14 * 86400),
    "session_browser_lifetime": duration(86400),
    "remember": words("asked", "asked", "always"),
    "session_cap": number(100, 1, 10000),
    "session_fresh": duration(900),
    "private_emails": words("refused", "refused", "allowed"),
    "registration": words("open", "open", "invited", "closed"),
    "invitation_lifetime": duration(7 * 86400, "90d"),
    "verification_lifetime": duration(86400, "7d"),
    "rate_limit_account": number(10, 1, 1000),
    "rate_limit_network": number(100, 1, 100_000),
    "password_reset_lifetime": duration(3600, "1d"),
    "notification_email_lifetime": duration(86400, "7d"),
    "closure_grace": duration(14 * 86400, "90d", "1d"),
    "email_change_lifetime": duration(86400, "7d"),
    "email_restore_lifetime": duration(7 * 86400, "30d"),
    "smtp_host": Case(
        None,
        {"mail.example.org": "mail.example.org", "2001:db8::7": "2001:db8::7"},
        ["", f"{CANARY}/", f"smtp://{CANARY}", f"mail {CANARY}"],
        "is the name or IP of a mail server, as",
        {"mail_from": "us@example.org"},
    ),
    "smtp_port": number(None, 1, 65535, **SERVER),
    "smtp_security": words("starttls", "starttls", "tls", "none", **SERVER),
    "smtp_user": Case(
        None,
        {"bob": "bob"},
        [""],
        "has at least 1 character",
        SERVER | {"smtp_password": CANARY},
    ),
    "smtp_password": Case(
        None,
        {CANARY: SecretStr(CANARY)},
        [""],
        "has at least 1 character",
        SERVER | {"smtp_user": "bob"},
    ),
    "smtp_ca_file": Case(
        None, {}, [f"/{CANARY}", "bad.html", ""], "is (a file of certificates|the path)", SERVER
    ),
    "smtp_timeout": duration(15, **SERVER),
    "mail_from": Case(
        None,
        {"Gare <us@example.org>": "Gare <us@example.org>"},
        ["", CANARY, f"{CANARY} <a@b.org>, c@d.org"],
        "is one email, as",
    ),
    "mail_reply_to": Case(
        None, {"help@example.org": "help@example.org"}, [CANARY, f"a@b.org, {CANARY}"], "is "
    ),
    "emails_network": number(60, 1, 100_000),
    "emails_service": number(3000, 1, 1_000_000),
    "former_system": Case(
        None,
        {"shelf.people:check": None},
        ["", CANARY, f"{CANARY}.people", f"{CANARY}:", f"a b:{CANARY}"],
        "is the name of a function that can be imported, as shelf.people:check",
    ),
    "former_system_until": Case(
        None,
        {"2027-01-31": None, " 2027-01-31 ": "2027-01-31"},
        ["", CANARY, "2027-02-30", "31.1.2027", "1800000000", "2027-01-31T00:00:00Z"],
        "is a day, as 2027-01-31",
    ),
    "former_system_time": Case(
        1,
        {"1": 1, " 2s ": 2, "10s": 10},
        ["", "0", "0s", "11s", "1m", "1.5s", CANARY],
        "is a length of time, as 90s, 15m, 1h or 30d: 1s to 10s",
    ),
    "former_system_at_once": number(4, 1, 100),
    "former_system_rate": number(60, 1, 10_000),
    "flask_security_password_salt": Case(None, {CANARY: SecretStr(CANARY)}, [], ""),
    "extra_features": Case("", {"": "", "shop:Basket": "shop:Basket"}, [], ""),
    "audit_personal": duration(365 * 86400),
}


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, type[Section]]:
    """The section of every setting of the service."""
    auth = Auth(settings=Settings({}, instance=tmp_path_factory.mktemp("instance")))
    found: list[type[Section]] = [Core, *(type(feature.settings) for feature in auth.features)]
    return {name: section for section in found for name in section.model_fields}


def variables(values: Mapping[str, str]) -> dict[str, str]:
    """Name settings as the environment does."""
    return {f"BIENVENUE_{name.upper()}": value for name, value in values.items()}


def test_every_setting_is_in_the_table(sections: dict[str, type[Section]]) -> None:
    """And nothing else is."""
    assert sorted(sections) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_setting_right_wrong_and_absent(
    sections: dict[str, type[Section]], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value is named in our words, with what is right, and never repeated."""
    case, section = CASES[name], sections[name]
    (tmp_path / "bad.html").write_text("{% if %}")
    monkeypatch.chdir(tmp_path)

    def read(values: Mapping[str, str]) -> Any:
        return getattr(Settings(variables(values)).of(section), name)

    assert read({n: v for n, v in case.beside.items() if n.startswith("mail")}) == case.default
    for text, value in case.right.items():
        found = read({**case.beside, name: text})
        assert value is None or found == value, text
    for text in case.wrong:
        with pytest.raises(SettingsProblem) as problem:
            read({**case.beside, name: text})
        said = str(problem.value)
        assert re.match(rf"BIENVENUE_{name.upper()}: {case.says}", said), (text, said)
        assert CANARY not in said, text
        assert not FOREIGN.search(said), said
        assert "; BIENVENUE_" not in said, said


def test_a_template_with_a_mistake_is_named(tmp_path: Path) -> None:
    """With its line and the reason, before any visitor meets it; a good folder is taken."""
    folder = tmp_path / "bienvenue" / "mail"
    folder.mkdir(parents=True)
    (folder / "test.txt").write_text("Subject\n{{ link }}\n")
    assert Settings({}, templates=tmp_path).core.templates == tmp_path
    (folder / "test.txt").write_text("Subject\n\n{% iff link %}\n")
    with pytest.raises(SettingsProblem) as problem:
        Settings({}, templates=tmp_path)
    assert str(problem.value) == (
        "BIENVENUE_TEMPLATES: has a template with a mistake: bienvenue/mail/test.txt, line 3: "
        "Encountered unknown tag 'iff'."
    )
    (folder / "test.txt").write_bytes(b"\xff")
    with pytest.raises(SettingsProblem, match=r"read as UTF-8: bienvenue/mail/test\.txt"):
        Settings({}, templates=tmp_path)


def test_a_parameter_of_the_database_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped one is found before anything connects; without the driver, nothing is said."""
    url = f"postgresql://bob@db/x?sslmode=require&prepare_threshold=0&pasword={CANARY}"
    with pytest.raises(SettingsProblem) as problem:
        Settings({}, database_url=url)
    said = "BIENVENUE_DATABASE_URL: has a parameter that PostgreSQL does not know"
    assert str(problem.value) == said
    right = url.replace("pasword", "password")
    assert Settings({}, database_url=right).database_url == right
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert Settings({}, database_url=url).database_url == url


def test_a_cookie_domain_needs_a_base_url() -> None:
    """No browser keeps a cookie of example.org at localhost, nor one with a domain at an IP."""
    for url in (None, "http://127.0.0.1:5000", "http://[::1]"):
        with pytest.raises(SettingsProblem, match="COOKIE_DOMAIN: is the host of BIENVENUE_BASE"):
            Settings({}, base_url=url, cookie_domain="127.0.0.1" if url else "example.org")
    with pytest.raises(SettingsProblem, match=r"^BIENVENUE_BASE_URL: [^;]*$"):
        Settings({}, base_url="x", cookie_domain="example.org")


def kubernetes(service: str, *ports: int, host: str = "10.43.12.7") -> dict[str, str]:
    """The variables of a service, as Kubernetes documents them."""
    given = {f"{service}_SERVICE_HOST": host, f"{service}_SERVICE_PORT": str(ports[0])}
    at = f"[{host}]" if ":" in host else host
    given[f"{service}_PORT"] = f"tcp://{at}:{ports[0]}"
    for port in ports:
        given[f"{service}_SERVICE_PORT_WEB_{port}"] = str(port)
        for kind in ("tcp", "udp", "sctp"):
            one = f"{service}_PORT_{port}_{kind.upper()}"
            given |= {one: f"{kind}://{at}:{port}", f"{one}_PROTO": kind}
            given |= {f"{one}_PORT": str(port), f"{one}_ADDR": host}
    return given


@pytest.mark.parametrize("service", ["BIENVENUE", "BIENVENUE_SMTP", "BIENVENUE_DB"])
@pytest.mark.parametrize("host", ["10.43.12.7", "fd00::7"])
def test_variables_of_a_platform_are_no_settings(service: str, host: str, tmp_path: Path) -> None:
    """A service of our name, or beginning with it; a port that is set by hand counts."""
    environ = kubernetes(service, 5000, 8443, host=host) | {"BIENVENUE_INSTANCE": str(tmp_path)}
    auth = Auth(settings=Settings(environ))
    assert (auth.settings.core.port, auth.mail.settings.smtp_port) == (5000, None)
    by_hand = environ | {"BIENVENUE_PORT": "6000"}
    assert Auth(settings=Settings(by_hand)).settings.core.port == 6000


def test_variables_of_a_linked_container_are_no_settings(tmp_path: Path) -> None:
    """Docker repeats all variables of the other container."""
    environ = kubernetes("BIENVENUE", 5000)
    environ |= {"BIENVENUE_NAME": "/web/bienvenue", "BIENVENUE_ENV_LANG": "C.UTF-8"}
    Auth(settings=Settings(environ, instance=tmp_path))
    with pytest.raises(SettingsProblem, match="BIENVENUE_ENV_LANG is no setting"):
        Auth(settings=Settings({"BIENVENUE_ENV_LANG": "C.UTF-8"}, instance=tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BIENVENUE_SERVICE_HOST", "login.example.org"),
        ("BIENVENUE_SERVICE_PORT", "https"),
        ("BIENVENUE_PORT_5000_TCP", "5000"),
        ("BIENVENUE_PORT_TCP", "tcp://10.0.0.1:5000"),
        ("BIENVENUE_NAME", "Gare du Nord"),
    ],
)
def test_a_mistyped_name_is_not_taken_for_a_platforms(
    name: str, value: str, tmp_path: Path
) -> None:
    """Name and value both have to be of the platform's form."""
    with pytest.raises(SettingsProblem, match=f"{name} is no setting"):
        Auth(settings=Settings({name: value}, instance=tmp_path))


@pytest.mark.parametrize(
    "content",
    [f"x = '{CANARY}", f"x = {CANARY}", f"{CANARY}", f"[{CANARY}]\n[{CANARY}]", "x = \x01"],
)
def test_no_piece_of_a_file_is_repeated(tmp_path: Path, content: str) -> None:
    """Only where the mistake is, as a file of secrets may be named instead."""
    (file := tmp_path / f"{CANARY}.toml").write_text(content)
    with pytest.raises(SettingsProblem) as problem:
        Settings({"BIENVENUE_CONFIG": str(file)})
    assert re.fullmatch(
        r"the file that BIENVENUE_CONFIG names is not TOML: (line \d+, column \d+|end of document)",
        str(problem.value),
    )


COMMANDS = [
    ["settings"],
    ["check"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "retire", "0" * 12],
    ["users", "list"],
    ["audit", "verify"],
    ["db", "upgrade"],
    ["serve", "--port", "1"],
    ["outbox", "list"],
]


@pytest.mark.table
@pytest.mark.parametrize(
    "name", ["SECRET_KEY_FILE", "TLS_KEY_FILE", "TLS_CERTIFICATE_FILE", "SMTP_CA_FILE", "CONFIG"]
)
def test_a_key_in_the_place_of_its_path_is_printed_by_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Neither on the terminal nor in the log."""
    monkeypatch.chdir(tmp_path)
    for key, value in variables(SERVER).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("BIENVENUE_UNIX_SOCKET", str(tmp_path / "none" / "socket"))
    monkeypatch.setenv(f"BIENVENUE_{name}", KEY)
    for command in COMMANDS:
        done = CliRunner().invoke(main, command)
        assert done.exception is None or isinstance(done.exception, SystemExit), command
        assert KEY[:8] not in done.output + caplog.text, command
