"""OSCORE on both runtimes: every vector of RFC 8613 appendix C, replay, echo, forgery, and cuts at every length."""

import json
from binascii import hexlify, unhexlify

import protocol
from protocol import coap
from protocol.coap import Message, decode, encode
from protocol.errors import MALFORMED, NOT_PROTECTED, REPLAY, SEAL, SEQUENCE, VERSION, ProtocolError
from protocol.oscore import (
    OscoreContext,
    ReplayWindow,
    associated_data,
    decode_option,
    encode_option,
    partial_iv,
    sequence_max,
)

try:
    import cryptolib  # noqa: F401  only MicroPython has it
except ImportError:
    from protocol.aes_host import Aes128
else:
    from agent.aes import Aes128

with open(protocol.__file__.rsplit("/", 1)[0] + "/vectors/oscore.json") as _file:
    _VECTORS = json.load(_file)


def _counter(first=0):
    """Return a callable that hands out first, first + 1, and so on."""
    numbers = iter(range(first, first + 1000))
    return lambda: next(numbers)


def _context(name, sequence=0):
    """Return the context of the key vector with that name."""
    for vector in _VECTORS["keys"]:
        if vector["name"] == name:
            id_context = vector["id_context"]
            return OscoreContext(
                Aes128,
                unhexlify(vector["master_secret"]),
                unhexlify(vector["sender_id"]),
                unhexlify(vector["recipient_id"]),
                _counter(sequence),
                unhexlify(vector["master_salt"]),
                None if id_context is None else unhexlify(id_context),
            )
    raise AssertionError(name)


def _pair(id_context=None):
    """Return a fresh client and server that know each other."""
    client = OscoreContext(Aes128, b"s" * 16, b"\x01\x02", b"", _counter(), b"", id_context)
    server = OscoreContext(Aes128, b"s" * 16, b"", b"\x01\x02", _counter(), b"", id_context)
    return client, server


def _request(payload=b"payload", options=((coap.URI_PATH, b"s"),)):
    return Message(coap.CON, coap.POST, 7, b"tokn", list(options), payload)


def _code_of(call, *arguments):
    """Return the reject code with which a call fails, or None."""
    try:
        call(*arguments)
    except ProtocolError as error:
        return error.code
    return None


def _hex(value):
    return hexlify(value).decode()


def test_keys_are_those_of_rfc_8613_c1_to_c3():
    """Sender key, recipient key, common IV and both nonces of Partial IV 0, for client and server."""
    for vector in _VECTORS["keys"]:
        context = _context(vector["name"])
        assert _hex(context.sender_key) == vector["sender_key"], vector["name"]
        assert _hex(context.recipient_key) == vector["recipient_key"], vector["name"]
        assert _hex(context.common_iv) == vector["common_iv"], vector["name"]
        assert _hex(context.nonce(context.sender_id, b"\x00")) == vector["sender_nonce"], vector["name"]
        assert _hex(context.nonce(context.recipient_id, b"\x00")) == vector["recipient_nonce"], vector["name"]


def test_requests_are_those_of_rfc_8613_c4_to_c6():
    """Associated data, nonce, option and the whole protected request, byte for byte; the server reads it back."""
    for vector in _VECTORS["messages"][:3]:
        client = _context(vector["context"], vector["sequence"])
        protected, exchange = client.protect_request(decode(unhexlify(vector["unprotected"])))
        assert _hex(associated_data(exchange.kid, exchange.partial_iv)) == vector["aad"], vector["name"]
        assert _hex(exchange.nonce) == vector["nonce"], vector["name"]
        assert _hex(coap.option(protected.options, coap.OSCORE)) == vector["option"], vector["name"]
        assert _hex(protected.payload) == vector["ciphertext"], vector["name"]
        assert _hex(encode(protected)) == vector["protected"], vector["name"]
        server = _context(vector["context"][:4] + "2")
        plain, _ = server.unprotect_request(decode(unhexlify(vector["protected"])), ReplayWindow())
        assert _hex(encode(plain)) == vector["unprotected"], vector["name"]


