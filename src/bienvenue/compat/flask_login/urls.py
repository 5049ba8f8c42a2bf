"""Links to a page for signing in, and texts signed with the key of the application."""

import hmac
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from flask import current_app, url_for


def expand_login_view(login_view: str) -> str:
    """Return the address of a view, which is named by its endpoint or by its address."""
    if login_view.startswith(("https://", "http://", "/")):
        return login_view
    return url_for(login_view)


def make_next_param(login_url: str, current_url: str) -> str:
    """Return an address as the page of another one may name it: without a host that both share."""
    page, here = urlsplit(login_url), urlsplit(current_url)
    shared = page.scheme in {"", here.scheme} and page.netloc in {"", here.netloc}
    return urlunsplit(("", "", here.path, here.query, "")) if shared else current_url


def login_url(login_view: str, next_url: str | None = None, next_field: str = "next") -> str:
    """Return the address of a page for signing in, with where to go on to afterwards.

    `FORCE_HOST_FOR_REDIRECTS` in the configuration of the application names the host.
    """
    base = expand_login_view(login_view)
    if next_url is None:
        return base
    parts = urlsplit(base)
    query = parse_qs(parts.query, keep_blank_values=True)
    query[next_field] = [make_next_param(base, next_url)]
    host = current_app.config.get("FORCE_HOST_FOR_REDIRECTS") or parts.netloc
    return urlunsplit(parts._replace(netloc=host, query=urlencode(query, doseq=True)))


def encode_cookie(payload: str, key: str | bytes | None = None) -> str:
    """Return a text with its HMAC-SHA-512 under `key`, by default the application's SECRET_KEY."""
    return f"{payload}|{_mac(payload, key)}"


def decode_cookie(cookie: str, key: str | bytes | None = None) -> str | None:
    """Return the text that `encode_cookie` signed, or None."""
    payload, mark, mac = cookie.rpartition("|")
    if not mark or not hmac.compare_digest(_mac(payload, key).encode(), mac.encode()):
        return None
    return payload


def _mac(payload: str, key: str | bytes | None) -> str:
    return hmac.new(_secret_key(key), payload.encode(), "sha512").hexdigest()


def _secret_key(key: str | bytes | None = None) -> bytes:
    found: str | bytes = current_app.config["SECRET_KEY"] if key is None else key
    return found.encode("latin1") if isinstance(found, str) else found
