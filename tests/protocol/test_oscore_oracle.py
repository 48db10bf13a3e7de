"""aiocoap's OSCORE and cryptography's ciphers as oracles of ours, in both roles; and fuzzing of what is opened."""

import aiocoap
import pytest
from aiocoap.message import Direction
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st

from protocol import coap
from protocol.aead import AesCcm, ctr
from protocol.aes_host import Aes128
from protocol.coap import Message, decode, encode
from protocol.errors import ProtocolError
from protocol.mac import hmac_sha256
from protocol.oscore import OscoreContext, ReplayWindow, decode_option
from tests.aiocoap_oscore import MemoryContext, oscore, read, write

_KEYS = st.binary(min_size=16, max_size=16)
_IDS = st.tuples(st.binary(max_size=7), st.binary(max_size=7)).filter(lambda pair: pair[0] != pair[1])
_ID_CONTEXTS = st.none() | st.binary(min_size=1, max_size=8)
_PAYLOADS = st.binary(max_size=600)
_SEQUENCES = st.integers(0, 2**40 - 2)


@given(_KEYS, st.binary(min_size=13, max_size=13), st.binary(max_size=600), st.binary(max_size=40))
def test_ccm_is_that_of_cryptography(key, nonce, text, aad):
    """Sealed bytes are equal, and each opens the other's."""
    ours, oracle = AesCcm(Aes128(key)), AESCCM(key, tag_length=8)
    sealed = ours.seal(nonce, text, aad)
    assert sealed == oracle.encrypt(nonce, text, aad)
    assert ours.open(nonce, sealed, aad) == text


@given(_KEYS, st.binary(min_size=13, max_size=13), st.binary(min_size=8, max_size=40), st.binary(max_size=20))
def test_ccm_refuses_what_cryptography_refuses(key, nonce, sealed, aad):
    """Random bytes are no sealed text for either."""
    with pytest.raises(InvalidTag):
        AESCCM(key, tag_length=8).decrypt(nonce, sealed, aad)
    with pytest.raises(ProtocolError):
        AesCcm(Aes128(key)).open(nonce, sealed, aad)


@given(_KEYS, st.binary(min_size=16, max_size=16), st.binary(max_size=600))
def test_ctr_is_that_of_cryptography(key, iv, text):
    """Any counter block, also one that wraps."""
    assert ctr(Aes128(key), iv, text) == Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(text)


@given(st.binary(max_size=200), st.lists(st.binary(max_size=100), max_size=4))
def test_hmac_is_that_of_the_standard_library(key, parts):
    """Keys of any length, text in any parts."""
    import hmac

    assert hmac_sha256(key, *parts) == hmac.digest(key, b"".join(parts), "sha256")


def _contexts(secret, ids, salt, id_context, sequence=0):
    """Return our context with ids as (sender, recipient), and aiocoap's of the other side."""
    numbers = iter(range(sequence, sequence + 10))
    ours = OscoreContext(Aes128, secret, ids[0], ids[1], lambda: next(numbers), salt, id_context)
    return ours, MemoryContext(secret, ids[1], ids[0], salt, id_context)


def _incoming(message):
    return read(encode(message))


@given(_KEYS, _IDS, st.binary(max_size=16), _ID_CONTEXTS, _SEQUENCES, _PAYLOADS, _PAYLOADS)
def test_our_client_and_aiocoaps_server_understand_each_other(
    secret, ids, salt, id_context, sequence, up, down
):
    """The server reads code, path, format and payload; the client reads its answer, with and without Partial IV."""
    client, server = _contexts(secret, ids, salt, id_context, sequence)
    assert (client.sender_key, client.recipient_key) == (server.recipient_key, server.sender_key)
    options = [*coap.path_options("s/é"), (coap.CONTENT_FORMAT, b"\x3c")]
    sent, exchange = client.protect_request(Message(coap.CON, coap.POST, 7, b"tok", options, up))
    incoming = _incoming(sent)
    assert server.get_oscore_context_for(oscore.verify_start(incoming)) is server
    inner, identity = server.unprotect(incoming)
    assert (int(inner.code), inner.opt.uri_path, inner.opt.content_format) == (coap.POST, ("s", "é"), 60)
    assert inner.payload == up
    # The second answer cannot reuse the request's nonce, so aiocoap sends a Partial IV of its own.
    for _ in range(2):
        answer = aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE, payload=down, max_age=300)
        outer, _ = server.protect(answer, identity)
        opened = client.unprotect_response(decode(write(outer, encode(sent))), exchange)
        assert (opened.code, coap.max_age_s(opened.options), opened.payload) == (0xA3, 300, down)


