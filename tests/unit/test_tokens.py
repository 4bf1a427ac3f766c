"""Tokens: ours and Bokeh's pass, everything else does not, and nothing of them gets into messages."""

from __future__ import annotations

import base64
import json
import math
import string
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from bokeh.util import token as bokeh_token
from hypothesis import given
from hypothesis import strategies as st

from service import bokeh_tokens
from service.errors import ConfigError, TokenError, TokenExpired, TokenInvalid
from service.tokens import MAX_TOKEN_LENGTH, RelayGrant, SessionIds, TokenAuthority, generate_secret

KEY = "a secret"
NOW = 1_750_000_000.5
SIGNED_MODES = [SessionIds.SIGNED, SessionIds.EXTERNAL_SIGNED]


def authority(mode: SessionIds = SessionIds.UNSIGNED, key: str = KEY, **options: Any) -> TokenAuthority:
    return TokenAuthority(key, session_ids=mode, **options)


def minted(app: str = "/app", session_id: str = "session", key: str = KEY) -> str:
    return authority(key=key).mint(app, session_id, lifetime=300, now=NOW)


def refusal(token: str, app: str = "/app", mode: SessionIds = SessionIds.UNSIGNED, **options: Any) -> str:
    with pytest.raises(TokenInvalid) as caught:
        authority(mode, **options).verify(token, app)
    return str(caught.value)


def bokeh_minted(session_id: str = "session", *, key: str = KEY, signed: bool = False, **payload: Any) -> str:
    return bokeh_token.generate_jwt_token(
        session_id,  # type: ignore[arg-type]
        key.encode(),
        signed=signed,
        extra_payload=payload or None,
    )


def bokeh_id(key: str = KEY) -> str:
    return bokeh_token.generate_session_id(key.encode(), signed=True)


def packed(fields: Any) -> str:
    """An unsigned Bokeh token, whatever is in it."""
    return encoded(json.dumps(fields).encode())


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parsed_by_bokehjs(token: str) -> dict[str, Any]:
    """``parse_token`` of BokehJS's client/connection.js."""
    payload = token.split(".")[0]
    payload += "=" * (-len(payload) % 4)
    fields: dict[str, Any] = json.loads(base64.b64decode(payload.replace("_", "/").replace("-", "+")))
    return fields


# -- ours ----------------------------------------------------------------------------------------


def test_minted_token_verifies() -> None:
    token = authority().mint("/app", "session", lifetime=300, now=NOW, token_id="t1")

    verified = authority().verify(token, "/app")

    assert (verified.session_id, verified.token_id, verified.minted_by_us) == ("session", "t1", True)
    assert verified.expiry == math.ceil(NOW + 300)
    assert verified.payload is None


def test_token_ids_differ() -> None:
    ids = {authority().verify(minted(), "/app").token_id for _ in range(50)}

    assert len(ids) == 50


def test_bokehjs_finds_session_and_expiry() -> None:
    envelope = parsed_by_bokehjs(minted(session_id="id-ü"))

    assert envelope["session_id"] == "id-ü"
    assert envelope["session_expiry"] == math.ceil(NOW + 300)


def test_bokeh_reads_the_session_id_as_bokehjs_does() -> None:
    assert bokeh_token.get_session_id(minted()) == "session"


def test_token_is_under_500_bytes_with_a_signed_id_and_a_long_path() -> None:
    signed_id = authority(SessionIds.SIGNED).new_session_id()

    assert len(minted("/some/rather/long/path/of-an-app", signed_id)) < 500


def test_old_token_verifies_and_says_that_it_is_old() -> None:
    verified = authority().verify(minted(), "/app")

    assert not verified.expired(NOW + 299)
    assert verified.expired(NOW + 301)


def test_token_of_another_app_is_refused() -> None:
    assert refusal(minted("/app"), "/app2") == "the token was made for something else"


def test_token_of_another_fleet_is_refused() -> None:
    assert refusal(minted(key="another")) == "the token's signature is wrong"


def test_token_from_before_the_rotation_is_accepted_and_new_ones_use_the_new_key() -> None:
    rotated = TokenAuthority("new", KEY)

    assert rotated.verify(minted(), "/app").session_id == "session"
    new = rotated.mint("/app", "session", lifetime=300, now=NOW)
    assert refusal(new) == "the token's signature is wrong"
    assert TokenAuthority("new").verify(new, "/app")


