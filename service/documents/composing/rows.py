"""Columns of a data source after what was streamed into them, or patched in them.

Bokeh's own code for that is run on the columns as Python had them: what it makes of lists, arrays and their
types decides how they are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bokeh.core.property.wrappers import PropertyValueColumnData

from service.documents.entries import Chunk

__all__ = ("with_chunks",)


def with_chunks(columns: dict[str, Any], chunks: Iterable[Chunk]) -> dict[str, Any]:
    """The columns (bokeh 3.9 and 3.10: the document and the source are only told of). Chunks are decoded."""
    data: Any = PropertyValueColumnData(columns)
    for chunk in chunks:
        if chunk.is_stream:
            data._stream(None, None, chunk.columns, chunk.rollover)
        else:
            data._patch(
                None, None, {name: [tuple(each) for each in of] for name, of in chunk.columns.items()}
            )
    return dict(data)
