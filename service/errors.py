"""Everything the service raises on purpose, with what a client is told.

::

    ServiceError            500  1011
    ├── ConfigError         500  1011  an option or the configuration file makes no sense
    ├── AppLoadError        500  1011  an app cannot be found or read
    ├── AppError            500  1011  the app raised while it built its Document
    │   ├── NotAuthorized   403  1008  the app does not let this user in
    │   └── BuildTimeout    504  1011  the app did not build its Document in time
    ├── TokenError          403  1008  a session token or session id is not acceptable
    │   ├── TokenInvalid    403  1008  malformed or forged
    │   │   └── TokenMisdirected  403  1008  right, but for another app or replica
    │   └── TokenExpired    403  1008  right, but too old for what it is used for
    ├── OriginRefused       403  1008  the page or host may not open connections here
    ├── ProtocolError       400  1002  frames that are malformed or out of order
    │   └── MessageTooBig   413  1009  a message over the configured limit
    ├── SessionUnknown      404  1008  there is no such session, and nothing to begin it with
    ├── SessionParked       410  1008  the session ended its replicas, or outgrew one, and was set aside
    ├── NotComposable       500  1011  a session's record does not hold all that a pull is answered with
    ├── MemoryExceeded      503  1013  restoring a session took more memory than it may
    ├── SessionMoved        503  1012  another replica owns the session now; connect again
    ├── FleetFull           500  1011  an app shares more than it may
    └── Unavailable         503  1013  not now; retrying later may help
        ├── Full            503  1013  this replica holds as many sessions as it may
        ├── AppFull         503  1013  this replica holds as many sessions of the app as it may
        ├── TooManySessions  429  1013  a user has as many sessions open as one may (--max-sessions-per-user)
        ├── UnderMaintenance  503  1013  an operator lets no new sessions begin (svc maintenance)
        ├── FleetUnavailable  503  1013  what the fleet shares cannot be changed, or not be read, right now
        └── AppCodeAbandoned  503  1013  app code did not end, and its session goes on without it

The numbers are the HTTP status and the WebSocket close code (:mod:`service.close_codes`). The first
argument is one line for people, and never holds a token or a secret.
"""

from __future__ import annotations

from typing import ClassVar

from service import close_codes

__all__ = (
    "AppCodeAbandoned",
    "AppError",
    "AppFull",
    "AppLoadError",
    "BuildTimeout",
    "ConfigError",
    "FleetFull",
    "FleetUnavailable",
    "Full",
    "MemoryExceeded",
    "MessageTooBig",
    "NotAuthorized",
    "NotComposable",
    "OriginRefused",
    "ProtocolError",
    "ServiceError",
    "SessionMoved",
    "SessionParked",
    "SessionUnknown",
    "TokenError",
    "TokenExpired",
    "TokenInvalid",
    "TokenMisdirected",
    "TooManySessions",
    "Unavailable",
    "UnderMaintenance",
)


class ServiceError(Exception):
    """Root of all errors of this package."""

    http_status: ClassVar[int] = 500
    http_reason: ClassVar[str | None] = None
    """In the place of the status's usual one."""
    close_code: ClassVar[int] = close_codes.INTERNAL_ERROR


class ConfigError(ServiceError):
    """The server cannot be run as configured; the message names the option and its source."""


class AppLoadError(ServiceError):
    """An app cannot be found or read."""


class AppError(ServiceError):
    """The app raised while it built its Document.

    ``message`` is one line that may be shown to anyone; ``detail`` is the traceback as text,
    for logs and ``--dev`` only.
    """

    told: ClassVar[str] = "The app failed while it was starting."
    """What visitors are told."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class NotAuthorized(AppError):
    """The app does not let this user in; ``location`` is where it sends him instead, if it does."""

    http_status = 403
    close_code = close_codes.POLICY_VIOLATION

    def __init__(self, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.location = location


class BuildTimeout(AppError):
    """The app did not build its Document in time; ``detail`` says where it stood."""

    http_status = 504
    told = "The app took too long to start, and is not waited for any more."


class TokenError(ServiceError):
    """A session token or session id is not acceptable. On HTTP it is called what Bokeh calls it."""

    http_status = 403
    http_reason = "Invalid token or session ID"
    close_code = close_codes.POLICY_VIOLATION


class TokenInvalid(TokenError):
    """Malformed, forged, or made for something else."""


class TokenMisdirected(TokenInvalid):
    """A token of ours, made for another app or another replica."""


class TokenExpired(TokenError):
    """A right token, too old for what it is used for."""


class OriginRefused(ServiceError):
    """The requesting page, or the host name it used, is not on the list of allowed origins."""

    http_status = 403
    close_code = close_codes.POLICY_VIOLATION


class ProtocolError(ServiceError):
    """The peer sent frames that are malformed or out of order."""

    http_status = 400
    close_code = close_codes.PROTOCOL_ERROR


class MessageTooBig(ProtocolError):
    """The peer sent a message over the configured limit."""

    http_status = 413
    close_code = close_codes.MESSAGE_TOO_BIG


class SessionUnknown(ServiceError):
    """There is no such session, and nothing to begin it with."""

    http_status = 404
    close_code = close_codes.POLICY_VIOLATION


class SessionParked(ServiceError):
    """The session was set aside, because it ended the replicas it was on or needs too much memory."""

    http_status = 410
    close_code = close_codes.POLICY_VIOLATION

    def __init__(self, message: str, *, for_memory: bool = False) -> None:
        super().__init__(message)
        self.for_memory = for_memory


class MemoryExceeded(ServiceError):
    """Restoring a session took more memory than it may; nothing of it is left."""

    http_status = 503
    close_code = close_codes.TRY_AGAIN_LATER


class SessionMoved(ServiceError):
    """Another replica owns the session now; the client should connect again."""

    http_status = 503
    close_code = close_codes.SERVICE_RESTART


class Unavailable(ServiceError):
    """The service cannot answer now. ``retry_after`` is in seconds, for the header of that name."""

    http_status = 503
    close_code = close_codes.TRY_AGAIN_LATER
    spread: ClassVar[int] = 2
    """Up to so many seconds are added by chance, so that not all come back at the same time."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Full(Unavailable):
    """This replica holds as many sessions as it may; another one, or a moment later, may do."""

    spread = 7


class AppFull(Full):
    """The same for the app's sessions (``--max-sessions-per-app``)."""


class TooManySessions(Unavailable):
    """The user has as many sessions open here as one may (``--max-sessions-per-user``)."""

    http_status = 429


class UnderMaintenance(Unavailable):
    """An operator lets no new sessions of the app begin for now (``svc maintenance``)."""

    http_reason = "Under maintenance"
    spread = 15


class AppCodeAbandoned(Unavailable):
    """App code does not return while its replica stops or its session has to go: nobody waits for it."""


class NotComposable(ServiceError):
    """A session's record does not hold all that a pull is answered with. Whoever asked runs the app instead.

    ``reason`` is one of :class:`service.documents.composing.Reason`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FleetFull(ServiceError):
    """An app shares more than it may; the message says what is too much."""


class FleetUnavailable(Unavailable):
    """What the fleet shares cannot be changed right now, or not be read for the first time.

    What was to be written may have been written all the same.
    """