def forged(key: Any, algorithm: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    claims = {"aud": "svc:/app", "exp": int(NOW), "jti": "x", **claims}
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(claims, key, algorithm, headers={"session_id": "s"} if header is None else header)


def own_key() -> bytes:
    return authority()._session_keys[0]


def test_unsigned_jwt_is_refused() -> None:
    assert refusal(forged(None, "none")) == "the token is malformed"


def test_jwt_of_another_algorithm_is_refused_even_with_the_right_key() -> None:
    assert refusal(forged(own_key() * 2, "HS512")) == "the token is malformed"


def test_raw_secret_signs_no_jwt() -> None:
    key = "k" * 64

    assert refusal(forged(key.encode(), "HS256"), key=key) == "the token's signature is wrong"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ...},
        {"exp": ...},
        {"jti": ...},
        {"jti": ""},
        {"jti": 7},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"header": {}},
        {"header": {"session_id": ""}},
        {"header": {"session_id": 7}},
        {"header": {"session_id": "a\nb"}},
        {"header": {"session_id": "x" * 257}},
    ],
    ids=str,
)
def test_rightly_signed_jwt_that_is_incomplete_is_refused(claims: dict[str, Any]) -> None:
    assert refusal(forged(own_key(), "HS256", **claims))


def test_session_id_in_the_header_is_signed() -> None:
    head, body, signature = minted().split(".")
    header = parsed_by_bokehjs(head) | {"session_id": "somebody-else"}

    assert refusal(f"{packed(header)}.{body}.{signature}") == "the token's signature is wrong"


ours = minted()


@given(st.integers(0, len(ours) - 1), st.sampled_from("Aaz09-_.=+ \n"))
def test_no_changed_character_passes(position: int, character: str) -> None:
    changed = ours[:position] + character + ours[position + 1 :]
    if changed != ours:
        assert refusal(changed)


@given(st.integers(0, len(ours) - 1))
def test_no_truncated_token_passes(length: int) -> None:
    assert refusal(ours[:length])


@given(st.text(max_size=60) | st.text("abcXYZ019-_.", max_size=60) | st.binary(max_size=60).map(encoded))
def test_any_text_verifies_or_is_refused(text: str) -> None:
    assert refusal(text)


def test_first_segment_of_ours_is_no_unsigned_token() -> None:
    assert refusal(minted().split(".")[0]) == "the token is cut off"


# -- Bokeh's -------------------------------------------------------------------------------------


def test_bokehs_unsigned_token_is_accepted_in_unsigned_mode() -> None:
    verified = authority().verify(bokeh_minted("session"), "/any")

    assert (verified.session_id, verified.minted_by_us, verified.payload) == ("session", False, {})
    assert isinstance(verified.expiry, float)
    assert not verified.expired(verified.expiry - 1)


def test_bokehs_payload_comes_out_as_bokeh_reads_it() -> None:
    token = bokeh_minted(
        headers={"Host": "h"}, cookies={"c": "ü"}, arguments={"a": [b"\xff", b""]}, bytes=b"x", more=[1]
    )

    verified = authority().verify(token, "/app")

    theirs = bokeh_token.get_token_payload(token)
    assert verified.expiry == theirs.pop("session_expiry")
    assert verified.payload == theirs


@pytest.mark.parametrize("mode", SessionIds)
def test_bokehs_signed_token_is_accepted_in_every_mode(mode: SessionIds) -> None:
    session_id = bokeh_id()

    verified = authority(mode).verify(bokeh_minted(session_id, signed=True, cookies={}), "/app")

    assert verified.session_id == session_id


@pytest.mark.parametrize("mode", SessionIds)
def test_wrong_signature_is_refused_in_every_mode(mode: SessionIds) -> None:
    token = bokeh_minted(bokeh_id(), key="another", signed=True)

    assert refusal(token, mode=mode) == "the token's signature is wrong"


@pytest.mark.parametrize("mode", SIGNED_MODES)
def test_signed_modes_refuse_unsigned_tokens_and_ids(mode: SessionIds) -> None:
    assert "not signed" in refusal(bokeh_minted(bokeh_id()), mode=mode)
    assert "session id" in refusal(bokeh_minted("unsigned id", signed=True), mode=mode)
    assert "session id" in refusal(bokeh_minted(bokeh_id("another"), signed=True), mode=mode)


def test_bokehs_token_from_before_the_rotation_is_accepted() -> None:
    rotated = TokenAuthority("new", KEY, session_ids=SessionIds.SIGNED)

    assert rotated.verify(bokeh_minted(bokeh_id(), signed=True), "/app")


def test_signature_is_checked_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: Any, **__: Any) -> Any:
        pytest.fail("parsed an unverified token")

    monkeypatch.setattr("service.tokens.parse_object", parse)

    assert refusal(packed({"session_id": "s"}) + "." + encoded(b"wrong")) == "the token's signature is wrong"


def test_payload_that_inflates_too_far_is_refused() -> None:
    bomb = zlib.compress(b'{"a": "' + b" " * 20_000_000 + b'"}')
    token = packed({"session_id": "s", "session_expiry": 1, "__bk__zlib_": encoded(bomb)})

    assert refusal(token) == "the token's payload is over 65536 bytes"


