"""preferences: the language and the theme that a user chose, with or without an account.

Two cookies hold the choice and nothing else, so it needs no session. The account of a signed-in
user stores the language too: emails are written in it, and each sign-in sets it in that browser.
"""

from typing import Any, ClassVar, Literal

from sqlalchemy import ColumnElement, ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import i18n
from bienvenue.authentication import Caller
from bienvenue.db import retried, upsert
from bienvenue.feature import Feature, Reason, Refusal
from bienvenue.settings import Section
from bienvenue.user import Base, SignedIn, table_of
from bienvenue.web.page import Answer, Form, Next, Pages, Reply, ReturnTo, Text

THEMES = ("system", "light", "dark")

# --- the table ----------------------------------------------------------------------------------


class Preference(Base):
    """The language of one account."""

    __tablename__ = "preferences"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    language: Mapped[str] = mapped_column(String(16))


_preferences = table_of(Preference)


# --- words --------------------------------------------------------------------------------------


class UnknownChoice(Refusal):
    """The language or the theme is not available."""

    status = 422
    code = "unknown_choice"
    message = "This isn't one of the choices."


# --- operations ---------------------------------------------------------------------------------


class Preferences(Feature[Section]):
    """The operations on preferences."""

    name = "preferences"
    pages: ClassVar[Pages] = Pages()

    @staticmethod
    def language_column(user_id: ColumnElement[int]) -> ColumnElement[str | None]:
        """Return the SQL for the language of an account, for a statement that reads more of it."""
        return select(Preference.language).where(Preference.user_id == user_id).scalar_subquery()

    def language_of(self, user_id: int | None) -> str | None:
        """Return the code of the language of an account, or None when it chose none."""
        with self._db.reading() as tx:
            return tx.scalar(
                select(Preference.language).where(Preference.user_id == (user_id or 0))
            )

    def choose(self, me: SignedIn | None, code: str, theme: str | None) -> None:
        """Check that a choice is available; store the language if the user is signed in.

        Raises UnknownChoice.
        """
        if code not in i18n.all_languages():
            raise UnknownChoice("language")
        if theme is not None and theme not in THEMES:
            raise UnknownChoice("theme")
        if me is not None:
            self._keep(me.user_id, code)

    @retried
    def _keep(self, user_id: int, code: str) -> None:
        row = upsert(_preferences, self._db.on_postgresql).values(user_id=user_id, language=code)
        with self._db.transaction() as tx:
            tx.execute(
                row.on_conflict_do_update(
                    index_elements=[_preferences.c.user_id], set_={"language": code}
                )
            )

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the language of a deleted account."""
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(Preference).where(Preference.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the language of an account."""
        return {"language": self.language_of(user_id)}


# --- pages --------------------------------------------------------------------------------------

page = Preferences.pages


class Choice(Form):
    """The body of a choice: a language, and a theme, which stays as it is when left out."""

    language: Text
    theme: str | None = None
    next: Next = None


class Chosen(Reply):
    """The language and the theme that are set now."""

    language: str
    theme: str | None


class Choices(Reply):
    """The available languages, as codes with names, and the available themes."""

    languages: dict[str, str]
    themes: tuple[str, ...] = THEMES
    next: str | None
    action: Literal["PUT /preferences"] = "PUT /preferences"


@page("GET /preferences", query=ReturnTo, returns={200: Choices}, public=True)
def preferences_page(query: ReturnTo) -> Answer:
    """Show the form for language and theme."""
    names = {code: language.name for code, language in i18n.all_languages().items()}
    return Answer(Choices(languages=names, next=query.next), template="preferences/choose.html")


@page(
    "PUT /preferences",
    accepts=Choice,
    returns={200: Chosen},
    errors=(UnknownChoice,),
    public=True,
    form_template="refusal.html",
)
def choose(form: Choice, me: SignedIn | None) -> Answer:
    """Set the language and the theme."""
    Preferences.current().choose(me, form.language, form.theme)
    return Answer(
        Chosen(language=form.language, theme=form.theme),
        redirect_to="/",
        return_to=form.next,
        language=form.language,
        theme=form.theme,
    )
