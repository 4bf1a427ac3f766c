"""What changed in a Document since its app built it, taken as fields for the store.

Events mark attributes as dirty; values are read when the fields are taken, so many changes of one attribute
cost one write. What is streamed into columns is noted as it comes. The fields are described in
:mod:`service.documents.entries`.

===========  ==================================================================================
``journal``  :class:`Journal`: takes note of events, and puts together what is to be written
``marks``    which attributes were set, in what order and by whom, and which of them are due
``rows``     what is streamed into columns, or patched in them
``causes``   which inputs gave models their callbacks, so that they can be repeated
``pages``    what pages are shown: the base, scripts' callbacks and classes
``writing``  values as they are written, and what is lost of them
``changes``  the fields that are taken; objects behind models, as a contract
===========  ==================================================================================
"""

from __future__ import annotations

from service.documents.journal.changes import Changes, Objects
from service.documents.journal.journal import Journal

__all__ = ("Changes", "Journal", "Objects")
