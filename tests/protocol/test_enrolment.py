"""The code that a gateway is invited with: what a person may write otherwise, what is noticed, and the mark of authorities."""

import pytest

from protocol.enrolment import Code, CodeWrong, authorities_mark, parse_code

CODE = Code(bytes(range(16)), bytes(range(16, 32)))
# As SPEC.md section 14 has it.
TEXT = "000G4-0R40M-30E20-9185G-R38E1-W8124-GK2GA-HC5RR-34D1P-70X3R-FW96G"


def test_code_is_what_the_specification_says():
    """The worked example of SPEC.md section 14."""
    assert (TEXT, CODE) == (CODE.text(), parse_code(TEXT))


@pytest.mark.parametrize(
    "written",
    [
        TEXT.lower(),
        TEXT.replace("-", ""),
        TEXT.replace("-", " "),
        TEXT.replace("0", "O"),
        TEXT.replace("1", "l"),
        f"\n {TEXT}\n",
    ],
)
def test_code_is_read_however_a_person_writes_it(written):
    """Small letters, dashes and what looks alike do not matter."""
    assert CODE == parse_code(written)


def test_wrong_character_is_noticed_before_the_code_is_sent():
    """Every single character that is exchanged for another one is found out, and the error does not repeat the code."""
    for at, character in enumerate(TEXT):
        if character == "-":
            continue
        for other in ("Z", "7"):
            if other != character:
                with pytest.raises(CodeWrong) as caught:
                    parse_code(TEXT[:at] + other + TEXT[at + 1 :])
                assert TEXT[:11] not in str(caught.value)


@pytest.mark.parametrize("text", ["", "-", "0" * 54, "0" * 56, "U" * 55, "é" * 55, "0" * 55])
def test_what_is_no_code_is_refused(text):
    """Anything else is no code."""
    with pytest.raises(CodeWrong):
        parse_code(text)


def test_two_codes_swapped_in_part_are_noticed():
    """The first half of one code with the second half of another is neither."""
    other = Code(bytes(16), bytes(range(16, 32))).text()

    with pytest.raises(CodeWrong):
        parse_code(other[:30] + TEXT[30:])


def test_mark_knows_who_issues_and_not_in_which_order_the_rest_stands():
    """The first authority issues; the others are a set."""
    one, two, three = b"1", b"2", b"3"

    assert authorities_mark([one, two, three]) == authorities_mark([one, three, two])
    assert authorities_mark([one, two]) != authorities_mark([two, one])
    assert authorities_mark([one]) != authorities_mark([one, two])