def test_responses_are_those_of_rfc_8613_c7_and_c8():
    """With the request's nonce and with a Partial IV of its own, byte for byte; the client reads both."""
    request = _VECTORS["messages"][0]
    for vector in _VECTORS["messages"][3:]:
        client = _context("C.1.1", 20)
        _, sent = client.protect_request(decode(unhexlify(request["unprotected"])))
        server = _context(vector["context"], vector["sequence"])
        _, received = server.unprotect_request(decode(unhexlify(request["protected"])), ReplayWindow())
        received.can_reuse_nonce = not vector["own_partial_iv"]
        protected = server.protect_response(decode(unhexlify(vector["unprotected"])), received)
        assert _hex(coap.option(protected.options, coap.OSCORE)) == vector["option"], vector["name"]
        assert _hex(encode(protected)) == vector["protected"], vector["name"]
        plain = client.unprotect_response(decode(unhexlify(vector["protected"])), sent)
        assert _hex(encode(plain)) == vector["unprotected"], vector["name"]


def test_all_options_but_the_proxys_are_hidden():
    """Path, query, format, Echo and Block travel inside; host and port outside; the server sees all of them."""
    client, server = _pair()
    options = [
        (coap.URI_HOST, b"h"),
        (coap.URI_PORT, b"\x16\x33"),
        (coap.URI_PATH, b"s"),
        (coap.CONTENT_FORMAT, b"\x3c"),
        (coap.URI_QUERY, b"q"),
        (coap.BLOCK2, b"\x0a"),
        (coap.ECHO, b"e" * 8),
    ]
    protected, _ = client.protect_request(_request(options=options))
    assert protected.code == coap.POST
    assert [number for number, _ in protected.options] == [coap.OSCORE, coap.URI_HOST, coap.URI_PORT]
    plain, _ = server.unprotect_request(decode(encode(protected)), ReplayWindow())
    assert plain.options == options and plain.payload == b"payload" and plain.token == b"tokn"


def test_options_that_anybody_could_add_outside_are_dropped():
    """An outer Uri-Path or Max-Age is not covered by the tag, so it must not reach the reader."""
    client, server = _pair()
    protected, sent = client.protect_request(_request())
    protected.options = protected.options + [(coap.URI_PATH, b"evil"), (coap.BLOCK1, b"\x08")]
    plain, received = server.unprotect_request(protected, ReplayWindow())
    assert plain.options == [(coap.URI_PATH, b"s")]
    answer = server.protect_response(Message(coap.ACK, coap.SERVICE_UNAVAILABLE, 7), received)
    assert answer.code == coap.CHANGED
    answer.options = answer.options + [(coap.MAX_AGE, b"\xff")]
    opened = client.unprotect_response(answer, sent)
    assert opened.code == coap.SERVICE_UNAVAILABLE and opened.options == []


