"""Words we no longer use, what we say instead, and where to find the old ones.

    .venv/bin/python -m tests.house.words src/bienvenue

lists each place of a file or folder. `docs/glossary.md` explains the words we do use.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[2]

#: What the rule judges.
SCOPE = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "examples",
    "src/bienvenue",
    "tests/course",
    "tests/house",
    "tests/seed",
    "tools",
)

#: Kinds of files that people read.
READ = {".py", ".md", ".html", ".txt", ".js", ".css", ".json", ".po", ".toml"}


@dataclass(frozen=True)
class Retired:
    """A word, or a phrase, that something else has replaced."""

    #: A regular expression, without regard to case; words of identifiers stand apart.
    old: str
    new: str
    #: Phrases in which the word means something else.
    unless: str = r"(?!)"
    #: What stands within a line of it where it means something else.
    near: str = r"(?!)"
    #: Whether only names in code are meant, since the word is good English in a sentence.
    names_only: bool = False


class Exempt(NamedTuple):
    """Files in which one of the words, or each of them, may stay, and why."""

    files: str
    old: str
    reason: str


CHARACTERS = (
    r"(first|lower.case|upper.case|these|whose|of the|with|names?) letters?"
    r"|letters?,? (digits|of the alphabet|that lower|and the domain|in (a|the) square)"
)

RETIRED = (
    # --- emails and links
    Retired("letters?", "email, message", unless=CHARACTERS),
    Retired("carriers?", "sender, worker"),
    Retired("carried|carry", "send, sent", unless=r"carried (over|out)|carry (on|over|out|a)\b"),
    Retired("second emails?", "notification email"),
    Retired("mail asked", "email requests"),
    # --- verifying, factors
    Retired("proofs?|proven|prove|proving", "verify, verification, verified", unless="proof that"),
    Retired("more proof|wrong proof", "MFA required, wrong verification token"),
    # --- features
    Retired("leavings?", "account closure", unless=r"(without|by|before) leaving|leaving (it|the)"),
    Retired("not fresh", "reauthentication required", names_only=True),
    Retired("second token|second lifetime", "notification email token, …"),
    Retired(
        "proof lifetime|reset lifetime|leaving grace|email undo",
        "see CHANGELOG",
        unless="password reset lifetime",
    ),
    Retired("limit account|limit network", "rate limit …", unless="rate limit"),
    Retired("strangers?", "unknown device; attacker, visitor"),
    Retired("the record", "the audit log", unless=r"the record of"),
    # --- requests
    Retired("doors?", "dispatcher"),
    Retired("gates?", "hash queue"),
    Retired("onward", "redirect_to"),
    Retired("hush", "flash"),
    Retired("whence|tally|tallies", "caller, count"),
    Retired("said|told", "flash; notified", names_only=True),
    Retired(
        "roots?",
        "generation (of sessions), mount (of a path)",
        names_only=True,
        unless="application root",
    ),
    # --- secrets
    Retired(
        "seals?|sealed|unsealed|sealing|sealer",
        "encrypt, encrypted (secrets); sealed batch (audit log)",
        near=r"audit|batch|\bhead\b|\blog\b|chain|HMAC|\brows?\b|not sealed yet|commit"
        r"|verif|detected",
    ),
    # --- how it reads
    Retired("whoever|whosever|whomever", "the user, the caller, anyone who"),
    Retired("somebody|anybody", "someone, anyone, a user"),
    Retired("nobody", "no one, no user; say what does not happen"),
    Retired(r"one's( own)?|oneself", "the user's, their own"),
    Retired("anew", "again, new"),
)

EXEMPT = (
    Exempt("CHANGELOG.md", "*", "its table 'Changed' names what is gone"),
    Exempt("tests/house/words.py", "*", "it is this list"),
    Exempt("src/bienvenue/purposes.py", "*", "these words are part of what is stored"),
    Exempt("src/bienvenue/migrations/versions/000*", "*", "made the tables of its time"),
    Exempt("src/bienvenue/migrations/versions/001[0-3]*", "*", "made the tables of its time"),
    Exempt("src/bienvenue/migrations/versions/0014*", "*", "renames the tables before it"),
    Exempt("src/bienvenue/features/audit/former.py", "*", "reads event names of sealed rows"),
    Exempt("src/bienvenue/features/audit/*", "seals?*", "rows of the audit log are sealed"),
    Exempt("examples/any_framework/django_shelf.py", "roots?", "Django names a setting so"),
    Exempt("docs/features/audit.md", "seals?*", "rows of the audit log are sealed"),
    Exempt("docs/decisions/0015-*", "seals?*", "rows of the audit log are sealed"),
    Exempt("docs/glossary.md", "seals?*", "it explains sealed batches"),
    Exempt("src/bienvenue/auth.py", "nobody", "the exercise's own message of update_password"),
    Exempt("src/bienvenue/db.py", "nobody", "a chapter of the course shows this line"),
    Exempt("src/bienvenue/blocklist.py", "letters?", "the characters of a password"),
    Exempt("src/bienvenue/logs.py", "*", "the name of the root logger"),
    Exempt("docs/reference/*", "*", "tools/reference.py writes it from the source"),
    Exempt("tests/house/test_words.py", "*", "it shows what is found"),
    Exempt("tools/checks.py", "roots?", "PYENV_ROOT is a variable of pyenv"),
    Exempt("docs/attacks.md", "*", "tools/attack_table.py writes it from tests/attacks"),
)


class Found(NamedTuple):
    """One place of a retired word."""

    file: str
    line: int
    word: str
    new: str


def files(where: str) -> list[Path]:
    """Return the files of a folder that people read, or the file itself."""
    path = TOP / where
    below = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in below if file.suffix in READ and file.is_file()]


def find(path: Path) -> Iterator[Found]:
    """Yield every retired word of a file, also in its name."""
    yield from find_in(str(path.relative_to(TOP)), path.read_text("utf-8"))


def find_in(name: str, text: str) -> Iterator[Found]:
    """Yield every retired word of a text that has the name of a file."""
    if name.endswith(".md"):
        text = without_quotes(text)
    # Links in mailboxes have the paths of an earlier version.
    text = re.sub(r"formerly=\([^)]*\)", "formerly=()", text)
    named = names(text) if name.endswith(".py") else in_code(text)
    whole, title = spaced(text), spaced(name)
    for retired in RETIRED:
        if exempt(name, retired.old):
            continue
        wanted = pattern(rf"(?<![a-z])(?:{retired.old})(?![a-z])")
        read = named if retired.names_only else whole
        places = list(wanted.finditer(read))
        allowed = [m.span() for m in pattern(retired.unless).finditer(read)] if places else []
        for match in places:
            within = any(start < match.end() and match.start() < end for start, end in allowed)
            around = read[max(0, match.start() - 100) : match.end() + 100]
            if not within and not pattern(retired.near).search(around):
                line = read.count("\n", 0, match.start()) + 1
                yield Found(name, line, match[0], retired.new)
        if wanted.search(title):
            yield Found(name, 0, name, retired.new)


@cache
def pattern(expression: str) -> re.Pattern[str]:
    """Compile an expression in which a space is any white space, without regard to case."""
    return re.compile(expression.replace(" ", r"\s+"), re.IGNORECASE)


def exempt(name: str, old: str) -> bool:
    """Tell whether a file may keep a word."""
    return any(
        fnmatch(name, one.files) and (one.old == "*" or fnmatch(old, one.old)) for one in EXEMPT
    )


def spaced(text: str) -> str:
    """Separate the words of identifiers: `noSecond_emails` becomes `no Second emails`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", re.sub(r"[_\-/.]", " ", text))


