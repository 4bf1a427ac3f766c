"""``python -m svc``."""

from __future__ import annotations

import os
import sys


def _main() -> int:
    # Python puts the folder that it is started in first, where an app's own service.py or store.py may be.
    path = sys.path
    sys.path = [each for each in path if each not in ("", os.getcwd())]
    import store  # noqa: F401
    from service.cli.main import main

    sys.path = path
    return main()


sys.exit(_main())