def test_limits_are_the_callers() -> None:
    assert "over 10 bytes" in refusal(bokeh_minted(cookies={"a": "b" * 10}), max_payload=10)
    assert refusal(bokeh_minted(), max_token_length=10) == "the token is too long"


def test_token_over_the_limit_is_refused() -> None:
    assert refusal("A" * (MAX_TOKEN_LENGTH + 1)) == "the token is too long"


DEFLATED = zlib.compress(b"{}")


@pytest.mark.parametrize(
    "payload",
    [
        7,
        [],
        {"a": 1},
        "!",
        "A",
        "AAAA",
        encoded(DEFLATED[:-1]),
        encoded(DEFLATED + b"more"),
        encoded(zlib.compress(b"[]")),
        encoded(zlib.compress(b"nonsense")),
        encoded(zlib.compress(b"[" * 60_000)),
        encoded(zlib.compress(b'{"a": {"bytes": 7}}')),
        encoded(zlib.compress(b'{"a": {"bytes": "\xc3\xbc"}}')),
        encoded(zlib.compress(b'{"bytes": "AAAA"}')),
    ],
    ids=repr,
)
def test_malformed_payload_is_refused(payload: Any) -> None:
    assert refusal(packed({"session_id": "s", "session_expiry": 1, "__bk__zlib_": payload}))


@pytest.mark.parametrize(
    "fields",
    [
        [],
        None,
        {},
        {"session_id": "s"},
        {"session_expiry": 1},
        {"session_id": "", "session_expiry": 1},
        {"session_id": 1, "session_expiry": 1},
        {"session_id": ["s"], "session_expiry": 1},
        {"session_id": "s", "session_expiry": "1"},
        {"session_id": "s", "session_expiry": None},
        {"session_id": "s", "session_expiry": True},
        {"session_id": "s", "session_expiry": math.nan},
        {"session_id": "s", "session_expiry": 10**400},
    ],
    ids=str,
)
def test_malformed_fields_are_refused(fields: Any) -> None:
    assert refusal(packed(fields))


def test_payload_cannot_replace_session_or_expiry() -> None:
    extra = encoded(zlib.compress(b'{"session_id": "other", "session_expiry": 9e9, "a": 1}'))

    verified = authority().verify(
        packed({"session_id": "s", "session_expiry": 1, "__bk__zlib_": extra}), "/app"
    )

    assert (verified.session_id, verified.expiry, verified.payload) == ("s", 1.0, {"a": 1})


def test_bokehs_token_gets_an_id_that_ours_cannot_have() -> None:
    token = bokeh_minted()

    assert authority().verify(token, "/app").token_id == authority().verify(token, "/app").token_id
    assert len(authority().verify(token, "/app").token_id) > len(
        authority().verify(minted(), "/app").token_id
    )


payloads = st.dictionaries(
    st.text(max_size=8).filter(
        lambda key: key not in ("session_id", "session_expiry", "bytes", "__bk__zlib_")
    ),
    st.text(max_size=20)
    | st.binary(max_size=20)
    | st.lists(st.binary(max_size=8), max_size=3)
    | st.booleans(),
    min_size=1,
)


@given(payloads, st.booleans())
def test_every_payload_bokeh_can_pack_comes_back(payload: dict[str, Any], signed: bool) -> None:
    token = bokeh_token.generate_jwt_token(
        "s",  # type: ignore[arg-type]
        KEY.encode(),
        signed=signed,
        extra_payload=payload,
    )

    assert authority().verify(token, "/app").payload == payload


# -- ids and secrets -----------------------------------------------------------------------------


def test_new_id_is_44_letters_and_digits() -> None:
    session_id = authority().new_session_id()

    assert len(session_id) == 44
    assert session_id.isalnum()
    assert session_id.isascii()


def test_signed_id_is_accepted_by_bokeh() -> None:
    session_id = authority(SessionIds.SIGNED).new_session_id()

    assert bokeh_token.check_session_id_signature(session_id, KEY.encode(), signed=True)


@pytest.mark.parametrize("mode", SIGNED_MODES)
def test_bokehs_signed_id_is_accepted(mode: SessionIds) -> None:
    authority(mode).check_session_id(bokeh_id())


@pytest.mark.parametrize("mode", SIGNED_MODES)
@pytest.mark.parametrize(
    "session_id",
    [
        *("plain", "plain.", ".", "a.b", "ü.ü"),
        pytest.param(bokeh_id("another"), id="of another key"),
        pytest.param(bokeh_id() + "x", id="changed"),
    ],
)
def test_signed_modes_refuse_other_ids(mode: SessionIds, session_id: str) -> None:
    with pytest.raises(TokenInvalid):
        authority(mode).check_session_id(session_id)


