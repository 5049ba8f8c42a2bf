"""The settings: `BIENVENUE_*` variables, `*_FILE` secrets and an optional TOML file.

A setting named `session_idle` is read, in this order, from the arguments of `Settings`, from
`BIENVENUE_SESSION_IDLE`, from the file named by `BIENVENUE_SESSION_IDLE_FILE`, and from the key
`session_idle` of the TOML file named by `BIENVENUE_CONFIG`. Each feature declares its own section.
A name that no section declares is refused at start, because a mistyped setting has no effect. A
message about a wrong value says which values are right. It never contains the value, nor a path
that leads nowhere: any of them may be a secret in the wrong place.
"""

import difflib
import functools
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from bienvenue import i18n, logo, site_path
from bienvenue.accent import usable_accent
from bienvenue.client_ip import TrustedProxies, address_of
from bienvenue.environment import settings_in
from bienvenue.footer import usable_footer, usable_url

PREFIX = "BIENVENUE_"
_NO_PATH = "is the path of a file or a folder"
_NO_ORIGIN = "is an http or https URL, as https://login.example.org"
_NO_DATABASE = (
    "is sqlite:///path or postgresql://user:password@host/name; in a password @ is written as %40"
)
_NO_TARGET = f"is a path as /shelf, or a URL of an origin in {PREFIX}RETURN_ORIGINS"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class SettingsProblem(Exception):
    """A setting is unknown or invalid; the message names the variable and never its value."""


def _seconds(value: object) -> object:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,9})([smhd])", value.strip())):
        return int(found[1]) * _UNITS[found[2]]
    return value


def seconds(value: str) -> int | None:
    """Return a length of time that is written as a number with a unit, or None."""
    found = _seconds(value)
    return found if isinstance(found, int) else None


def _origin(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, given_port = parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode()
    except ValueError:
        # These messages repeat what they reject.
        raise ValueError(_NO_ORIGIN) from None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ValueError(_NO_ORIGIN)
    if parts.path not in {"", "/"} or parts.username is not None:
        raise ValueError("has no path and no user name, as https://login.example.org")
    # Headers contain it, where a star would be a pattern and a semicolon a separator.
    if ":" not in host and not re.fullmatch(r"[a-z0-9._-]+", host):
        raise ValueError("has a host whose name is of letters, digits, hyphens and dots")
    # A browser leaves the default port out of an origin (RFC 6454 section 6.1).
    default_port = {"http": 80, "https": 443}[parts.scheme]
    port = "" if given_port in {None, default_port} else f":{given_port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _origins(value: str) -> str:
    return ",".join(_origin(one.strip()) for one in value.split(",") if one.strip())


def _spoken(value: str) -> str:
    if value not in i18n.all_languages():
        raise ValueError(f"is one of {', '.join(i18n.all_languages())}")
    return value


def _email(value: str) -> str:
    name, at, host = value.partition("@")
    if not (name and at and host) or re.search(r"[\s<>,;?&%\"]", value) or "@" in host:
        raise ValueError("is an email address, as support@example.org")
    return value


def _trusted(value: str) -> str:
    return str(TrustedProxies(value))


def _database(value: SecretStr) -> SecretStr:
    from sqlalchemy.engine import make_url  # noqa: PLC0415 (loads slowly)
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 (as above)

    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError(_NO_DATABASE) from None
    kind = url.drivername.partition("+")[0]
    # The part of a password behind an @ would be the host, and errors name the host.
    host = url.host or ""
    wrong = not re.fullmatch(r"[A-Za-z0-9._,:%/-]*", host) or (kind == "sqlite" and host)
    if wrong or kind not in {"sqlite", "postgresql", "postgres"}:
        raise ValueError(_NO_DATABASE)
    if kind != "sqlite":
        _require_options(url.query.keys())
    return value


def _require_options(names: Iterable[str]) -> None:
    """Raise ValueError for a parameter of a URL that the driver of PostgreSQL does not know."""
    try:
        from psycopg import ProgrammingError, conninfo  # noqa: PLC0415 (an extra)
    except ImportError:
        # Opening the database says how to install it.
        return
    # An option of the driver itself, which libpq does not have.
    known = dict.fromkeys(set(names) - {"prepare_threshold"}, "1")
    try:
        conninfo.make_conninfo("", **known)
    except ProgrammingError:
        raise ValueError("has a parameter that PostgreSQL does not know") from None


def _usable_prefix(value: str) -> str:
    """Accept the beginning of names that need no quotes; PostgreSQL cuts names at 63 characters."""
    if value and not re.fullmatch(r"[a-z][a-z0-9_]{0,19}", value):
        raise ValueError("is 1 to 20 small letters, digits and _, as auth_")
    return value


def _usable_schema(value: str) -> str:
    """Accept the name of a schema that needs no quotes, and none of PostgreSQL itself."""
    if value and not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", value):
        raise ValueError("is the name of a schema in small letters, digits and _, as auth")
    return value


def usable_mount(value: str) -> str:
    """Accept a path of plain segments, with no slash at its end (RFC 3986 section 3.3)."""
    if not re.fullmatch(r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]*)*", value):
        raise ValueError("is a path as /auth, without a slash at its end")
    return value


