import panel as pn

pn.extension()
upload = pn.widgets.FileInput(name="upload")


def size(value):
    return f"{len(value)} bytes" if value else "nothing"


pn.Column(upload, pn.pane.Str(pn.bind(size, upload))).servable()
