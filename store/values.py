"""What users left, on its way into the store and out of it: in records, encrypted where that was asked for.

Scripts copy these values and never look into them: a session's request, its app and id, the fields of its
journal, which are named in the store by digests, and secrets that replicas agree on.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from hashlib import blake2b

from store import records
from store.contract import JournalFields, JournalWrite, PageRequest, SessionKey, UserTokens
from store.encryption import NO_CONTEXT, Encryption, Place
from store.errors import RecordDamaged
from store.pieces import Pieces
from store.records import Packed

__all__ = ("StoredValues", "field_of")

STAMP = b"write"
"""The journal's field that ``journal.lua`` writes: epoch and number of the last write."""

IDENTITY = (b"app", b"session_id")


class StoredValues:
    """``vault`` is for what must never be in a shared store in plain text."""

    def __init__(self, prefix: str, encryption: Encryption, vault: Encryption) -> None:
        self._prefix = prefix
        self._encryption = encryption
        self._vault = vault

    # -- requests ------------------------------------------------------------------------------

    def request(self, key: SessionKey, request: PageRequest, token_id: str = "") -> bytes:
        """With a ``token_id`` it is readable as that token's handoff, and in the record of its session."""
        encoded, context = records.encode_request(request), _token_context(token_id)
        return bytes(self._encryption.encrypt(self._of(key.tag, "request"), encoded, context))

    def read_request(self, tag: str, data: bytes, token_ids: Collection[str] | None = None) -> PageRequest:
        """``token_ids``: it was written with one of these; None for any. Raises RecordDamaged."""
        value, context = self._encryption.decrypt(self._of(tag, "request"), data)
        if context and token_ids is not None and context not in map(_token_context, token_ids):
            raise RecordDamaged("a stored page request belongs to another token")
        return records.decode_request(value)

    # -- sessions ------------------------------------------------------------------------------

    def identity(self, key: SessionKey) -> tuple[Packed, Packed]:
        """App and session id, for the session's record."""
        app, session_id = (part.encode("utf-8", "surrogatepass") for part in (key.app, key.session_id))
        return self._identity(key, b"app", app), self._identity(key, b"session_id", session_id)

    def read_session(self, tag: str, hash_: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """The session's hash with its values in plain text. Raises RecordDamaged."""
        places = {name: self._of(tag, "session", name.decode()) for name in IDENTITY}
        places[b"request"] = self._of(tag, "request")
        plain = {
            name: self._encryption.decrypt(place, hash_[name])[0]
            for name, place in places.items()
            if name in hash_
        }
        return {**hash_, **plain}

    def _identity(self, key: SessionKey, name: bytes, value: bytes) -> Packed:
        return self._encryption.encrypt(self._of(key.tag, "session", name.decode()), value)

    # -- journals ------------------------------------------------------------------------------

    def journal(self, write: JournalWrite) -> tuple[list[str], list[str | Packed]]:
        """The fields to remove; then those to set, each name followed by its value."""
        tag, context = write.key.tag, struct.pack(">Q", write.epoch)
        names = self._of(tag, "names")
        removed = [self._encryption.hidden(names, name) for name in write.remove]
        pairs: list[str | Packed] = []
        for name, value in write.put.items():
            hidden = self._encryption.hidden(names, name)
            if self._encryption.writes:
                place = self._of(tag, "journal", hidden)
                value = self._encryption.encrypt(place, _named(name, value), context)
            pairs += [hidden, value]
        return removed, pairs

    def read_journal(self, tag: str, found: Mapping[bytes, bytes]) -> JournalFields:
        """What the journal's hash says."""
        fields, names = JournalFields(), self._of(tag, "names")
        try:
            last_epoch = int(found.get(STAMP, b"0").partition(b"/")[0])
            for stored, data in found.items():
                if stored != STAMP:
                    name, value = self._read_field(tag, stored.decode(), data, last_epoch)
                    fields[name] = value
                    fields.outdated |= self._encryption.hidden(names, name) != stored.decode()
        except (RecordDamaged, ValueError) as error:  # ValueError: a name or number that nobody of us wrote
            fields.clear()
            fields.damage = str(error)
        return fields

    def _read_field(self, tag: str, stored: str, data: bytes, last_epoch: int) -> tuple[str, bytes]:
        value, context = self._encryption.decrypt(self._of(tag, "journal", stored), data)
        if context is None:
            return stored, value
        if int.from_bytes(context, "big") > last_epoch:
            raise RecordDamaged("a field of the journal is of a later owner than the last one that wrote it")
        return _unnamed(value)

    # -- shared values -------------------------------------------------------------------------

    def shared(self, tag: str, key: str, value: bytes) -> bytes:
        """With its key, which is not to be read in the store where that is encrypted."""
        place = self._of(tag, "shared", field_of(key))
        return bytes(self._encryption.encrypt(place, bytes(_named(key, value))))

    def shared_name(self, tag: str, key: str) -> bytes:
        """The name alone, which is there longer than its value."""
        encoded = key.encode("utf-8", "surrogatepass")
        return bytes(self._encryption.encrypt(self._of(tag, "shared name"), encoded))

    def read_shared_name(self, tag: str, data: bytes) -> str:
        """Raises RecordDamaged."""
        name, _ = self._encryption.decrypt(self._of(tag, "shared name"), data)
        return name.decode("utf-8", "surrogatepass")

    def read_shared(self, tag: str, field: str, data: bytes) -> tuple[str, bytes]:
        """Its key and value. Raises RecordDamaged."""
        named, _ = self._encryption.decrypt(self._of(tag, "shared", field), data)
        try:
            return _unnamed(named)
        except (struct.error, UnicodeDecodeError) as error:
            raise RecordDamaged("a shared value is damaged") from error

    # -- messages ------------------------------------------------------------------------------

    def message(self, tag: str, value: bytes) -> bytes:
        return bytes(self._encryption.encrypt(self._of(tag, "message"), value))

    def read_message(self, tag: str, data: bytes) -> bytes:
        """Raises RecordDamaged."""
        return self._encryption.decrypt(self._of(tag, "message"), data)[0]

    # -- results -------------------------------------------------------------------------------

    def result_field(self, tag: str, key: str) -> str:
        """Arguments could be guessed from a digest that has no key."""
        return self._encryption.hidden(self._of(tag, "results"), key)

    def result(self, tag: str, field: str, data: Packed) -> Packed:
        return self._encryption.encrypt(self._of(tag, "result", field), data)

    def read_result(self, tag: str, field: str, data: bytes) -> bytes:
        """Raises RecordDamaged."""
        return self._encryption.decrypt(self._of(tag, "result", field), data)[0]

    # -- tasks ---------------------------------------------------------------------------------

    def task(self, tag: str, field: str, text: str) -> bytes:
        encoded = text.encode("utf-8", "surrogatepass")
        return bytes(self._encryption.encrypt(self._of(tag, "task", field), encoded))

    def read_task(self, tag: str, field: str, data: bytes) -> str:
        """Raises RecordDamaged."""
        return self._encryption.decrypt(self._of(tag, "task", field), data)[0].decode(
            "utf-8", "surrogatepass"
        )

    # -- jobs ----------------------------------------------------------------------------------

    def job(self, tag: str, field: str, value: bytes) -> bytes:
        return bytes(self._encryption.encrypt(self._of(tag, "job", field), value))

    def read_job(self, tag: str, field: str, data: bytes) -> bytes:
        """Raises RecordDamaged."""
        return self._encryption.decrypt(self._of(tag, "job", field), data)[0]

    # -- secrets -------------------------------------------------------------------------------

    def secret(self, name: str, secret: str) -> Packed:
        return self._encryption.encrypt(self._of("", "secret", name), secret.encode())

    def read_secret(self, name: str, data: bytes) -> str:
        """Raises RecordDamaged."""
        return self._encryption.decrypt(self._of("", "secret", name), data)[0].decode()

    # -- users' tokens -------------------------------------------------------------------------

    def login_tag(self, login: str) -> str:
        """Stands for the login in key names."""
        return blake2b(login.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def tokens(self, login: str, tokens: UserTokens) -> bytes:
        place = self._of(self.login_tag(login), "tokens")
        return bytes(self._vault.encrypt(place, records.encode_tokens(tokens)))

    def read_tokens(self, login: str, data: bytes, number: int) -> UserTokens:
        """Raises RecordDamaged."""
        value, _ = self._vault.decrypt(self._of(self.login_tag(login), "tokens"), data)
        return records.decode_tokens(value, number)

    def is_ours(self, data: bytes) -> bool:
        """Whether it stays readable when the secret that was used before is dropped."""
        return self._encryption.is_ours(data)

    def _of(self, tag: str, kind: str, field: str = "") -> Place:
        return Place(self._prefix, kind, tag, field)


def _token_context(token_id: str) -> bytes:
    if not token_id:
        return NO_CONTEXT
    return blake2b(token_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def field_of(key: str) -> str:
    """The field of a shared value: the same with and without encryption, and with any secret."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _named(name: str, value: Packed) -> Packed:
    """The name is hidden in the store, so it travels with the value."""
    text = name.encode("utf-8", "surrogatepass")
    head = struct.pack(">I", len(text)) + text
    return Pieces((head, *value.parts)) if isinstance(value, Pieces) else head + value


def _unnamed(value: bytes) -> tuple[str, bytes]:
    (length,) = struct.unpack_from(">I", value)
    return value[4 : 4 + length].decode("utf-8", "surrogatepass"), value[4 + length :]
