"""Flask-Login's own tests that do not hold for our module, each with its reason."""

from collections.abc import Mapping

ONE_COOKIE = (
    "The cookie of the session is remembered itself, with the name, path and lifetime of the "
    "service; there is no second cookie with REMEMBER_COOKIE_NAME, _DOMAIN, _PATH or "
    "_REFRESH_EACH_REQUEST."
)

LEFT_OUT: Mapping[str, str] = {
    "AboutTestCase.test_have_about_data": "Our module is no release of Flask-Login.",
    "LoginTestCase.test_invalid_remember_cookie": ONE_COOKIE,
    "LoginTestCase.test_login_persists_with_many_x_forwarded_for": (
        "The first address of X-Forwarded-For is whatever a client wrote. Ours is the last one "
        "that no trusted proxy added, and here it changes."
    ),
    "LoginTestCase.test_remember_me_accepts_duration_as_int": ONE_COOKIE,
    "LoginTestCase.test_remember_me_custom_duration_uses_custom_cookie": ONE_COOKIE,
    "LoginTestCase.test_remember_me_no_refresh_every_request": ONE_COOKIE,
    "LoginTestCase.test_remember_me_refresh_each_request": ONE_COOKIE,
    "LoginTestCase.test_remember_me_uses_custom_cookie_parameters": ONE_COOKIE,
    "LoginTestCase.test_set_cookie_with_invalid_duration_raises_exception": (
        "It calls a private method. login_user raises the same sentence."
    ),
}
