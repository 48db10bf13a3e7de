"""Promises of protocol.columns beyond its vectors."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.columns import get_column, put_column, unzigzag, uvarint_size, zigzag
from tools.vector_reference import column


def _bytes(values):
    out = bytearray()
    put_column(out, values)
    return bytes(out)


def test_outlier_widens_nothing_but_itself():
    """One reading a million off costs at most eight bytes more than none."""
    steady = [20_000 + (i * 7) % 5 for i in range(100)]
    bent = [*steady[:50], 1_020_000, *steady[51:]]

    assert len(_bytes(bent)) <= len(_bytes(steady)) + 14


def test_even_ticks_cost_a_handful_of_bytes():
    """Ticks at a fixed distance take no room for their count."""
    assert len(_bytes([1000 * i for i in range(1023)])) <= 6


def test_largest_steps_stay_within_what_a_decoder_takes():
    """Steps of 2**63 are not packed wider than 64 bits."""
    values = [-(1 << 62), 1 << 62] * 30

    assert get_column(_bytes(values), 0, 60)[0] == values


def test_encoder_finds_what_trying_every_way_finds():
    """The shortest column, the lower mode among equals, then the smaller width."""
    for n in range(2, 40):
        values = [(i * i * n) % 97 - (1 << (i % n)) for i in range(n)]
        assert _bytes(values) == column(values)


_STEPS = st.one_of(
    st.just(0),
    st.integers(-3, 3),
    st.integers(-70, 70),
    st.integers(-5000, 5000),
    st.integers(-(1 << 60), 1 << 60),
)


@given(
    st.integers(-(1 << 61), 1 << 61),
    st.lists(st.sampled_from(range(4)), max_size=60),
    st.lists(_STEPS, min_size=4, max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_encoder_finds_it_for_any_steps(first, which, steps):
    """Columns of few different steps, near and far: where modes and widths are about as long, and where all steps are alike."""
    values = [first]
    for i in which:
        value = values[-1] + steps[i]
        values.append(value if abs(value) <= 1 << 62 else first)

    assert _bytes(values) == column(values)
    assert get_column(_bytes(values), 0, len(values))[0] == values


def test_zigzag_counts_both_signs():
    """0, -1, 1, -2, 2 are 0, 1, 2, 3, 4 and back."""
    assert [zigzag(v) for v in (0, -1, 1, -2, 2)] == [0, 1, 2, 3, 4]
    assert [unzigzag(n) for n in range(5)] == [0, -1, 1, -2, 2]
    assert [uvarint_size(n) for n in (0, 127, 128, 1 << 62)] == [1, 1, 2, 9]