def _target(value: str) -> str:
    """Accept a path of the application, or a URL of the origins that are listed."""
    if not (site_path.is_plain(value) or re.match(r"https?://", value)):
        raise ValueError(_NO_TARGET)
    return value


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        # The server takes no name, not even localhost.
        raise ValueError("is an IP, as 127.0.0.1 or ::1") from None


def _name(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("has 1 to 64 printable characters")
    return value


def _logo(value: Path) -> Path:
    try:
        logo.read(value)
    except OSError as error:
        raise ValueError(f"is a file that cannot be read: {error.strerror}") from None
    return value


def _templates(value: Path) -> Path:
    from jinja2 import Environment, TemplateSyntaxError  # noqa: PLC0415 (loads slowly)

    if not value.is_dir():
        raise ValueError("is a folder, and there is none of this name")
    parser = Environment(autoescape=True)
    for file in sorted(each for each in (value / "bienvenue").rglob("*") if each.is_file()):
        name = file.relative_to(value)
        try:
            parser.parse(file.read_text("utf-8"))
        except TemplateSyntaxError as error:
            raise ValueError(
                f"has a template with a mistake: {name}, line {error.lineno}: {error.message}"
            ) from None
        except (OSError, ValueError):
            raise ValueError(f"has a template that cannot be read as UTF-8: {name}") from None
    return value


#: A length of time in seconds; text may have a unit: 90s, 15m, 1h, 30d.
Seconds = Annotated[int, BeforeValidator(_seconds), Field(gt=0, le=10 * 365 * 86400)]


class Section(BaseModel):
    """A group of settings; every feature may declare one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: object, info: ValidationInfo) -> object:
        """Let a word of a list be in capitals, as in LOG_LEVEL=INFO; refuse an empty path.

        It would be the current folder.
        """
        field = cls.model_fields[str(info.field_name)]
        if value == "" and Path in _kinds(field):
            raise ValueError(_NO_PATH)
        return value.strip().lower() if isinstance(value, str) and _words(field) else value


class Core(Section):
    """The settings that belong to no feature."""

    instance: Path = Field(Path("instance"), description="The folder of the database and the keys.")
    database_url: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
        None,
        description="Where accounts live: sqlite:///path or postgresql://user@host/name. "
        "By default bienvenue.db in the instance folder.",
    )
    table_prefix: Annotated[str, AfterValidator(_usable_prefix)] = Field(
        "",
        description="What the names of our tables begin with, as auth_, in a database that another "
        "program uses too. By default nothing.",
    )
    database_schema: Annotated[str, AfterValidator(_usable_schema)] = Field(
        "",
        description="The schema of PostgreSQL that has our tables. By default the one that a "
        "connection finds, which is public.",
    )
    secret_key_file: Path | None = Field(
        None,
        description="The key file shared by all nodes; required on PostgreSQL. By default a file "
        "named keys in the instance folder, made on the first start.",
    )
    base_url: Annotated[str, AfterValidator(_origin)] | None = Field(
        None,
        description="The URL people see, without a path. By default http://localhost:<port>, and "
        "https with a certificate.",
    )
    mount: Annotated[str, AfterValidator(usable_mount)] = Field(
        "",
        description="The path below the base URL under which a server mounts the service "
        "(SCRIPT_NAME), as /auth, for the links in emails. By default none.",
    )
    host: Annotated[str, AfterValidator(_host)] = Field(
        "127.0.0.1", description="The ip that `bienvenue serve` listens on."
    )
    port: int = Field(5000, ge=1, le=65535, description="The port of `bienvenue serve`.")
    unix_socket: Path | None = Field(
        None,
        description="The path of a unix socket that `bienvenue serve` listens on, instead of ip "
        "and port, for a proxy on this machine.",
    )
    tls_certificate_file: Path | None = Field(
        None,
        description="The certificate, with those that lead to its authority, as PEM: with it and "
        "its key `bienvenue serve` speaks TLS by itself.",
    )
    tls_key_file: Path | None = Field(None, description="The key of that certificate, as PEM.")
    workers: int = Field(1, ge=1, le=64, description="The processes of `bienvenue serve`.")
    threads: int = Field(4, ge=1, le=256, description="The threads of each of them.")
    trusted_proxies: Annotated[str, AfterValidator(_trusted)] = Field(
        "",
        description="The networks of the proxies in front, separated by commas, whose "
        "X-Forwarded-For and X-Request-Id are believed; `unix` for a unix socket. By default none.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How `bienvenue serve` writes its log: text or json, a record a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What it writes at least: debug, info, warning or error."
    )
    return_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "",
        description="Where `next` may lead besides paths of this site, as "
        "https://app.example.org, separated by commas. By default nowhere.",
    )
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "",
        description="The other sites whose scripts may use the API with an access token, as "
        "https://app.example.org, separated by commas. By default none.",
    )
    after_sign_in: Annotated[str, AfterValidator(_target)] | None = Field(
        None,
        description="Where a browser goes after signing in if it wanted no page: a path of the "
        "application, as /shelf, or a URL of BIENVENUE_RETURN_ORIGINS. By default the profile.",
    )
    after_sign_out: Annotated[str, AfterValidator(_target)] | None = Field(
        None,
        description="Where a browser goes after signing out: a path or a URL in the same way. By "
        "default the start page of the service.",
    )
    cookie_domain: str | None = Field(
        None,
        description="Share the session cookie with the hosts under this domain. Off by default: "
        "every one of those hosts can then read it and set it.",
    )
    language: Annotated[str, AfterValidator(_spoken)] = Field(
        i18n.SOURCE,
        description="The language of pages and emails when the user chose none and the browser "
        "asks for none of those available: a code, as en or fr.",
    )
    extra_features: str = Field(
        "",
        description="Features of your own, as module:Class, separated by commas, for the command "
        "line and `bienvenue serve`. By default none.",
    )
    custom_fields: str = Field(
        "",
        description="The pydantic model of what you ask your users for, as module:Class. By "
        "default nothing but email and password.",
    )
    templates: Annotated[Path, AfterValidator(_templates)] | None = Field(
        None,
        description="A folder whose files come before the templates of the same path, as "
        "bienvenue/mail/test.txt.",
    )
    service_name: Annotated[str, AfterValidator(_name)] = Field(
        "Bienvenue",
        min_length=1,
        max_length=64,
        description="What pages call the service; also a word no password may be made of.",
    )
    accent: Annotated[str, AfterValidator(usable_accent)] = Field(
        "#3d63dd", description="The colour of buttons and links, as #rrggbb."
    )
    logo: Annotated[Path, AfterValidator(_logo)] | None = Field(
        None,
        description="A picture that stands for the service on its pages, SVG or PNG, of at most "
        "256 KiB.",
    )
    support_email: Annotated[str, AfterValidator(_email)] | None = Field(
        None, description="The email address of your support, which pages and emails name."
    )
    support_url: Annotated[str, AfterValidator(usable_url)] | None = Field(
        None, description="The page of your support, which pages and emails name instead."
    )
    footer: Annotated[str, AfterValidator(usable_footer)] = Field(
        "",
        description="Links at the foot of every page, as Privacy=https://example.org/privacy, "
        "Terms=https://example.org/terms.",
    )

    @field_validator("cookie_domain")
    @classmethod
    def _above_the_base_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Accept the host of the base URL or a domain above it (RFC 6265 section 5.3)."""
        if value is None or "base_url" not in info.data:
            return value
        host = str(urlsplit(info.data["base_url"] or "http://localhost").hostname)
        # Browsers ignore one leading dot.
        domain = value.lower().removeprefix(".")
        if "." not in domain or address_of(host) or not f".{host}".endswith(f".{domain}"):
            raise ValueError(
                f"is the host of {PREFIX}BASE_URL or a domain above it, as example.org for "
                "https://login.example.org: browsers drop any other cookie"
            )
        return domain

    @field_validator("after_sign_in", "after_sign_out")
    @classmethod
    def _listed(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Accept a URL only below an origin of `return_origins`, which pages let forms lead to."""
        if value is None or value.startswith("/"):
            return value
        for origin in filter(None, info.data.get("return_origins", "").split(",")):
            if value.startswith(origin) and site_path.REST.fullmatch(value.removeprefix(origin)):
                return value
        raise ValueError(_NO_TARGET)

    @property
    def support(self) -> str | None:
        """Where users find support, as text: the URL, or else the email address."""
        return self.support_url or self.support_email

    @property
    def support_link(self) -> str | None:
        """Where users find support, as the target of a link."""
        return self.support_url or (self.support_email and f"mailto:{self.support_email}")


S = TypeVar("S", bound=Section)


class Settings:
    """All settings of a service, read section by section."""

    def __init__(self, environ: Mapping[str, str] | None = None, **given: object) -> None:
        """Read the variables of `environ`, by default os.environ; `given` has precedence.

        Raises SettingsProblem when the TOML file or a `*_FILE` cannot be read, or when a setting
        of Core is invalid.
        """
        environ = os.environ if environ is None else environ
        config = environ.get(PREFIX + "CONFIG")
        variables = settings_in(environ, PREFIX)
        variables.pop("config", None)
        #: The sources of settings, the one with the highest precedence first.
        self._places: list[dict[str, Any]] = [
            {name: value for name, value in given.items() if value is not None},
            variables,
            {} if config is None else _toml(Path(config)),
        ]
        self._known: set[str] = set()
        self.core = self.of(Core)

    def of(self, section: type[S]) -> S:
        """Read one section. Raises SettingsProblem that names each invalid variable."""
        names = section.model_fields
        self._known.update(names)
        # A file may contain a value, unless the name of the file is itself a setting.
        files = {f"{name}_file" for name in names} - names.keys()
        self._known.update(files)
        found: dict[str, Any] = {}
        for place in reversed(self._places):
            found |= {
                name: _text(Path(str(place[name + "_file"])), PREFIX + f"{name}_file".upper())
                for name in names
                if name + "_file" in files & place.keys()
            }
            found |= {name: place[name] for name in names if name in place}
        try:
            return section.model_validate(found)
        except ValidationError as error:
            wrong = {str(*each["loc"][:1]): each for each in error.errors(include_url=False)}
            raise SettingsProblem(
                "; ".join(
                    f"{PREFIX}{name.upper()}: {_form(section.model_fields[name], each)}"
                    for name, each in wrong.items()
                )
            ) from None

    def refuse_unknown(self) -> None:
        """Raise SettingsProblem for names that no section declares, with the nearest known one."""
        unknown = sorted({name for place in self._places for name in place} - self._known)
        if unknown:
            raise SettingsProblem("; ".join(_unknown(name, self._known) for name in unknown))

    @functools.cached_property
    def base_url(self) -> str:
        """The public URL of the service, without a path and a final slash."""
        scheme = "https" if self.tls else "http"
        return self.core.base_url or f"{scheme}://localhost:{self.core.port}"

    @property
    def tls(self) -> bool:
        """Whether `bienvenue serve` uses TLS itself."""
        return self.core.tls_certificate_file is not None

    @functools.cached_property
    def https(self) -> bool:
        """Whether users reach the service over TLS."""
        return self.base_url.startswith("https:")

    @functools.cached_property
    def return_origins(self) -> tuple[str, ...]:
        """The other origins that a request may return to, as a browser writes them."""
        return tuple(filter(None, self.core.return_origins.split(",")))

    @functools.cached_property
    def cors_origins(self) -> tuple[str, ...]:
        """The other origins whose scripts may use the API, as a browser writes them."""
        return tuple(filter(None, self.core.cors_origins.split(",")))

    def after(self, step: Literal["sign_in", "sign_out"]) -> str | None:
        """Return where a browser goes after a step: a path of the site, a URL, or None."""
        target = self.core.after_sign_in if step == "sign_in" else self.core.after_sign_out
        own = target is not None and target.startswith("/")
        return f"{self.core.mount}{target}" if own else target

    @functools.cached_property
    def trusted(self) -> TrustedProxies:
        """The proxies whose headers are believed."""
        return TrustedProxies(self.core.trusted_proxies)

    @property
    def database_url(self) -> str:
        """The URL of the database, for SQLAlchemy. It may contain a password."""
        if self.core.database_url is not None:
            return self.core.database_url.get_secret_value()
        return f"sqlite:///{self.core.instance / 'bienvenue.db'}"

    @functools.cached_property
    def on_postgresql(self) -> bool:
        """Whether the database is PostgreSQL, which several nodes may share."""
        return self.database_url.startswith("postgres")

    @property
    def key_file(self) -> Path:
        """The path of the key file, shared or of this instance."""
        return self.core.secret_key_file or self.core.instance / "keys"


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
    return f"{PREFIX}{name.upper()} is no setting{hint}"


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        # The message doesn't repeat the path: a secret may have been set in its place.
        raise SettingsProblem(f"cannot read the file that {name} names: {error.strerror}") from None
    except ValueError:
        raise SettingsProblem(f"the file that {name} names is not UTF-8") from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path, PREFIX + "CONFIG"))
    except tomllib.TOMLDecodeError as error:
        # The rest of the message may repeat a piece of the file.
        place = re.search(r"line \d+, column \d+|end of document", str(error))
        raise SettingsProblem(
            f"the file that {PREFIX}CONFIG names is not TOML: {place[0] if place else 'somewhere'}"
        ) from None


def _words(field: FieldInfo) -> tuple[str, ...]:
    """Return the words that a setting can be, or none when it is no list of words."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _form(field: FieldInfo, problem: Mapping[str, Any]) -> str:
    """Say which values a setting can have, in words of our own: a value may be a secret."""
    reason = problem.get("ctx", {}).get("error")
    if type(reason) is ValueError:
        return str(reason)
    if words := _words(field):
        return f"is {', '.join(words[:-1])} or {words[-1]}"
    return _NO_PATH if Path in _kinds(field) else _bounds(field)


def _kinds(field: FieldInfo) -> set[Any]:
    """Return the types of a setting: of `Annotated[Path, …] | None`, Path among others."""
    kinds = {field.annotation, *get_args(field.annotation)}
    return kinds | {part for kind in kinds for part in get_args(kind)}


def _bounds(field: FieldInfo) -> str:
    bounds: dict[str, int] = {}
    for each in field.metadata:
        for name in ("ge", "le", "min_length", "max_length"):
            value = getattr(each, name, None)
            if value is not None:
                # A setting may narrow the bounds of its type.
                narrower = min if name.startswith(("le", "max")) else max
                bounds[name] = narrower(value, bounds.get(name, value))
    if any(getattr(each, "func", None) is _seconds for each in field.metadata):
        least = bounds.get("ge", 1)
        return (
            f"is a length of time, as 90s, 15m, 1h or 30d: {_time(least)} to {_time(bounds['le'])}"
        )
    if int in _kinds(field):
        return f"is a whole number from {bounds['ge']} to {bounds['le']}"
    if "max_length" in bounds:
        return f"has {bounds['min_length']} to {bounds['max_length']} characters"
    return "has at least 1 character" if "min_length" in bounds else "is text"


def _time(seconds: int) -> str:
    unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
