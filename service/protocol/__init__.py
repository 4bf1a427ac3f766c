"""BokehJS's wire format without I/O: frames in, messages out, and back."""

from service.protocol.framing import Assembler
from service.protocol.messages import (
    MSGTYPES,
    Frame,
    Frames,
    Message,
    ack,
    compose,
    error,
    new_msgid,
    ok,
    patch_doc,
    pull_doc_reply,
    pull_doc_req,
    server_info_reply,
    server_info_req,
)

__all__ = (
    "MSGTYPES",
    "Assembler",
    "Frame",
    "Frames",
    "Message",
    "ack",
    "compose",
    "error",
    "new_msgid",
    "ok",
    "patch_doc",
    "pull_doc_reply",
    "pull_doc_req",
    "server_info_reply",
    "server_info_req",
)