def test_external_mode_makes_no_ids() -> None:
    with pytest.raises(TokenInvalid, match="external-signed"):
        authority(SessionIds.EXTERNAL_SIGNED).new_session_id()


@pytest.mark.parametrize("session_id", ["a", "default", "with space", "ü", "x" * 256, "a.b.c"])
def test_unsigned_mode_takes_any_sensible_id(session_id: str) -> None:
    authority().check_session_id(session_id)


@pytest.mark.parametrize(
    "session_id", ["", "x" * 257, "a\n", "\x00", "a\x7f", "\u2028", "\ud800", None, b"a"]
)
def test_no_mode_takes_a_senseless_id(session_id: Any) -> None:
    with pytest.raises(TokenInvalid):
        authority().check_session_id(session_id)


@pytest.mark.parametrize(("secret", "previous"), [("", None), ("", "x"), ("x", "")])
def test_empty_secret_is_refused(secret: str, previous: str | None) -> None:
    with pytest.raises(ConfigError):
        TokenAuthority(secret, previous)


def test_generated_secrets_are_long_and_differ() -> None:
    assert len({generate_secret() for _ in range(20)}) == 20
    assert len(generate_secret()) == 44


# -- relay ---------------------------------------------------------------------------------------


def relay(target: str = "r1", now: float = NOW, key: str = KEY) -> str:
    return authority(key=key).mint_relay("/app", "session", 7, target, now=now)[0]


def test_relay_token_names_session_and_epoch() -> None:
    assert authority().verify_relay(relay(), "r1", now=NOW) == RelayGrant("/app", "session", 7)


def test_relay_token_expires() -> None:
    assert authority().verify_relay(relay(), "r1", now=NOW + 29)
    with pytest.raises(TokenExpired):
        authority().verify_relay(relay(), "r1", now=NOW + 30)


@pytest.mark.parametrize(
    "make",
    [
        lambda: relay("r2"),
        lambda: relay(key="another"),
        lambda: minted(),
        lambda: minted("r1"),
        lambda: bokeh_minted(),
        lambda: "",
        lambda: relay() + "A",
        lambda: relay()[:-2],
    ],
    ids=[
        "other target",
        "other key",
        "session token",
        "session token for r1",
        "bokeh",
        "empty",
        "longer",
        "shorter",
    ],
)
def test_other_tokens_do_not_relay(make: Callable[[], str]) -> None:
    with pytest.raises(TokenInvalid):
        authority().verify_relay(make(), "r1", now=NOW)


def test_relay_token_opens_no_session() -> None:
    assert refusal(relay())


@pytest.mark.parametrize(
    ("dialling", "dialled"),
    [
        (("new", "old"), ("old", None)),
        (("old", None), ("new", "old")),
        (("newest", "new"), ("new", "old")),
        (("new", "old"), ("new", "old")),
    ],
)
def test_relays_work_while_a_key_is_rotated_one_replica_after_the_other(
    dialling: tuple[str, str | None], dialled: tuple[str, str | None]
) -> None:
    """Keys as (present, previous) of either replica."""
    mine, theirs = TokenAuthority(*dialling), TokenAuthority(*dialled)
    tokens = mine.mint_relay("/app", "session", 7, "r1", now=NOW)

    assert any(accepts(theirs, token) for token in tokens)


def accepts(authority: TokenAuthority, token: str) -> bool:
    try:
        authority.verify_relay(token, "r1", now=NOW)
    except TokenInvalid:
        return False
    return True


def test_relay_survives_rotation() -> None:
    assert TokenAuthority("new", KEY).verify_relay(relay(), "r1", now=NOW)


# -- what errors say -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [minted("/other"), minted()[:-3], minted(key="another"), bokeh_minted("s" * 300), "x y z", "a.b.c.d"],
)
def test_no_error_holds_or_chains_any_token_text(token: str) -> None:
    with pytest.raises(TokenError) as caught:
        authority().verify(token, "/app")

    assert token[:12] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_each_letter_of_a_random_id_is_as_likely_as_any_other() -> None:
    of_all_bytes = bytes(range(256)).translate(bokeh_tokens._LETTERS, bokeh_tokens._UNFAIR)
    assert set(Counter(of_all_bytes).values()) == {4}
    assert sorted(map(chr, set(of_all_bytes))) == sorted(string.ascii_letters + string.digits)


@pytest.mark.parametrize("length", [1, 44, 100])
def test_a_random_id_has_the_length_asked_for(length: int) -> None:
    text = bokeh_tokens.random_string(length)
    assert len(text) == length
    assert text.isalnum()
