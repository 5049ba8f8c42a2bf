"""The list of common and breached passwords, and the account's own words."""

import struct
import threading
import unicodedata
import zlib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bienvenue import blocklist
from bienvenue.blocklist import HEADER, Blocklist, DamagedBlocklist, contains, made_of_own_words

LONG = (Path(__file__).parent / "data" / "long_passwords.txt").read_text("utf-8").splitlines()
SHIPPED = (resources.files("bienvenue") / "data" / "passwords.bin").read_bytes()
OWN = ["ann.lee@example.org", "Bienvenue", "login.acme-corp.test"]


def packed(*entries: str, count: int | None = None) -> bytes:
    """Return a file of the list's format, in the order given."""
    body = b"".join(struct.pack(">Q", blocklist.fingerprint(entry)) for entry in entries)
    return (
        HEADER.pack(b"BVPL", 1, len(entries) if count is None else count, zlib.crc32(body)) + body
    )


def in_order(*entries: str) -> list[str]:
    return sorted(entries, key=blocklist.fingerprint)


def test_the_sample_is_long_and_real() -> None:
    assert len(LONG) >= 190
    assert len(set(LONG)) == len(LONG)
    assert all(len(password) >= 15 for password in LONG)


@pytest.mark.parametrize("password", LONG)
def test_a_long_breached_password_is_refused(password: str) -> None:
    assert contains(password)


@pytest.mark.parametrize(
    "password",
    [
        *("123456", "password", "qwerty", "12345678", "iloveyou", "sunshine", "princess"),
        *("password1", "1q2w3e4r", "trustno1", "1qaz2wsx", "1234567890", "qwertyuiop"),
        *("passwordpassword", "123456789012345", "qwertyuiopasdfgh", "1q2w3e4r5t6y7u8i9o0p"),
        *("manchesterunited", "mychemicalromance", "james1234567890"),
    ],
)
def test_a_common_password_is_refused(password: str) -> None:
    assert contains(password)


@pytest.mark.parametrize("change", [str.upper, str.title, str.swapcase, str.capitalize])
def test_case_makes_no_difference(change: object) -> None:
    assert callable(change)
    assert all(contains(change(password)) for password in LONG if password.isascii())


def test_the_kelvin_sign_is_a_k() -> None:
    assert contains("monkey")
    assert contains("mon\u212aey")


def test_unicode_forms_are_one_entry() -> None:
    entries = map(blocklist.normalise, ("cr\u00e8me br\u00fbl\u00e9e 2024", "stra\u00dfe"))
    small = Blocklist(packed(*in_order(*entries)))
    assert small.contains(unicodedata.normalize("NFC", "Cr\u00e8me Br\u00fbl\u00e9e 2024"))
    assert small.contains(unicodedata.normalize("NFD", "Cr\u00e8me Br\u00fbl\u00e9e 2024"))
    assert small.contains("STRASSE")
    assert not small.contains("creme brulee 2024")


@pytest.mark.parametrize("password", LONG[::10])
def test_a_longer_password_with_a_listed_one_inside_is_allowed(password: str) -> None:
    assert not contains(f"{password} and a quiet harbour")
    assert not contains(f"grey heron {password}")


def test_spaces_are_part_of_a_password() -> None:
    assert contains("password")
    assert not contains(" password")
    assert not contains("password\n")


def test_an_empty_password_and_malformed_text_never_raise() -> None:
    assert not contains("")
    assert not contains("\ud800" * 20)
    assert not contains("\0" * 20)
    assert not contains("x" * 100_000)


def test_the_file_holds_100_000_entries_in_less_than_a_megabyte() -> None:
    assert len(SHIPPED) < 1_000_000
    assert len(Blocklist(SHIPPED)) == 100_000


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=15, max_size=15))
def test_random_text_is_not_on_the_list(password: str) -> None:
    # Hypothesis likes simple text, and fifteen equal digits are on the list for good reason.
    if len(set(password)) > 5:
        assert not contains(password)


