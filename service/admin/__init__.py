"""The admin page: the fleet in a browser, served as one more Bokeh app of this server."""
