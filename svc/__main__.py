"""``python -m svc``."""

from __future__ import annotations

import sys
from pathlib import Path


def _main() -> int:
    # Python looks into the folder that it is started in first, where an app may have a service.py of its own.
    started_in = Path(sys.path[0])
    is_ours = started_in == Path(__file__).parents[1]
    if not sys.flags.safe_path and not is_ours:
        sys.path.pop(0)
    import store  # noqa: F401
    from service.cli.main import main

    if not sys.flags.safe_path and not is_ours:
        sys.path.insert(0, str(started_in))
    return main()


sys.exit(_main())
