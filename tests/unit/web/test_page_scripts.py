"""Runs ``page_scripts.py`` in a process of its own.

Pages have the scripts of all extensions ever imported in their process, and other tests import Panel.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_which_scripts_a_page_begins_with() -> None:
    tests = Path(__file__).with_name("page_scripts.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
