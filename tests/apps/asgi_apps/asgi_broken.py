from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.application.handlers.handler import Handler

from service import asgi


class Broken(Handler):
    def on_server_loaded(self, server_context):
        raise SystemExit("no licence")

    def modify_document(self, doc):
        pass


app = asgi.app(Application(Broken(), FunctionHandler(lambda doc: None)))
