"""Promises of the expressions: they mean what CEL means, by its own conformance cases and by another implementation."""

import json
import random
from pathlib import Path

import pytest

from rules.authoring import cel
from tests.rules.authoring.policies import HEAD, Desk, Text, evaluate

CASES = json.loads((Path(__file__).parent / "cel_conformance.json").read_text())["cases"]
EXPRESSIONS = 1200
# CEL orders false below true, and an error beside an operand that decides alone is no error. We refuse both.
REFUSED_WITH_REASON = {
    ("false < true", "rules-type"),
    ("true < true", "rules-type"),
    ("true < false", "rules-type"),
    ("true > false", "rules-type"),
    ("false > true", "rules-type"),
    ("true > true", "rules-type"),
    ("false && (2 / 0 > 3 ? false : true)", "rules-division"),
    ("(2 / 0 > 3 ? false : true) && false", "rules-division"),
    ("true || (2 / 0 > 3 ? false : true)", "rules-division"),
    ("(2 / 0 > 3 ? false : true) || true", "rules-division"),
}


@pytest.fixture(scope="module")
def desk():
    """Return a desk of one integer channel beside two decimal ones."""
    return Desk()


def test_public_conformance_cases_give_their_value_or_are_refused_with_a_reason(desk):
    """No case gives another value; each refusal of a case that has a value is one that the language page names."""
    refused = set()
    for case in CASES:
        bundle, found = desk.compile(case["expr"])
        if bundle is None:
            refused.add((case["expr"], found[0].code, case["value"] is None))
        else:
            assert evaluate(bundle, [[0, 0, 0]]) == [case["value"]], case

    assert {(e, code) for e, code, is_error in refused if not is_error} == REFUSED_WITH_REASON
    assert {code for _, code, is_error in refused if is_error} == {"rules-division"}
    assert len(refused) == len(REFUSED_WITH_REASON) + 6


def test_random_expressions_agree_with_another_implementation():
    """Thousands of int and bool expressions: equal values where both give one, never a value where CEL gives an error."""
    theirs = pytest.importorskip("cel_expr_python.cel")
    environment = theirs.NewEnv(variables=dict.fromkeys(("a", "d", "e"), theirs.Type.INT))
    head = HEAD.replace(
        "b: {unit: V, scale: -2, range: [0.00, 99.99]}", 'd: {unit: "1", scale: 0, range: [1, 9]}'
    )
    head = head.replace(
        "c: {unit: A, scale: -1, range: [-5.0, 20.0]}", 'e: {unit: "1", scale: 0, range: [-1000, 3]}'
    )
    desk, dice, compared = Desk(head, needs=7), random.Random(7), 0
    for seed in range(EXPRESSIONS):
        text = _int_text(seed)
        bundle, _found = desk.compile(text)
        if bundle is None:
            continue
        program = environment.compile(text)
        rows = [
            [dice.choice([-50, 50, 0, dice.randint(-50, 50)]), dice.randint(1, 9), dice.randint(-1000, 3)]
            for _ in range(3)
        ]
        expected = [program.eval(data=dict(zip("ade", row, strict=True))) for row in rows]
        assert [value.type().name() for value in expected] == [expected[0].type().name()] * 3
        compared += 1

        assert evaluate(bundle, rows) == [value.value() for value in expected], text
    assert compared > EXPRESSIONS // 3, compared


class _IntText(Text):
    """Only what CEL itself has."""

    def bool(self, depth):
        if depth == 0:
            return self.pick("a > 3", "d != e", "e in [1, 2, -1000]", "true", "a <= d")
        left, right = self.int(depth - 1), self.int(depth - 1)
        return self.pick(
            f"({left} {self.pick('<', '<=', '>', '>=', '==', '!=')} {right})",
            f"!({self.bool(depth - 1)})",
            f"({self.bool(depth - 1)} {self.pick('&&', '||', '==', '!=')} {self.bool(depth - 1)})",
            f"({self.bool(depth - 1)} ? {self.bool(depth - 1)} : {self.bool(depth - 1)})",
        )


def _int_text(seed):
    text = _IntText(seed, {"int": ["a", "d", "e"]}.items(), stateful=0)
    made = text.int(4) if seed % 2 else text.bool(4)
    return "1 + a" if "math." in made else made


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        ("a >", 3, "something is missing at the end"),
        ("a > )", 4, "a value is missing before )"),
        ("(a > 3", 6, ") is missing before the end"),
        ("a = 3", 2, "= does not belong here"),
        ("a and b", 2, "the expression should end before and"),
        ("a ? 1", 5, ": is missing before the end"),
        ("for", 0, "for is a word of the language, not a name"),
        ("36s", 2, "s follows a number"),
        ("3u", 1, "unsigned integers are not part of the rules' CEL"),
        ("a[0]", 1, "indexing are not part of the rules' CEL"),
        ("{1: 2}", 0, "maps are not part of the rules' CEL"),
        ("null", 0, "null is not part of the rules' CEL"),
        ("9223372036854775808", 0, "this number does not fit 64 bits"),
        ("", 0, "something is missing at the end"),
        ("(" * 100 + "1" + ")" * 100, 40, "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_named_with_its_place(text, start, message):
    """Each kind of broken text gives one sentence and the character where it breaks."""
    with pytest.raises(cel.CelError) as caught:
        cel.parse(text)

    assert (start, message) == (caught.value.start, caught.value.message)


def test_no_text_makes_the_parser_fail_otherwise():
    """Random characters are parsed or refused."""
    dice = random.Random(3)
    for _ in range(4000):
        text = "".join(
            dice.choice("ab1.0 ()+-*/%<>=!&|?:,[]{}\"'\\\n\x00é_u") for _ in range(dice.randrange(14))
        )
        try:
            cel.parse(text)
        except cel.CelError as error:
            assert 0 <= error.start <= len(text)