def names(source: str) -> str:
    """Keep the names of Python source, and texts that are one word, as codes and columns are."""
    lines = source.split("\n")
    kept = [[""] for _ in lines]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        short = token.type == tokenize.STRING and re.fullmatch(r"[a-z]*([\"'])[\w./]+\1", token[1])
        if token.type == tokenize.NAME or short:
            kept[token.start[0] - 1].append(token.string)
    return spaced("\n".join(" ".join(line) for line in kept))


def in_code(text: str) -> str:
    """Keep what a page or a template writes as code."""
    code = re.compile(r"`[^`\n]+`|\{\{.*?\}\}|\{%.*?%\}|\n")
    return spaced("".join(code.findall(text)))


def without_quotes(text: str) -> str:
    """Blank what a page quotes: blocks of code, commands, and texts of the product.

    Tests run the blocks and compare the texts, which are judged where they are written.
    """
    for quoted in texts():
        if quoted in text:
            text = text.replace(quoted, "")
    blank = re.compile(r"^(`{3,}).*?^\1$|`bienvenue [^`]+`", re.MULTILINE | re.DOTALL)
    return blank.sub(lambda match: "\n" * match[0].count("\n"), text)


def texts() -> list[str]:
    """Return the sentences of the product, the longest first."""
    if not _TEXTS:
        found: set[str] = set()
        for file in files("src/bienvenue"):
            if file.suffix == ".py":
                for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        found.add(node.value.replace("<", "&lt;").replace(">", "&gt;"))
        _TEXTS.extend(sorted((one for one in found if len(one) > 15), key=len, reverse=True))
    return _TEXTS


_TEXTS: list[str] = []


def main(arguments: list[str]) -> int:
    """List the places by file; end with 1 when there is one."""
    found = [one for where in arguments or SCOPE for file in files(where) for one in find(file)]
    for one in found:
        print(f"{one.file}:{one.line}: {one.word!r} (say {one.new})")
    print(f"{len(found)} in {len({one.file for one in found})} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
