from program import powers

from service import asgi

app = asgi.app({"/powers": powers})
