"""settings: where they are read, in which order, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bienvenue import Auth
from bienvenue.features.passwords import PasswordSettings
from bienvenue.features.sessions.models import SessionSettings
from bienvenue.settings import Core, Section, Settings, SettingsProblem
from tests.conftest import MakeService

CANARY = "canary-6f1c"


def test_the_nearest_source_wins(tmp_path: Path) -> None:
    """Given by the program, then the variable, then its file, then TOML, then the default."""
    toml, file = tmp_path / "bienvenue.toml", tmp_path / "name"
    toml.write_text('service_name = "of TOML"\nport = 6000\n')
    file.write_text("of a file\n")
    environ: dict[str, str] = {}
    assert Settings(environ).core.service_name == "Bienvenue"
    environ["BIENVENUE_CONFIG"] = str(toml)
    assert Settings(environ).core.service_name == "of TOML"
    assert Settings(environ).core.port == 6000
    del environ["BIENVENUE_CONFIG"]
    environ["BIENVENUE_SERVICE_NAME_FILE"] = str(file)
    assert Settings(environ).core.service_name == "of a file"
    environ["BIENVENUE_SERVICE_NAME"] = "of a variable"
    assert Settings(environ).core.service_name == "of a variable"
    assert Settings(environ, service_name="given").core.service_name == "given"
    assert Settings(environ, service_name=None).core.service_name == "of a variable"


def test_toml_may_name_a_file_too(tmp_path: Path) -> None:
    """So a secret need not stand in the configuration."""
    toml, file = tmp_path / "bienvenue.toml", tmp_path / "url"
    file.write_text("postgresql://u:secret@db/x\n")
    toml.write_text(f'database_url_file = "{file}"\n')
    settings = Settings({"BIENVENUE_CONFIG": str(toml)})
    assert settings.database_url == "postgresql://u:secret@db/x"
    settings.refuse_unknown()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("15m", 900),
        ("1h", 3600),
        ("30d", 2_592_000),
        (" 1h ", 3600),
        (7, 7),
    ],
)
def test_a_length_of_time_may_have_a_unit(value: object, seconds: int) -> None:
    """Without one it is seconds."""
    assert Settings({}, session_idle=value).of(SessionSettings).session_idle == seconds


@pytest.mark.parametrize("value", ["0", "0s", "-1", "1.5h", "1 hour", "h", "", "11y", "99999d"])
def test_a_length_of_time_without_sense_is_refused(value: str) -> None:
    """The problem names the variable."""
    with pytest.raises(SettingsProblem, match=r"^BIENVENUE_SESSION_IDLE: "):
        Settings({"BIENVENUE_SESSION_IDLE": value}).of(SessionSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "canary-6f1c"),
        ("PORT", ""),
        ("WORKERS", "0"),
        ("BASE_URL", "login.example.org"),
        ("BASE_URL", "ftp://canary-6f1c.example.org"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://canary-6f1c.example.org/path"),
        ("BASE_URL", "https://login.example.org?x"),
        ("BASE_URL", "https://login.example.org#x"),
        ("BASE_URL", "https://user:canary-6f1c@login.example.org"),
        ("COOKIE_DOMAIN", "canary-6f1c; Secure"),
        ("SERVICE_NAME", ""),
    ],
)
def test_a_value_without_sense_is_refused_and_not_repeated(name: str, value: str) -> None:
    """The message names the variable and says what is wrong; a value may be a secret."""
    with pytest.raises(SettingsProblem, match=f"^BIENVENUE_{name}: ") as problem:
        Settings({f"BIENVENUE_{name}": value})
    assert CANARY not in str(problem.value)


def test_every_wrong_setting_is_named_at_once() -> None:
    """No one should have to start ten times to find ten mistakes."""
    with pytest.raises(SettingsProblem, match=r"BIENVENUE_PORT: .*; BIENVENUE_WORKERS: "):
        Settings({"BIENVENUE_PORT": "x", "BIENVENUE_WORKERS": "x"})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("BIENVENUE_SESION_IDLE", "did you mean BIENVENUE_SESSION_IDLE?"),
        ("BIENVENUE_BCRYPT_COTS", "did you mean BIENVENUE_BCRYPT_COST?"),
        ("BIENVENUE_QQQ", "BIENVENUE_QQQ is no setting"),
        ("BIENVENUE_SESION_IDLE_FILE", "did you mean"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(
    tmp_path: Path, name: str, says: str
) -> None:
    """A mistyped safety setting is no setting. Its value is not repeated."""
    settings = Settings({name: CANARY}, instance=tmp_path)
    with pytest.raises(SettingsProblem) as problem:
        Auth(settings=settings)
    assert says in str(problem.value)
    assert CANARY not in str(problem.value)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    """Only our prefix is read."""
    Auth(settings=Settings({"PORT": "x", "BIENVENU_X": "1"}, instance=tmp_path))


def test_secrets_are_hidden(tmp_path: Path) -> None:
    """Neither the repr of a section nor that of its value shows the URL's password."""
    url = f"postgresql://bob:{CANARY}@db/x"
    settings = Settings({"BIENVENUE_DATABASE_URL": url}, instance=tmp_path)
    assert settings.database_url == url
    assert CANARY not in f"{settings.core!r} {settings.core} {settings.core.model_dump()}"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or no UTF-8; for a secret's file and for TOML."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    for name in ("BIENVENUE_CONFIG", "BIENVENUE_DATABASE_URL_FILE"):
        with pytest.raises(SettingsProblem, match=f"file that {name} names"):
            Settings({name: str(file)})


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    """With the place of the mistake."""
    file = tmp_path / "file"
    file.write_text("port: 5000\n")
    with pytest.raises(SettingsProblem, match=r"is not TOML: .*line 1"):
        Settings({"BIENVENUE_CONFIG": str(file)})


