"""What the parts without I/O must do with any bytes: raise what they document, or nothing, within bounds.

``python -m loadtests.fuzz.pure TARGET --seconds N --seed N --save FOLDER`` runs one of them; with atheris, if
it is installed, which finds inputs that reach new code, else with plain mutations of the examples here. It
exits with 0 when nothing was found. A file name instead of ``--seconds`` runs that one input again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from bokeh.core.serialization import DeserializationError

from loadtests.fuzz.mutations import mutated

try:
    import atheris
except ImportError:  # no wheel for this Python or machine
    atheris = None

__all__ = ("TARGETS", "Target")

if TYPE_CHECKING:
    from service import errors, page_versions, tokens
    from service.documents import entries, unpacking, values
    from service.protocol import framing, websocket
    from store import errors as store_errors
    from store import records


def _load() -> None:
    global \
        framing, \
        websocket, \
        unpacking, \
        entries, \
        tokens, \
        errors, \
        records, \
        store_errors, \
        values, \
        page_versions
    from service import errors, page_versions, tokens
    from service.documents import entries, unpacking, values
    from service.protocol import framing, websocket
    from store import errors as store_errors
    from store import records


if atheris is None:
    _load()
else:
    with atheris.instrument_imports(include=["service.protocol", "service.tokens", "service.bokeh_tokens",
                                             "service.documents.unpacking", "service.documents.entries",
                                             "service.documents.values", "service.documents.scalars",
                                             "service.documents.arrays", "service.documents.columns",
                                             "service.page_versions", "store.records",
                                             "store.pieces"]):  # fmt: skip
        _load()

LIMIT = 4096
"""Bytes that any message may have here."""

RSS_LIMIT_MB = 1024
"""What a run may take in all; what an input of 4 KB becomes may not come near."""


@dataclass(frozen=True)
class Target:
    """``run`` raises what is a finding; ``examples`` are where mutations begin."""

    run: Callable[[bytes], None]
    examples: Sequence[bytes]


# -- WebSocket frames ----------------------------------------------------------------------------


def frames(data: bytes) -> None:
    """The same messages and the same error, in whatever pieces the bytes come; none is over the limit."""
    if not data:
        return
    kind, rest = data[0], data[1:]
    whole = _read(kind, rest, len(rest) or 1)
    pieces = _read(kind, rest, 1 + kind % 7)
    assert whole == pieces, f"{whole!r} in one piece, {pieces!r} in several"
    assert all(len(payload) <= LIMIT for _, payload in whole[0]), "a message is over the limit"
    for opcode, payload in whole[0]:
        if opcode == websocket.CLOSE:
            answer = websocket.answer_to_close(payload)
            assert answer is None or 1000 <= answer < 5000, f"closed with {answer}"


def _read(kind: int, data: bytes, size: int) -> tuple[list[tuple[int, bytes]], str]:
    reader = websocket.FrameReader(LIMIT)
    if kind & 64:
        reader.inflater = websocket.Inflater(LIMIT, forgetful=bool(kind & 32))
    found: list[tuple[int, bytes]] = []
    try:
        for at in range(0, len(data), size):
            for message in reader.feed(data[at : at + size]):
                if message[0] == websocket.TEXT:
                    message[1].decode()  # as whoever gets it does; what is in pieces is refused earlier
                found.append(message)
    except websocket.FrameError as error:
        return found, f"{error.close_code}"
    except UnicodeDecodeError:
        return found, "1007"
    return found, ""


def offers(data: bytes) -> None:
    for offer in websocket.compression_offers(data.decode("latin-1")):
        for name in ("server_max_window_bits", "client_max_window_bits"):
            assert 9 <= int(offer.get(name) or 15) <= 15, offer


# -- messages ------------------------------------------------------------------------------------


def messages(data: bytes) -> None:
    """Frames are what NULs part; those that begin with 1 are binary."""
    assembler = framing.Assembler(max_bytes=LIMIT, max_buffers=4)
    with suppress(errors.ProtocolError):
        for part in data.split(b"\0"):
            binary = part[:1] == b"\1"
            message = assembler.feed(part if binary else part.decode("utf-8", "replace"))
            if message is not None:
                assert isinstance(message.content, dict)
                assert 0 < len(message.msgid) <= framing.MAX_ID_LENGTH


def arrays(data: bytes) -> None:
    with suppress(zlib.error, ValueError):
        wbits = zlib.MAX_WBITS | (16 if data[:1] == b"\x1f" else 0)
        assert len(unpacking.inflate(data, most=LIMIT, wbits=wbits)) <= LIMIT, "unpacked over the limit"


# -- what is stored ------------------------------------------------------------------------------


def stored(data: bytes) -> None:
    for read in (
        lambda: records.decode_request(data),
        lambda: records.decode_heartbeat(data, left_ms=1),
        lambda: records.decode_session({b"v": b"1", b"state": data[:9], b"app": data, b"epoch": data}),
        lambda: records.unpack_entry(data),
    ):
        with suppress(store_errors.RecordError):
            read()


def journals(data: bytes) -> None:
    """A journal with a damaged field: refused as a whole, or read without it if that is of one value."""
    names = ("meta", "base", "exact", "v:p1:value", "m:p2", "c:p1:1", "p:p1", "a:key")
    meta = entries.Meta(1, 1, "shape", "1").pack()
    for name in names:
        with suppress(store_errors.RecordError):
            entries.Stored.unpack({"meta": meta, name: data})


def read_values(data: bytes) -> None:
    """A value in a stored journal that is not what was written."""
    with suppress(store_errors.RecordError, DeserializationError):
        values.ValueReader(()).decode(records.unpack_entry(data))


# -- what is signed ------------------------------------------------------------------------------

APP = "/app"
_NOW = 1_700_000_000.0


def signed(data: bytes) -> None:
    """No token that we did not make is good; what is refused is refused by a TokenError."""
    text = data.decode("latin-1")
    for authority in _authorities():
        with suppress(errors.TokenError):
            token = authority.verify(text, APP)
            assert not token.minted_by_us or text in _OURS, f"forged: {text}"
            assert not authority.session_ids.must_sign or text in _OURS, f"forged: {text}"
        with suppress(errors.TokenError):
            authority.verify_relay(text, "replica", now=_NOW)
            assert text in _OURS, f"forged: {text}"
        with suppress(errors.TokenError):
            authority.check_session_id(text)
    page_versions.PageVersions.from_text(text)


def _authorities() -> list[tokens.TokenAuthority]:
    return [tokens.TokenAuthority("secret", session_ids=mode) for mode in tokens.SessionIds]


_maker = _authorities()[0]
_OURS = [
    _maker.mint(APP, "session", lifetime=300, now=_NOW, token_id="id"),
    *_maker.mint_relay(APP, "session", 3, "replica", now=_NOW),
]
_BOKEH = [
    "eyJzZXNzaW9uX2lkIjogInMiLCAic2Vzc2lvbl9leHBpcnkiOiAxNzAwMDAwMzAwfQ",
    "eyJzZXNzaW9uX2lkIjogInMiLCAiX19ia19femxpYl8iOiAiZUp5cnJnVUFBWFVBLVEiLCAic2Vzc2lvbl9leHBpcnkiOiAxfQ",
]


def _masked(first: int, payload: bytes) -> bytes:
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


TARGETS = {
    "frames": Target(frames, [
        b"\0" + _masked(0x81, b"hello") + _masked(0x82, b"\xff") + _masked(0x89, b"ping"),
        b"\0" + _masked(0x01, "ä".encode()[:1]) + _masked(0x89, b"") + _masked(0x80, "ä".encode()[1:]),
        b"\0" + _masked(0x88, b"\x03\xe8bye"),
        b"\x40" + _masked(0xC1, zlib.compress(b"x" * 99)[2:-4]) + _masked(0xC1, b"\x02\x00"),
        b"\0\x81\xfe\x00\x7e" + bytes(4) + b"x" * 126,
    ]),
    "offers": Target(offers, [
        b"permessage-deflate; client_max_window_bits; server_max_window_bits=10, x-other",
        b'permessage-deflate; server_no_context_takeover; client_max_window_bits="9"',
    ]),
    "messages": Target(messages, [
        b'{"msgid":"1","msgtype":"PATCH-DOC","num_buffers":1}\0{}\0{"events":[]}\0{"id":"b"}\0\1bytes',
        b'{"msgid":"1","msgtype":"PULL-DOC-REQ"}\0{}\0{}\0{"msgid":"2","msgtype":"OK","reqid":"1"}\0{}\0{}',
    ]),
    "arrays": Target(arrays, [zlib.compress(bytes(9999)),
    b"\x1f\x8b\x08\0\0\0\0\0\0\3\x4b\4\0\x43\xbe\xb7\xe8\1\0\0\0"]),
    "stored": Target(stored, [bytes(records.pack_entry([1, {"a": b"b"}, None, 1.5])), b"\x81\xa1v\x01"]),
    "journals": Target(journals, [
        bytes(entries.Base('{"doc":{}}', [("b", b"data")]).pack()),
        bytes(entries.Value(1, True, 2, "Slider", "slider", 3).pack()),
        bytes(records.pack_entry([[True, {"x": [1]}, 9]])),
    ]),
    "values": Target(read_values, [
        bytes(records.pack_entry(values.ValueWriter().encode(value)))
        for value in (
            1 << 70, (1, "a"), {"k": [1.5, None]}, Decimal("1.5"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 1j,
            dt.timedelta(1), range(3), frozenset("a"), np.arange(3), np.datetime64("2026", "D"), np.str_("s"),
            np.ma.masked_array([1, 2], [False, True]), np.array(["a", None]), np.zeros((2, 2), ">f4"),
            [1, 2, 3], pd.Series(["a", "b"], dtype="category"), pd.to_datetime(["2026-01-01"]),
            pd.array([1, None], "Int64"),
        )
    ]),
    "signed": Target(signed, [each.encode() for each in (*_OURS, *_BOKEH)]),
}  # fmt: skip


# -- running -------------------------------------------------------------------------------------


def guarded(name: str, run: Callable[[bytes], None], save: Path) -> Callable[[bytes], None]:
    """``run``, which saves an input that is a finding and raises what it raised."""

    def one(data: bytes) -> None:
        try:
            run(data)
        except Exception:
            save.mkdir(parents=True, exist_ok=True)
            path = save / f"{name}-{sha1(data, usedforsecurity=False).hexdigest()[:12]}"
            path.write_bytes(data)
            traceback.print_exc()
            print(f"FOUND {path}", flush=True)
            raise

    return one


def run_with_atheris(name: str, target: Target, options: argparse.Namespace) -> None:
    """Does not return: libFuzzer ends the process, with 0 when the time is over and nothing was found."""
    with TemporaryDirectory(prefix="fuzz-") as folder:
        for number, example in enumerate(target.examples):
            Path(folder, f"{number}").write_bytes(example)
        save = options.save.resolve()
        save.mkdir(parents=True, exist_ok=True)
        arguments = [
            "fuzz", folder, f"-seed={options.seed}", f"-max_total_time={options.seconds}", "-max_len=4096",
            f"-artifact_prefix={save}/{name}-", f"-rss_limit_mb={RSS_LIMIT_MB}", "-timeout=20",
            "-verbosity=0", "-print_final_stats=1",
        ]  # fmt: skip
        atheris.Setup(arguments, guarded(name, target.run, save))
        atheris.Fuzz()


def run_plainly(name: str, target: Target, options: argparse.Namespace) -> None:
    one, rng = guarded(name, target.run, options.save), random.Random(options.seed)
    until, runs = time.monotonic() + options.seconds, 0
    while time.monotonic() < until:
        one(mutated(rng.choice(target.examples), rng))
        runs += 1
    print(f"{name}: {runs} runs, without atheris")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fuzz.pure", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("file", type=Path, nargs="?", help="run this input again, and nothing else")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args(argv)
    target = TARGETS[options.target]
    # What numpy and pandas say of odd values is not for whoever watches.
    warnings.simplefilter("ignore")
    if options.file:
        target.run(options.file.read_bytes())
    elif atheris is not None:
        run_with_atheris(options.target, target, options)
    else:
        run_plainly(options.target, target, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
