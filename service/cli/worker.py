"""One process of ``--num-procs``: a replica whose settings and sockets come from its parent."""

from __future__ import annotations

import pickle
import sys

from service import logs
from service.cli.main import fail
from service.errors import AppLoadError, ConfigError
from service.listening import Inherited
from service.settings import Settings

__all__ = ("main", "serve_as_child")


def main() -> int:
    """Serve until told to stop; the exit status. Its standard input is the parent's, and trusted."""
    settings, inherited = pickle.load(sys.stdin.buffer)
    return serve_as_child(settings, inherited)


def serve_as_child(settings: Settings, inherited: Inherited) -> int:
    """The same in a process that has its settings."""
    logs.set_up(settings.log_level, form=settings.log_format, path=settings.log_file)
    from service.cli.serve import serve

    try:
        return serve(settings, inherited)
    except (ConfigError, AppLoadError) as error:
        return fail(error, 2)


if __name__ == "__main__":
    sys.exit(main())
