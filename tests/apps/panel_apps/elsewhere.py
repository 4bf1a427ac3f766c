"""The app itself is a library beside; this file only shows it."""

from dashlib import dashboard

dashboard().servable()