def test_every_changed_bit_of_a_request_is_refused():
    """One flipped bit in the OSCORE option or the ciphertext never gives a request, and never another error."""
    client, server = _pair(b"i" * 8)
    protected, _ = client.protect_request(_request())
    value = coap.option(protected.options, coap.OSCORE)
    for bit in range(8 * len(value)):
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        forged = Message(coap.CON, coap.POST, 7, b"t", [(coap.OSCORE, bytes(changed))], protected.payload)
        # Without its kid context bit the option still names the same keys only if nothing else moved: it never does.
        assert _code_of(server.unprotect_request, forged, ReplayWindow()) in (MALFORMED, SEAL)
    for bit in range(8 * len(protected.payload)):
        changed = bytearray(protected.payload)
        changed[bit // 8] ^= 1 << bit % 8
        forged = Message(coap.CON, coap.POST, 7, b"t", protected.options, bytes(changed))
        assert _code_of(server.unprotect_request, forged, ReplayWindow()) == SEAL


def test_a_protected_message_cut_at_any_length_is_refused():
    """Request and response, at each byte: no shorter form of either opens."""
    client, server = _pair()
    protected, sent = client.protect_request(_request())
    _, received = server.unprotect_request(protected, ReplayWindow())
    answer = server.protect_response(Message(coap.ACK, coap.CHANGED, 7, b"tokn", [], b"answer"), received)
    for whole, opens in (
        (encode(protected), lambda raw: server.unprotect_request(decode(raw), ReplayWindow())),
        (encode(answer), lambda raw: client.unprotect_response(decode(raw), sent)),
    ):
        assert _code_of(opens, whole) is None
        for size in range(len(whole)):
            assert _code_of(opens, whole[:size]) in (MALFORMED, VERSION, NOT_PROTECTED, SEAL)


def test_a_replayed_request_is_refused_and_a_late_one_accepted():
    """Within the window each number is taken once, in any order."""
    client, server = _pair()
    window = ReplayWindow()
    sent = [client.protect_request(_request(bytes((n,))))[0] for n in range(40)]
    for n in (5, 3, 4, 39, 8):
        assert server.unprotect_request(sent[n], window)[0].payload == bytes((n,))
    for n in (5, 3, 4, 39, 8, 7):  # 7 was never seen, but lies 32 below: too old to tell
        assert _code_of(server.unprotect_request, sent[n], window) == REPLAY


def test_a_forgery_does_not_use_up_a_sequence_number():
    """After garbage under a number, and under a far higher one, the genuine request still passes.

    A window that marks before it verifies fails here: a forger could silence a device for good.
    """
    client, server = _pair()
    window = ReplayWindow()
    genuine, _ = client.protect_request(_request())
    far = encode_option(partial_iv(1000000), client.sender_id, None)
    for value in (coap.option(genuine.options, coap.OSCORE), far):
        forged = Message(coap.CON, coap.POST, 1, b"t", [(coap.OSCORE, value)], bytes(30))
        assert _code_of(server.unprotect_request, forged, window) == SEAL
    assert server.unprotect_request(genuine, window)[0].payload == b"payload"


def test_the_window_agrees_with_a_set():
    """A few thousand numbers of a fixed generator: the bit field says what a plain set and the highest say."""
    window = ReplayWindow()
    seen = set()
    state = 7
    base = 0
    for step in range(3000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        base += 40 if step % 97 == 0 else step % 3 == 0
        number = max(0, base + (state >> 16) % 60 - 45)
        highest = max(seen) if seen else -1
        fresh = number not in seen and number > highest - 32
        assert window.is_fresh(number) == fresh, step
        if fresh:
            window.mark(number)
            seen.add(number)
    assert ReplayWindow(window.highest, window.seen).is_fresh(window.highest + 1)
    assert not ReplayWindow(window.highest, window.seen).is_fresh(window.highest)


def test_without_a_window_the_server_answers_echo_under_a_number_of_its_own():
    """A server that lost its window learns freshness by Echo and never reuses the nonce of a request it cannot date."""
    client, server = _pair()
    old, _ = client.protect_request(_request(b"old"))
    first, sent = client.protect_request(_request())
    _, received = server.unprotect_request(first, None)
    answer = server.protect_response(
        Message(coap.ACK, coap.UNAUTHORIZED, 7, b"", [(coap.ECHO, b"12345678")]), received
    )
    assert decode_option(coap.option(answer.options, coap.OSCORE))[0] == b"\x00"
    opened = client.unprotect_response(answer, sent)
    assert opened.code == coap.UNAUTHORIZED and coap.option(opened.options, coap.ECHO) == b"12345678"
    again, _ = client.protect_request(_request(options=[(coap.ECHO, b"12345678"), (coap.URI_PATH, b"s")]))
    request, received = server.unprotect_request(again, None)
    assert coap.option(request.options, coap.ECHO) == b"12345678"
    window = ReplayWindow()
    window.start_at(received.sequence())
    for message in (old, first, again):
        assert _code_of(server.unprotect_request, message, window) == REPLAY
    assert server.unprotect_request(client.protect_request(_request())[0], window)[0].payload == b"payload"


def test_a_second_response_takes_its_own_nonce():
    """Two responses to one request never share a nonce: the second carries a Partial IV."""
    client, server = _pair()
    protected, sent = client.protect_request(_request())
    _, received = server.unprotect_request(protected, ReplayWindow())
    answers = [server.protect_response(Message(coap.ACK, coap.CHANGED, 7), received) for _ in range(3)]
    values = [coap.option(answer.options, coap.OSCORE) for answer in answers]
    assert values == [b"", b"\x01\x00", b"\x01\x01"]
    for answer in answers:
        assert client.unprotect_response(answer, sent).code == coap.CHANGED


def test_a_response_to_another_request_is_refused():
    """The tag of a response covers the request it answers."""
    client, server = _pair()
    window = ReplayWindow()
    first, first_sent = client.protect_request(_request())
    second, second_sent = client.protect_request(_request())
    _, received = server.unprotect_request(first, window)
    answer = server.protect_response(Message(coap.ACK, coap.CHANGED, 7), received)
    assert _code_of(client.unprotect_response, answer, second_sent) == SEAL
    assert client.unprotect_response(answer, first_sent).code == coap.CHANGED
    assert second is not first


def test_a_sequence_never_goes_back():
    """A source that repeats a number, or lies below the last, stops the context before anything is sealed."""
    for numbers in ((5, 5), (5, 4)):
        source = iter(numbers)
        client = OscoreContext(Aes128, b"s" * 16, b"\x01", b"", lambda: next(source))  # noqa: B023
        client.protect_request(_request())
        try:
            client.protect_request(_request())
        except ValueError:
            continue
        raise AssertionError(numbers)


def test_the_last_sequence_is_the_last():
    """2**40 - 1 is sent; one more is refused for good."""
    source = iter((sequence_max, sequence_max + 1))
    client = OscoreContext(Aes128, b"s" * 16, b"\x01", b"", lambda: next(source))
    protected, _ = client.protect_request(_request())
    assert decode_option(coap.option(protected.options, coap.OSCORE))[0] == b"\xff" * 5
    assert _code_of(client.protect_request, _request()) == SEQUENCE


def test_a_fresh_id_context_gives_other_keys_and_travels_along():
    """After a loss of state the same sequence numbers meet new keys, so that no nonce is used twice."""
    old, _ = _pair()
    client, server = _pair(b"\x00\x01\x02\x03\x04\x05\x06\x07")
    assert client.sender_key != old.sender_key and client.common_iv != old.common_iv
    protected, _ = client.protect_request(_request())
    piv, kid, kid_context = decode_option(coap.option(protected.options, coap.OSCORE))
    assert (piv, kid, kid_context) == (b"\x00", b"\x01\x02", b"\x00\x01\x02\x03\x04\x05\x06\x07")
    assert server.unprotect_request(protected, ReplayWindow())[0].payload == b"payload"
    assert _code_of(_pair()[1].unprotect_request, protected, ReplayWindow()) == SEAL


def test_what_is_not_protected_is_refused():
    """Neither a plain request nor a plain success passes for a protected one."""
    client, server = _pair()
    _, sent = client.protect_request(_request())
    assert _code_of(server.unprotect_request, _request(), ReplayWindow()) == NOT_PROTECTED
    assert _code_of(client.unprotect_response, Message(coap.ACK, coap.CHANGED, 7), sent) == NOT_PROTECTED


def test_the_oscore_option_has_one_form():
    """Parts come back as they were written; every reserved, cut or lengthened form is refused."""
    for piv in (None, b"\x00", b"\x14", b"\x01\x00", b"\xff" * 5):
        for kid in (None, b"", b"\x00", b"1234567"):
            for kid_context in (None, b"", b"x", b"i" * 8):
                value = encode_option(piv, kid, kid_context)
                assert decode_option(value) == (piv, kid, kid_context)
                for size in range(1, len(value)):
                    assert _code_of(decode_option, value[:size]) in (None, MALFORMED)
    for text in (
        "00",
        "20",
        "40",
        "80",
        "06010203040506",
        "0701",
        "01",
        "0201",
        "020014",
        "0114ff",
        "10",
        "1001",
        "1100",
    ):
        assert _code_of(decode_option, unhexlify(text)) == MALFORMED, text


def test_any_option_bytes_give_parts_or_malformed():
    """All strings of two bytes and a few thousand longer ones: a value or MALFORMED, and one encoding for each value."""
    state = 3
    for n in range(65536 // 8):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        raw = (n * 8).to_bytes(2, "big") + state.to_bytes(4, "big")[: n % 5]
        try:
            piv, kid, kid_context = decode_option(raw)
        except ProtocolError as error:
            assert error.code == MALFORMED
            continue
        assert encode_option(piv, kid, kid_context) == raw
