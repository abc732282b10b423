import json

import numpy as np
import pytest

from inference.engine.errors import DrawError
from inference.engine.grammar import GrammarError, Grammars
from inference.engine.sampling import Constraint, Sampler, Sampling, draw
from tests.inference.conftest import byte_tokenizer

VOCABULARY, END = 264, 257
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 4},
        "degrees": {"type": "integer"},
        "sky": {"enum": ["clear", "cloudy"]},
        "wind": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
    },
    "required": ["city", "degrees", "sky", "wind"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(byte_tokenizer().to_str, vocabulary=VOCABULARY, stop_tokens=frozenset({END}))


def said(begin, *, seed: int, longest: int = 2000) -> tuple[str, bool]:
    """What a model without any sense says in a format, and whether it came to an end."""
    rng = np.random.default_rng(seed)
    sampler = Sampler(
        Sampling(seed=seed, temperature=0.7), (), vocabulary=VOCABULARY, constraint=begin()
    )
    tokens: list[int] = []
    while len(tokens) < longest:
        logits = rng.standard_normal((1, VOCABULARY)).astype(np.float32) * 3
        logits[:, ord('"') - 33] += 3  # strings would hardly end by chance
        (one,) = draw(logits, [sampler])
        tokens.append(one.token)
        if one.ends or one.token == END:
            return byte_tokenizer().decode(tokens), True
    return byte_tokenizer().decode(tokens), False


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_by_a_schema_always_parses(grammars: Grammars, seed: int):
    text, has_ended = said(grammars.json_schema(WEATHER), seed=seed)

    assert has_ended
    answer = json.loads(text)
    assert answer.keys() == WEATHER["properties"].keys()
    assert isinstance(answer["degrees"], int)
    assert answer["sky"] in {"clear", "cloudy"}
    assert len(answer["city"]) <= 4


@pytest.mark.parametrize("seed", range(4))
def test_any_object_is_an_object(grammars: Grammars, seed: int):
    text, has_ended = said(grammars.json_object(), seed=seed, longest=4000)

    assert not has_ended or isinstance(json.loads(text), dict)
    assert text.startswith("{")


def test_patterns_and_choices_are_kept_to(grammars: Grammars):
    pattern = {said(grammars.regex(r"[ab]{2,3}!"), seed=seed)[0] for seed in range(20)}
    choice = {said(grammars.choice(['a"\n', "a", "\u00e9"]), seed=seed)[0] for seed in range(20)}
    lark = {said(grammars.lark('start: word " " word\nword: "x" | "y"'), seed=seed)[0]
            for seed in range(20)}  # fmt: skip

    assert pattern <= {f"{a}{b}{c}!" for a in "ab" for b in "ab" for c in ["", "a", "b"]}
    assert choice == {'a"\n', "a", "\u00e9"}
    assert lark == {"x x", "x y", "y x", "y y"}


def test_blanks_between_the_parts_come_to_an_end(grammars: Grammars):
    constraint = grammars.json_object()()
    for _ in range(60):
        logits = np.zeros(VOCABULARY, np.float32)
        logits[byte_tokenizer().encode(" }", add_special_tokens=False).ids] = 9.0, 8.0
        constraint.mask(logits)
        constraint.accept(int(logits.argmax()))
        if constraint.is_complete:
            return
    pytest.fail("the answer is blanks without end")


def test_an_answer_may_end_where_it_could_also_go_on(grammars: Grammars):
    constraint = grammars.regex("a+")()
    constraint.accept(byte_tokenizer().encode("a", add_special_tokens=False).ids[0])

    assert allowed(constraint) == {64, END}
    assert not constraint.is_complete
    constraint.accept(END)
    assert constraint.is_complete


def allowed(constraint: Constraint) -> set[int]:
    logits = np.zeros(VOCABULARY, np.float32)
    constraint.mask(logits)
    return set(np.flatnonzero(logits == 0).tolist())


def test_each_answer_begins_anew(grammars: Grammars):
    begin = grammars.choice(["xy"])
    first, second = begin(), begin()
    first.accept(87)

    assert (allowed(first), allowed(second)) == ({88}, {87})


def test_a_token_against_the_format_is_a_fault_of_the_request(grammars: Grammars):
    constraint = grammars.choice(["xy"])()

    with pytest.raises(DrawError, match="format"):
        constraint.accept(5)


def test_a_format_is_compiled_once(grammars: Grammars):
    assert grammars.json_schema(dict(WEATHER)) is grammars.json_schema(WEATHER)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, "Invalid type: strin"),
        ({"$ref": "#/nope"}, "/nope"),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "Unsatisfiable"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "string", "pattern": "("}, "unclosed group"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_reason(grammars, schema, reason):
    with pytest.raises(GrammarError, match=reason):
        grammars.json_schema(schema)


@pytest.mark.parametrize("broken", [lambda g: g.regex("("), lambda g: g.lark("start: nothing")])
def test_broken_patterns_and_grammars_are_refused(grammars: Grammars, broken):
    with pytest.raises(GrammarError):
        broken(grammars)


@pytest.mark.parametrize(
    "endless",
    [lambda g: g.json_schema({"$ref": "#"}), lambda g: g.lark("start: start")],
)
def test_a_format_that_no_answer_can_begin_in_is_refused_before_the_engine_sees_it(
    grammars: Grammars, endless
):
    with pytest.raises(GrammarError, match="no answer can begin"):
        endless(grammars)


def test_tokens_are_spelt_in_bytes(grammars: Grammars):
    ids = byte_tokenizer().encode("a\u00e9", add_special_tokens=False).ids

    assert [grammars.spell(token) for token in ids] == [b"a", b"\xc3", b"\xa9"]
    assert [grammars.spell(token) for token in (END, 260)] == [b"<|end|>", b""]