def test_many_threads_read_the_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blocklist._read.cache_clear()
    read: list[int] = []
    start = threading.Barrier(16)
    found: list[bool] = []

    class Counted(Blocklist):
        def __init__(self, data: bytes) -> None:
            read.append(len(data))
            super().__init__(data)

    def look() -> None:
        start.wait()
        found.extend(contains(password) for password in LONG)

    monkeypatch.setattr(blocklist, "Blocklist", Counted)
    threads = [threading.Thread(target=look) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blocklist._read.cache_clear()
    assert len(read) == 1
    assert found == [True] * (16 * len(LONG))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "header"),
        (b"BVPL", "header"),
        (b"XXXX" + SHIPPED[4:], "header"),
        (SHIPPED[:4] + struct.pack(">I", 2) + SHIPPED[8:], "header"),
        (SHIPPED[:-1], "whole"),
        (SHIPPED[:-8], "whole"),
        (SHIPPED + b"\0", "whole"),
        (SHIPPED[: HEADER.size], "whole"),
        (packed("one", "two", count=2**32 - 1), "whole"),
        (SHIPPED[:5_000] + bytes([SHIPPED[5_000] ^ 1]) + SHIPPED[5_001:], "whole"),
        (packed(*reversed(in_order("one", "two", "three"))), "order"),
        (packed("twice", "twice"), "order"),
    ],
)
def test_a_damaged_file_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DamagedBlocklist, match=why):
        Blocklist(data)


def test_first_and_last_entry_and_an_empty_list() -> None:
    entries = in_order("one", "two", "three")
    table = Blocklist(packed(*entries))
    assert [table.contains(entry) for entry in (*entries, "four")] == [True, True, True, False]
    assert not Blocklist(packed()).contains("one")


@pytest.mark.parametrize(
    "password",
    [
        *("ann.lee@example.org", "ANN.LEE@EXAMPLE.ORG", "annleeannleeannlee", "Ann-Lee-1984-1984"),
        *("bienvenuebienvenue", "Bienvenue 2024 !!!", "example.org/ann/lee", "1234567bienvenue"),
        *(
            "acme corp acme corp",
            "login@acme-corp.test",
            "\uff41\uff4e\uff4elee\uff21nnlee\uff11\uff12\uff13",
            "orgorgorgorgorg",
        ),
    ],
)
def test_a_password_of_ones_own_words_is_refused(password: str) -> None:
    assert made_of_own_words(password, OWN)


@pytest.mark.parametrize(
    "password",
    [
        *("", "!!!!!!!!!!!!!!!", "               ", "123456789012345", "ann likes example cakes"),
        *("bienvenue chez nous", "annleex", "le ee le ee le ee", "exaexamplemple.org"),
        *(
            "correct horse battery staple",
            "xann",
            "\u0430nn.lee.2024.2024",
        ),  # the first letter is Cyrillic
    ],
)
def test_another_password_is_nobodys_words(password: str) -> None:
    assert not made_of_own_words(password, OWN)


def test_words_may_come_in_any_order_and_overlap() -> None:
    for words in (["anna", "annabel", "belle"], ["belle", "annabel", "anna"]):
        assert made_of_own_words("annabelle annabelle", words)
        assert made_of_own_words("annannanna", [*words, "ann"])
    assert not made_of_own_words("annabelle annabelle", ["anna", "belly"])


def test_short_words_count_only_inside_a_longer_one() -> None:
    assert not made_of_own_words("jojojojojojojojo", ["jo@x.fr"])
    assert made_of_own_words("j.doe j.doe j.doe", ["j.doe@example.org"])
    assert not made_of_own_words("anything at all", [])


def test_words_with_digits_and_words_of_digits() -> None:
    assert made_of_own_words("john84john84john84", ["john84@example.org"])
    assert made_of_own_words("john2024john2024", ["john84@example.org"])
    assert made_of_own_words("5551234567 5551234567", ["5551234567@example.org"])
    assert not made_of_own_words("555123456798761", ["5551234567@example.org"])
    assert not made_of_own_words("127839274827384", ["127.0.0.1"])


def test_own_words_are_compared_without_case_and_form() -> None:
    assert made_of_own_words("ZOË ZOË ZOË ZOË 1", ["zoe\u0308@example.org"])
    assert made_of_own_words("STRASSE strasse 12", ["straße"])
    assert made_of_own_words("(a+b)(a+b)(a+b)(a+b)", ["(a+b)"])


@given(st.permutations(["ann", "lee", "example", "org"]), st.text("0123456789 .-_!", max_size=9))
def test_own_words_joined_by_anything_but_emails(words: list[str], joint: str) -> None:
    assert made_of_own_words(joint.join(words), OWN)
    assert not made_of_own_words(joint.join([*words, "q"]), OWN)