def test_an_unknown_key_of_toml_is_refused(tmp_path: Path) -> None:
    """As an unknown variable is."""
    file = tmp_path / "file"
    file.write_text("[server]\nport = 5000\n")
    with pytest.raises(SettingsProblem, match="BIENVENUE_SERVER is no setting"):
        Settings({"BIENVENUE_CONFIG": str(file)}).refuse_unknown()


def test_what_follows_from_other_settings() -> None:
    """The base URL from the port, the files from the instance folder."""
    settings = Settings({}, port=7000, instance="somewhere")
    assert (settings.base_url, settings.https) == ("http://localhost:7000", False)
    assert settings.database_url == "sqlite:///somewhere/bienvenue.db"
    assert settings.key_file == Path("somewhere/keys")
    assert not settings.on_postgresql
    other = Settings({}, base_url="https://Login.Example.org/", secret_key_file="/run/keys")
    assert (other.base_url, other.https) == ("https://login.example.org", True)
    assert other.key_file == Path("/run/keys")


def test_a_section_can_neither_be_changed_nor_extended() -> None:
    """What was read at the start is what holds."""
    core = Settings({}).core
    with pytest.raises(ValueError, match="frozen"):
        core.port = 1
    with pytest.raises(ValueError, match="Extra inputs"):
        Core.model_validate({"prot": 1})


def test_every_setting_says_what_it_is_for() -> None:
    """`bienvenue settings` and the docs print it."""
    sections: list[type[Section]] = [Core, PasswordSettings, SessionSettings]
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description, name


def test_settings_given_by_name_reach_the_service(make_service: MakeService) -> None:
    """`create_app(service_name=...)`; a name no one knows is refused there too."""
    assert make_service(service_name="Gare").auth.settings.core.service_name == "Gare"
    with pytest.raises(SettingsProblem, match="BIENVENUE_SERVICE_NAMED is no setting"):
        make_service(service_named="Gare")


def test_each_place_comes_before_the_next(tmp_path: Path) -> None:
    """What the program gives, the variable, the file it names, the TOML file: in this order."""
    toml, file = tmp_path / "settings.toml", tmp_path / "name"
    toml.write_text('service_name = "from TOML"\n')
    file.write_text("from a file\n")
    environ = {"BIENVENUE_CONFIG": str(toml)}
    found = [Settings(environ).core.service_name]
    environ["BIENVENUE_SERVICE_NAME_FILE"] = str(file)
    found.append(Settings(environ).core.service_name)
    environ["BIENVENUE_SERVICE_NAME"] = "from the variable"
    settings = Settings(environ)
    found.append(settings.core.service_name)
    found.append(Settings(environ, service_name="from the program").core.service_name)
    assert found == ["from TOML", "from a file", "from the variable", "from the program"]
    settings.refuse_unknown()
