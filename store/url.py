"""Store URLs, taken apart and checked without any I/O.

Error messages never quote the URL: whatever is wrong with it, a part of the password may be what
stands in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote

from store.errors import StoreConfigError

__all__ = ("StoreUrl", "parse")

_EXAMPLES = {
    "redis": "redis://user:password@host:6379/0",
    "rediss": "rediss://user:password@host:6379/0?ssl_ca_certs=/path/ca.pem",
    "unix": "unix:///run/redis.sock?db=0",
    "redis+sentinel": "redis+sentinel://user:password@host1:26379,host2:26379/mymaster/0",
    "rediss+sentinel": "rediss+sentinel://user:password@host1:26379,host2:26379/mymaster/0",
    "redis+cluster": "redis+cluster://user:password@host1:6379,host2:6379",
    "rediss+cluster": "rediss+cluster://user:password@host1:6379,host2:6379",
}
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[\w.-]+))(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class StoreUrl:
    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    """Servers, Sentinels or Cluster nodes."""
    path: str = ""
    """Of the Unix domain socket."""
    master: str = ""
    """As the Sentinels name it."""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    db: int = 0
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> str:
        """``redis``, ``unix``, ``sentinel`` or ``cluster``."""
        return self.scheme.partition("+")[2] or self.scheme.replace("rediss", "redis")

    @property
    def tls(self) -> bool:
        return self.scheme.startswith("rediss")

    @property
    def where(self) -> str:
        """For messages: without credentials and options."""
        if self.kind == "unix":
            return f"unix://{self.path}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{hosts}" + (f"/{self.master}" if self.master else "")


def parse(url: str) -> StoreUrl:
    """Raises :class:`StoreConfigError` with what is wrong and an example of the right form."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in _EXAMPLES:
        raise _InvalidUrl(f"it has to begin with one of {', '.join(f'{known}://' for known in _EXAMPLES)}")
    try:
        return _parse(scheme, rest)
    except _InvalidUrl as wrong:
        raise _InvalidUrl(wrong.reason, scheme) from None


class _InvalidUrl(StoreConfigError):
    def __init__(self, reason: str, scheme: str = "redis") -> None:
        super().__init__(f"the store URL is not usable: {reason}; for example {_EXAMPLES[scheme]}")
        self.reason = reason


def _parse(scheme: str, rest: str) -> StoreUrl:
    if re.search(r"[\s\x00-\x1f]", rest):
        raise _InvalidUrl("it contains white space")
    body, _, query = rest.partition("?")
    authority, slash, path = body.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    username, _, password = userinfo.partition(":")
    parts = StoreUrl(
        scheme,
        username=unquote(username) or None,
        password=unquote(password) or None,
        options=_options(scheme, query),
    )
    if parts.username and parts.password is None:
        raise _InvalidUrl(
            "it has a user name, but no password (to give a password alone, write :password@host)"
        )
    return _BY_KIND[parts.kind](parts, hosts, slash + path)


def _redis(parts: StoreUrl, hosts: str, path: str) -> StoreUrl:
    servers = _servers(hosts, 6379)
    if len(servers) != 1:
        raise _InvalidUrl("it names several hosts; that needs +sentinel or +cluster in the scheme")
    return replace(parts, hosts=servers, db=_db(path[1:]))


def _unix(parts: StoreUrl, hosts: str, path: str) -> StoreUrl:
    if hosts or len(path) < 2:
        raise _InvalidUrl("it needs an absolute path after unix://")
    return replace(parts, path=unquote(path), db=_db(parts.options.pop("db", "")))


def _sentinel(parts: StoreUrl, hosts: str, path: str) -> StoreUrl:
    master, _, db = path[1:].partition("/")
    if not re.fullmatch(r"[\w.-]+", master):
        raise _InvalidUrl("it needs the name of the master after the Sentinels")
    return replace(parts, hosts=_servers(hosts, 26379), master=master, db=_db(db))


def _cluster(parts: StoreUrl, hosts: str, path: str) -> StoreUrl:
    if path.strip("/") not in ("", "0"):
        raise _InvalidUrl("a Redis Cluster has no database but 0")
    return replace(parts, hosts=_servers(hosts, 6379))


_BY_KIND = {"redis": _redis, "unix": _unix, "sentinel": _sentinel, "cluster": _cluster}


def _servers(hosts: str, port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_server(each, port) for each in hosts.split(","))


def _server(text: str, default_port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None:
        raise _InvalidUrl(
            "its hosts cannot be read as host:port (within a password, '/', '?', '#', '@' and ',' "
            "have to be percent-encoded)"
        )
    port = int(found["port"] or default_port)
    if not 0 < port < 65536:
        raise _InvalidUrl("its port is not between 1 and 65535")
    return found["v6"] or found["host"], port


def _db(text: str) -> int:
    if text and not re.fullmatch(r"\d{1,5}", text):
        raise _InvalidUrl("its database is not a number")
    return int(text or 0)


def _options(scheme: str, query: str) -> dict[str, str]:
    allowed = (
        (_TLS_OPTIONS if scheme.startswith("rediss") else ())
        + (_SENTINEL_OPTIONS if scheme.endswith("sentinel") else ())
        + (("db",) if scheme == "unix" else ())
    )
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not set(options) <= set(allowed):
        known = ", ".join(allowed) or "none"
        raise _InvalidUrl(f"it has options that are unknown here (known with {scheme}: {known})")
    return options
