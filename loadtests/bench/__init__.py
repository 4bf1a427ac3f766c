"""Our server and ``bokeh serve`` side by side: ``python -m loadtests.bench`` (or ``make bench``).

Servers run as child processes on one core, the load generator on another, and the two servers
take turns, so that whatever else the machine does hits both.
"""
