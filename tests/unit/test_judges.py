"""Judges: equal texts, equal JSON, similar answers, a model's word, one after another."""

from __future__ import annotations

import numpy as np
import pytest

from semcache_core.errors import ConfigError, EmbedderError
from semcache_core.judges import (
    EqualAnswers,
    EqualJson,
    FirstVerdict,
    ModelJudge,
    SimilarAnswers,
    normal,
    verdict,
)
from semcache_core.protocols import Judge


class Angles:
    """An embedder that reads the angle of each text's vector, in degrees, off its first word."""

    identity, dimension = "angles", 2

    def __init__(self, fail=False):
        self.fail = fail

    def fits(self, text):
        return len(text) < 50

    def embed(self, texts):
        if self.fail:
            raise EmbedderError("down")
        angles = np.radians([float(text.split()[0].removeprefix("a")) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    async def aembed(self, texts):
        return self.embed(texts)


async def both(judge, fresh, cached):
    """The verdict, which must not depend on the path."""
    said = judge.same("q?", fresh, cached)
    assert await judge.asame("q?", fresh, cached) is said
    return said


@pytest.mark.parametrize(
    ("fresh", "cached", "same"),
    [
        ("Paris.", "paris", True),
        ("It is  Paris!\n", "It is Paris", True),
        ("Caf\u00e9", "cafe\u0301", True),
        ("\uff21\uff22\uff23", "abc", True),
        ("Stra\u00dfe", "STRASSE", True),
        ("Paris", "London", False),
        ("-3", "3", False),
        ("1.5", "15", False),
        ("1,5", "15", False),
        ("5%", "5", False),
        ("5 $", "5 \u20ac", False),
        ("a < b", "a > b", False),
        ("C++", "C", False),
        ("14:30", "1430", False),
        ("東京です。", "東京です", True),
        ("", "", None),
        ("...", "!", None),
        ("", "Paris", False),
    ],
)
async def test_equal_answers(fresh, cached, same):
    """Case, space, punctuation and Unicode form do not count; signs with a meaning do."""
    assert await both(EqualAnswers(), fresh, cached) is same


def test_normal_form_is_a_fixed_point():
    """Normalising twice changes nothing."""
    text = normal("  It's 1,000.50 \u20ac, NOT -3 %!")
    assert normal(text) == text == "it s 1,000.50 \u20ac not - 3 %"


@pytest.mark.parametrize(
    ("fresh", "cached", "same"),
    [
        ('{"a": 1, "b": [1, 2]}', '{ "b":[1,2], "a":1.0 }', True),
        ('```json\n{"a": 1}\n```', '{"a": 1}', True),
        ("[1, 2]", "[2, 1]", False),
        ("[1, 2]", "[1, 2, 3]", False),
        ("true", "1", False),
        ('{"a": [true]}', '{"a": [1]}', False),
        ('{"a": 1}', '{"b": 1}', False),
        ("null", "null", True),
        ("null", "0", False),
        ("Paris", '{"a": 1}', None),
        ("[" * 100_000, "[]", None),
    ],
)
async def test_equal_json(fresh, cached, same):
    """JSON is compared by value, and true is not 1; what is not JSON is no label."""
    assert await both(EqualJson(), fresh, cached) is same


async def test_equal_json_hands_text_to_the_other_judge():
    """What is not JSON goes on to the judge named for it."""
    judge = EqualJson(EqualAnswers())
    assert await both(judge, "Paris.", "paris") is True
    assert await both(judge, "{}", "{}") is True


@pytest.mark.parametrize(
    ("degrees", "low", "same"),
    [(10, 0.8, True), (25, 0.8, None), (60, 0.8, False), (25, None, False)],
)
async def test_similar_answers_by_angle(degrees, low, same):
    """The cosine decides: at the threshold yes, below `different` no, between no label."""

    class Turned(Angles):
        def embed(self, texts):
            a = np.radians(degrees)
            return np.array([[1.0, 0.0], [np.cos(a), np.sin(a)]], np.float32)

    assert await both(SimilarAnswers(Turned(), 0.95, low), "one", "other") is same


async def test_similar_answers_must_agree_on_numbers():
    """Embeddings hardly see numbers, so these are compared as they are."""
    judge = SimilarAnswers(Angles(), 0.9)
    assert await both(judge, "5 dollars", "6 dollars") is False
    assert await both(judge, "5 dollars", "5 euros") is True


async def test_similar_answers_does_not_judge_what_it_cannot_see():
    """Empty and over-long answers, and a failing embedder, give no label."""
    judge = SimilarAnswers(Angles(), 0.9)
    assert await both(judge, "", "5") is None
    assert await both(judge, "5 " + "x" * 60, "5") is None
    assert await both(SimilarAnswers(Angles(fail=True), 0.9), "5 a", "5 b") is None


@pytest.mark.parametrize(
    "arguments",
    [{"threshold": 0.0}, {"threshold": 1.1}, {"threshold": 0.8, "different": 0.9},
     {"threshold": "0.9"}, {"threshold": True}, {"threshold": float("nan")}],
)  # fmt: skip
def test_similar_answers_refuses_nonsense(arguments):
    """Thresholds outside (0, 1], or in the wrong order, are named."""
    with pytest.raises(ConfigError, match="threshold="):
        SimilarAnswers(Angles(), **arguments)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("yes", True),
        ("Yes.", True),
        ("**YES**", True),
        ("No, the dates differ although yes, both are in May.", False),
        ("The answer is: yes", True),
        ("Both are equivalent", True),
        ("They are not the same", None),
        ("not equivalent", False),
        ("They differ", None),
        ("maybe", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_verdict_of_a_reply(reply, said):
    """A leading word decides; a reply that says both, or neither, is no label."""
    assert verdict(reply) is said


async def test_model_judge_asks_once_with_everything():
    """The prompt holds question and answers, whose braces are left as they are."""
    asked = []
    judge = ModelJudge(lambda prompt: asked.append(prompt) or "No")
    assert await both(judge, "{fresh} is {1}", "{cached}") is False
    assert len(asked) == 2
    assert "q?" in asked[0]
    assert "{fresh} is {1}" in asked[0]
    assert "{cached}" in asked[0]


async def test_model_judge_does_not_ask_about_equal_answers():
    """Equal texts cost no call."""

    def never(prompt):
        raise AssertionError("asked")

    assert await both(ModelJudge(never), "Paris.", "paris") is True


async def test_model_judge_takes_async_models():
    """An async function judges on the loop, and so does an object whose call is async."""

    async def model(prompt):
        return "yes"

    class Model:
        def __call__(self, prompt):
            return model(prompt)

    assert await ModelJudge(model).asame("q", "a", "b") is True
    assert await ModelJudge(Model()).asame("q", "a", "b") is True


def test_model_judge_runs_async_models_from_a_thread():
    """Without a loop around it, an async model gets one of its own."""

    async def model(prompt):
        return "no"

    assert ModelJudge(model).same("q", "a", "b") is False


async def test_a_failing_model_gives_no_label():
    """An exception of the model is logged, not raised."""

    def fail(prompt):
        raise RuntimeError("rate limit")

    assert await both(ModelJudge(fail), "a", "b") is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"ask": "gpt"}, "ask="), ({"ask": str, "prompt": "{fresh} {cached}?"}, "question")],
)
def test_model_judge_refuses_nonsense(arguments, named):
    """Something that is no function, or a prompt without its fields, is named."""
    with pytest.raises(ConfigError, match=named):
        ModelJudge(**arguments)


async def test_first_verdict_goes_on_until_one_can_tell():
    """Cheap judges first; the dear one is asked only about what they leave open."""
    judge = FirstVerdict([EqualJson(), ModelJudge(lambda prompt: "no")])
    assert await both(judge, "[1]", "[1]") is True
    assert await both(judge, "red", "blue") is False
    assert await both(FirstVerdict([EqualJson()]), "red", "blue") is None
    with pytest.raises(ConfigError, match="judges"):
        FirstVerdict([])


def test_all_are_judges():
    """Each fits the seam."""
    made = [
        EqualAnswers(), EqualJson(), SimilarAnswers(Angles()), ModelJudge(str),
        FirstVerdict([EqualAnswers()]),
    ]  # fmt: skip
    assert all(isinstance(judge, Judge) for judge in made)
