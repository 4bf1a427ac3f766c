"""The scripts are there once the store is imported, whatever happens to the files and descriptors later."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from pathlib import Path
import store.redis_store, store.sweeper
from store.scripts import load

names = [path.stem for path in Path(store.__file__).with_name("lua").glob("[!_]*.lua")]
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
for name in names:
    assert load(name).text and load(name).digest
print(len(names))
"""


def test_no_file_is_opened_for_a_script_that_was_not_needed_so_far() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 10
