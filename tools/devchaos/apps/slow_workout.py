"""The app `workout`, each run of which takes a second longer."""

import threading
from pathlib import Path

threading.Event().wait(1)  # time.sleep fails where libfaketime (0.9.10) makes clocks wrong
exec(Path(__file__).with_name("workout.py").read_text())
