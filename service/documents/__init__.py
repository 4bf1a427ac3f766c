"""What we know about Bokeh's ``Document`` internals: ids, curdoc, encoding, disposal.

Every patch of Bokeh and every touch of a leading underscore lives here or in ``service.apps``,
each with the Bokeh version it was read from and a test that fails when Bokeh changes.
"""
