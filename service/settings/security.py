"""Options: what tokens are signed with, which pages may connect, and TLS."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import number, option, text
from service.settings import values
from service.tokens import SessionIds

__all__ = ("SecuritySettings",)


@dataclass(frozen=True, kw_only=True)
class SecuritySettings:
    """What tokens are signed with, which pages may connect, and TLS."""

    secret_key: str | None = option(
        "--secret-key",
        text,
        "Signs tokens and session ids; replicas agree on a random one if not given. "
        "Better given in the environment: everyone on a machine can read command lines",
        metavar="KEY",
        env=("SVC_SECRET_KEY", "BOKEH_SECRET_KEY"),
        yaml="secret_key",
        secret=True,
    )
    previous_secret_key: str | None = option(
        "--previous-secret-key",
        text,
        "The secret key before the last change: still accepted, no longer used to sign",
        metavar="KEY",
        env=("SVC_PREVIOUS_SECRET_KEY",),
        secret=True,
    )
    session_ids: SessionIds = option(  # noqa: RUF009 - like every other field here
        "--session-ids",
        values.session_ids,
        "One of: unsigned, signed, external-signed or external-unsigned",
        "unsigned",
        metavar="MODE",
        env=("SVC_SESSION_IDS",),
        env_aliases={"BOKEH_SIGN_SESSIONS": values.sign_sessions},
        yaml="sign_sessions",
        yaml_parse=values.sign_sessions,
    )
    session_token_expiration: float = option(
        "--session-token-expiration",
        number(1),
        "Seconds in which a new token may begin its session",
        "300",
        metavar="SECONDS",
        env=("SVC_SESSION_TOKEN_EXPIRATION",),
    )
    allow_websocket_origin: tuple[str, ...] = option(
        "--allow-websocket-origin",
        text,
        "Public host name that pages which connect to the WebSocket may come from; can be repeated "
        "(localhost:PORT if not given)",
        "",
        metavar="HOST[:PORT]",
        arity="repeat",
        env=("SVC_ALLOW_WS_ORIGIN", "BOKEH_ALLOW_WS_ORIGIN"),
        yaml="allowed_ws_origin",
    )
    prefix: str = option(
        "--prefix",
        values.url_prefix,
        "URL path before all of the server's",
        "",
        metavar="PREFIX",
        env=("SVC_PREFIX",),
    )
    """Empty, or ``/path`` without a slash at the end."""
    ssl_certfile: str | None = option(
        "--ssl-certfile",
        values.existing_file,
        "Serve https with this certificate (PEM, with its chain)",
        metavar="FILE",
        env=("SVC_SSL_CERTFILE", "BOKEH_SSL_CERTFILE"),
        yaml="ssl_certfile",
    )
    ssl_keyfile: str | None = option(
        "--ssl-keyfile",
        values.existing_file,
        "The certificate's private key, if it is in a file of its own",
        metavar="FILE",
        env=("SVC_SSL_KEYFILE", "BOKEH_SSL_KEYFILE"),
        yaml="ssl_keyfile",
    )
    ssl_password: str | None = option(
        "--ssl-password",
        text,
        "What the private key is encrypted with. Better given in the environment",
        metavar="PASSWORD",
        env=("SVC_SSL_PASSWORD", "BOKEH_SSL_PASSWORD"),
        yaml="ssl_password",
        secret=True,
    )
