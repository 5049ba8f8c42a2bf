"""TLS of `bienvenue serve` itself: whether its certificate and its key can be used."""

import ssl

from bienvenue.settings import PREFIX, Core, SettingsProblem

_PAIR = f"{PREFIX}TLS_CERTIFICATE_FILE and {PREFIX}TLS_KEY_FILE"


def require_usable(core: Core) -> None:
    """Raise SettingsProblem for a certificate without its key, or a pair that cannot be used.

    The message names no path, because the key may have been set in its place.
    """
    certificate, key = core.tls_certificate_file, core.tls_key_file
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "TLS_KEY_FILE" if key is None else "TLS_CERTIFICATE_FILE"
        raise SettingsProblem(f"{PREFIX}{missing} is missing: TLS takes a certificate and its key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        reason = (error.reason or "no PEM").replace("_", " ").lower()
        raise SettingsProblem(f"the files of {_PAIR} cannot be used: {reason}") from None
    except OSError as error:
        raise SettingsProblem(
            f"cannot read the files of {_PAIR}: {error.strerror or 'no certificate'}"
        ) from None
