"""A client for the tests of an application, which a user of the application is signed in with."""

from typing import Any
from urllib.parse import urlsplit

from flask.testing import FlaskClient

from bienvenue.authentication import CODE, Authentication
from bienvenue.compat.flask_login import browser_session
from bienvenue.compat.flask_login.links import FlaskLogin
from bienvenue.web import cookies


class FlaskLoginClient(FlaskClient):
    """`app.test_client_class = FlaskLoginClient`, then `app.test_client(user=user)`."""

    def __init__(
        self, *args: Any, user: Any = None, fresh_login: bool = True, **kwargs: Any
    ) -> None:
        """Take a user who has an account or an email; raises as `login_user` does."""
        super().__init__(*args, **kwargs)
        if user is not None:
            self._sign_in(user, fresh=fresh_login)

    def _sign_in(self, user: Any, *, fresh: bool) -> None:
        auth = self.application.extensions["bienvenue"].auth
        manager = self.application.login_manager  # type: ignore[attr-defined]  # see init_app
        login_id, email = manager.id_of(user), getattr(user, "email", None)
        account = auth.use(FlaskLogin).account_of(
            CODE, str(login_id), email, trust=manager.link_by_email
        )
        opened = auth.sessions.open(CODE, Authentication(account))
        assert opened is not None, "the account changed while it signed in"  # noqa: S101 (a test's own)
        host = urlsplit(auth.settings.base_url).hostname or "localhost"
        name = cookies.name_of(cookies.SESSION, auth.settings)
        self.set_cookie(name, opened.secret, domain=host, secure=auth.settings.https)
        me = auth.sessions.look_up(opened.secret)
        with self.session_transaction() as session:
            session.update(browser_session.of_test_client(me.session_uid, login_id, fresh=fresh))
