"""Refusal: how every part of the service says no."""

from typing import Any, ClassVar


class Refusal(Exception):
    """A request is refused: a stable `code`, a `message` for people, an HTTP status (RFC 9457).

    It never contains the refused value, so it can be shown and logged.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    message: str = "This is refused."
    #: What pages show in place of a `message` that programs compare.
    page_message: ClassVar[str] = ""
    #: The path of the page that a browser is redirected to, for a step that is missing.
    redirect_to: str | None = None
    #: The heading of its page; empty for the default heading of the status.
    heading: ClassVar[str] = ""
    #: The path its page links to, where the refused page would only be refused again.
    link_to: ClassVar[str | None] = None

    def __init__(
        self, field: str | None = None, *, message: str | None = None, **params: object
    ) -> None:
        """Take the name of the wrong field, and a message in place of the default one.

        `params` fill the placeholders `{name}` of the message.
        """
        #: The message id in the catalogues (gettext), and the values of its placeholders.
        self.msgid = message or self.page_message or self.message
        self.params = params
        text = message or self.message
        self.message = text.format(**params) if params else text
        super().__init__(self.message)
        self.field = field
        #: Extension members of the problem document (RFC 9457 section 3.2).
        self.extensions: dict[str, Any] = {}
        #: The value of Retry-After in seconds, or None.
        self.retry_after: int | None = None
        #: The secret of the sign-in in progress that the browser keeps in a cookie.
        self.authentication: str | None = None
        #: Further headers of the response.
        self.headers: dict[str, str] = {}
