"""All that differs between the lines of Bokeh that this server runs on.

One module per line, with the same names in each; :mod:`service.lines.contract` says what every line
has to provide. Everybody else imports :data:`line` from here and never asks for a version.
"""

from service.lines.choice import check_bokeh, line
from service.lines.contract import Line

__all__ = ("Line", "check_bokeh", "line")