@given(_KEYS, _IDS, st.binary(max_size=16), _ID_CONTEXTS, _PAYLOADS, _PAYLOADS)
def test_aiocoaps_client_and_our_server_understand_each_other(secret, ids, salt, id_context, up, down):
    """The reverse: we read its request, it reads our answers, replays are refused."""
    server, client = _contexts(secret, ids, salt, id_context)
    request = aiocoap.Message(code=aiocoap.FETCH, uri_path=["r", "7"], payload=up)
    request.direction = Direction.OUTGOING
    outer, identity = client.protect(request)
    wire = write(outer, b"\x43\x00\x12\x34abc")
    window = ReplayWindow()
    inner, exchange = server.unprotect_request(decode(wire), window)
    assert (inner.code, inner.payload) == (coap.FETCH, up)
    assert inner.options == coap.path_options("r/7")
    with pytest.raises(ProtocolError, match="replay"):
        server.unprotect_request(decode(wire), window)
    for _ in range(2):
        message = Message(coap.ACK, coap.CONTENT, 0x1234, b"abc", [(coap.CONTENT_FORMAT, b"\x3c")], down)
        opened, _ = client.unprotect(_incoming(server.protect_response(message, exchange)), identity)
        assert (int(opened.code), opened.opt.content_format, opened.payload) == (0x45, 60, down)


def test_echo_of_aiocoaps_server_brings_our_client_back():
    """A server without a window: 4.01 with Echo inside, the request again with it, then as before."""
    client, server = _contexts(b"s" * 16, (b"\x01", b""), b"", b"idcontxt")
    server.forget(b"fresh8by")
    request = Message(coap.CON, coap.POST, 1, b"t", coap.path_options("s"), b"payload")
    sent, exchange = client.protect_request(request)
    with pytest.raises(oscore.ReplayErrorWithEcho) as raised:
        server.unprotect(_incoming(sent))
    answer = client.unprotect_response(decode(write(raised.value.to_message(), encode(sent))), exchange)
    assert answer.code == coap.UNAUTHORIZED
    request.options = [*request.options, (coap.ECHO, coap.option(answer.options, coap.ECHO))]
    again, _ = client.protect_request(request)
    assert server.unprotect(_incoming(again))[0].payload == b"payload"
    later, _ = client.protect_request(Message(coap.CON, coap.POST, 2, b"t", coap.path_options("s"), b"later"))
    assert server.unprotect(_incoming(later))[0].payload == b"later"
    with pytest.raises(oscore.ReplayError):
        server.unprotect(_incoming(sent))


@given(st.binary(max_size=20), st.binary(max_size=40))
def test_any_bytes_inside_an_oscore_message_give_a_protocol_error(value, payload):
    """Neither role ever accepts or crashes on random option values and ciphertexts."""
    client, _ = _contexts(b"s" * 16, (b"\x01", b""), b"", None)
    _, exchange = client.protect_request(Message(coap.CON, coap.POST, 1, b"", [], b""))
    message = Message(coap.CON, coap.POST, 1, b"", [(coap.OSCORE, value)], payload)
    with pytest.raises(ProtocolError):
        client.unprotect_request(message, ReplayWindow())
    with pytest.raises(ProtocolError):
        client.unprotect_response(message, exchange)


@given(st.binary(max_size=40))
def test_any_plaintext_under_a_good_tag_gives_a_message_or_a_protocol_error(text):
    """A peer with the right keys and a broken encoder cannot crash us either."""
    client, _ = _contexts(b"s" * 16, (b"\x01", b""), b"", None)
    _, exchange = client.protect_request(Message(coap.CON, coap.POST, 1, b"", [], b""))
    from protocol.oscore import associated_data

    aad = associated_data(exchange.kid, exchange.partial_iv)
    sealed = AesCcm(Aes128(client.recipient_key)).seal(exchange.nonce, text, aad)
    try:
        opened = client.unprotect_response(
            Message(coap.ACK, coap.CHANGED, 1, b"", [(coap.OSCORE, b"")], sealed), exchange
        )
    except ProtocolError:
        return
    assert opened.code == text[0]


@given(st.binary(max_size=20))
def test_the_oscore_option_means_to_aiocoap_what_it_means_to_us(value):
    """Whatever we accept, aiocoap splits the same way."""
    try:
        parts = decode_option(value)
    except ProtocolError:
        return
    _, _, split, _ = MemoryContext._uncompress(value, b"")
    keys = (oscore.COSE_PIV, oscore.COSE_KID, oscore.COSE_KID_CONTEXT)
    assert parts == tuple(split.get(key) for key in keys)
