"""The signals of Flask-Login, in a namespace of their own. Each is sent with the application."""

from blinker import Namespace

_signals = Namespace()

#: `login_user` signed `user` in.
user_logged_in = _signals.signal("logged-in")
#: `logout_user` signed `user` out.
user_logged_out = _signals.signal("logged-out")
#: `user` is known by a session that outlived the browser's.
user_loaded_from_cookie = _signals.signal("loaded-from-cookie")
#: `user` is known by `request_loader`.
user_loaded_from_request = _signals.signal("loaded-from-request")
#: `confirm_login` made the session fresh.
user_login_confirmed = _signals.signal("login-confirmed")
#: `LoginManager.unauthorized` was called.
user_unauthorized = _signals.signal("unauthorized")
#: `LoginManager.needs_refresh` was called.
user_needs_refresh = _signals.signal("needs-refresh")
#: The user of a request was looked up.
user_accessed = _signals.signal("accessed")
#: A session came from another address or browser than before.
session_protected = _signals.signal("session-protected")
