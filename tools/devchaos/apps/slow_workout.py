"""The app `workout`, each run of which takes a second longer."""

import time
from pathlib import Path

time.sleep(1)
exec(Path(__file__).with_name("workout.py").read_text())
