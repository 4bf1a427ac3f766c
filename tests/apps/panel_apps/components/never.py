"""What the app does not import, nobody else shall have imported: a script for its operators, say."""

from pathlib import Path

Path(__file__).with_name("imported").touch()


class Never:
    _css = ["house.css"]
