"""Readers of prompts: what becomes the question, and that nothing is lost on the way."""

from __future__ import annotations

import asyncio
import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from semcache_core.errors import ConfigError
from semcache_core.keys import digest
from semcache_core.prompts import (
    AllContent,
    Condensed,
    Draft,
    LastMessage,
    LastTurns,
    Narrowed,
    Pipeline,
    Said,
    Selected,
    SimilarImages,
    Summarised,
    Without,
    WithoutTemplate,
)
from semcache_core.prompts.images import content_of
from semcache_core.questions import parts, pieces

TALK = (
    Said("system", "Be brief."),
    Said("user", "Who is Ann?"),
    Said("assistant", "A queen."),
    Said("user", "And Bob?"),
    Said("assistant", "A king."),
    Said("user", "How old is she?"),
)
LONG = " ".join(f"Sentence number {n} tells something about topic {n}." for n in range(30))


def one(text: str) -> list[Said]:
    return [Said("user", text)]


@pytest.mark.parametrize(
    ("shape", "question"),
    [
        (LastMessage(), "How old is she?"),
        (LastTurns(1), "How old is she?"),
        (LastTurns(2), "And Bob?\nA king.\nHow old is she?"),
        (LastTurns(2, skip=("assistant",)), "And Bob?\nHow old is she?"),
        (LastTurns(9), "Who is Ann?\nA queen.\nAnd Bob?\nA king.\nHow old is she?"),
        (AllContent(), "Who is Ann?\nA queen.\nAnd Bob?\nA king.\nHow old is she?"),
        (AllContent(("user",)), "Who is Ann?\nAnd Bob?\nHow old is she?"),
        (AllContent(("system", "user")), "Be brief.\nWho is Ann?\nAnd Bob?\nHow old is she?"),
        (Condensed(lambda prompt: "How old is Ann?"), "How old is Ann?"),
    ],
    ids=repr,
)
def test_whose_words_are_the_question(shape, question) -> None:
    """Each reader takes the words that its name says."""
    assert parts(shape.read(TALK).question) == question.split("\n")


def changed(place: int) -> list[Said]:
    said = list(TALK)
    said[place] = Said(said[place].role, "Something else.")
    return said


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize(
    "shape",
    [
        LastMessage(),
        LastTurns(1),
        LastTurns(2),
        LastTurns(2, ("assistant",)),
        AllContent(),
        AllContent(("user",)),
        Condensed(lambda prompt: "How old is Ann?"),
        Without("How"),
        Selected(2),
    ],
    ids=repr,
)
def test_a_changed_message_changes_the_question_or_what_is_exact(shape, place) -> None:
    """Whatever is not ignored is in one of the two parts."""
    if isinstance(shape, Condensed) and place == 5:
        pytest.skip("the model's rewriting stands for the last question")
    one, other = shape.read(TALK), shape.read(changed(place))
    assert (one.question, digest(one.exact)) != (other.question, digest(other.exact))


@pytest.mark.parametrize(
    ("shape", "matters"),
    [
        (LastTurns(1, dropped="ignore"), {0, 5}),
        (LastTurns(2, dropped="ignore"), {0, 3, 4, 5}),
        (LastTurns(2, ("assistant",), "ignore"), {0, 3, 5}),
        (Condensed(lambda prompt: "How old is Ann?", "ignore"), {0}),
    ],
    ids=repr,
)
def test_only_what_is_said_to_be_ignored_is(shape, matters) -> None:
    """The system prompt always matters; earlier turns do unless the user says so."""
    read = shape.read(TALK)

    def same(place: int) -> bool:
        other = shape.read(changed(place))
        return (read.question, digest(read.exact)) == (other.question, digest(other.exact))

    assert {place for place in range(6) if not same(place)} == matters


def test_what_is_ignored_leaves_no_trace_of_how_much_there_was() -> None:
    """A conversation of three turns finds what a single question stored."""
    shape = LastTurns(1, dropped="ignore")
    short = shape.read([TALK[0], TALK[5]])
    assert (short.question, short.exact) == (shape.read(TALK).question, shape.read(TALK).exact)


def test_attachments_and_tools_are_never_ignored() -> None:
    """An earlier image, tool call or tool message stays, without its words."""
    call = Said("assistant", "I look.", {"tool_calls": ["price"]})
    result = Said("tool", "12 euros", {"answers": "call 0"})
    photo = Said("user", "Look at this", ["image"])
    said = [photo, call, result, Said("user", "How much is it?")]
    for shape in (LastTurns(1, dropped="ignore"), Condensed(lambda p: "Price?", "ignore")):
        kept = [(m.role, m.text, m.rest) for m in shape.read(said).said]
        assert kept[:3] == [
            ("user", None, ["image"]),
            ("assistant", None, {"tool_calls": ["price"]}),
            ("tool", "12 euros", {"answers": "call 0"}),
        ]


# -- parts of a text -----------------------------------------------------------------------------


@given(st.text("ab \n", min_size=1), st.text("xyz", min_size=1), st.text("ab \n"))
def test_without_splits_and_forgets_nothing(before, cut, after) -> None:
    """The words around and what was cut out can be told from any other text's."""
    draft = Without(cut).read(one(f"{before}{cut}{after}"))
    if (before + after).strip():
        assert cut not in (draft.question or "")
        assert cut in str(draft.exact)
        assert (draft.question or "").split() == (before + " " + after).split()
    else:
        assert draft.question is None


def test_without_takes_the_longest_of_texts_that_begin_alike() -> None:
    """The instruction "in French" does not stay behind as a question."""
    shape = Without("Answer briefly", "Answer briefly in French")
    assert shape.read(one("Answer briefly in French Who is Ann?")).question == "Who is Ann?"


def test_where_a_text_stood_matters() -> None:
    """The same instruction before and after the question are two prompts."""
    shape = Without("Be brief.")
    first, last = (shape.read(one(t)) for t in ("Be brief. Who is Ann?", "Who is Ann? Be brief."))
    assert first.question == last.question
    assert digest(first.exact) != digest(last.exact)


def test_a_template_read_backwards() -> None:
    """The question's variable is the question; the others and the template are exact."""
    template = "Context: {context}\nQuestion: {question}"
    shape = WithoutTemplate(template)
    read = [shape.read(one(template.format(context=c, question="Who?"))) for c in "ab"]
    assert [draft.question for draft in read] == ["Who?", "Who?"]
    assert digest(read[0].exact) != digest(read[1].exact)
    assert shape.read(one("Something else")).why == (
        "the prompt does not follow the question's template"
    )


def test_several_variables_can_be_the_question() -> None:
    """They are joined in the order given; a PromptTemplate's own text is used."""
    template = SimpleNamespace(template="{language}: {title} - {wish}")
    shape = WithoutTemplate(template, "wish", "title")
    draft = shape.read(one("de: Mail - make it short"))
    assert parts(draft.question) == ["make it short", "Mail"]
    assert draft.beside[-1] == {"language": "de"}


def test_narrowed_keeps_what_stands_around() -> None:
    """A part of the text leaves its surroundings exact; a rewriting leaves the whole text."""
    part = LastMessage() | (lambda text: text.partition("Q: ")[2])
    assert part.read(one("I: x\nQ: Who?")).beside[-1] == ["I: x\nQ: ", ""]
    rewritten = Narrowed(str.lower)
    assert rewritten.read(one("Who?")).beside[-1] == ["Who?"]
    assert Narrowed(str.lower, "ignore").read(one("Who?")).beside == ("Narrowed(dropped='ignore')",)
    assert (str.lower | LastMessage()).read(one("WHO?")).question == "who?"
    assert Narrowed(lambda text: None).read(one("Who?")).why


# -- long texts ----------------------------------------------------------------------------------


def test_selected_keeps_the_question_within_the_budget() -> None:
    """What asks is kept first; the rest is exact, in its place."""
    text = f"{LONG} How do I clean a bicycle chain? {LONG}"
    draft = Selected(32).read(one(text))
    assert "How do I clean a bicycle chain?" in draft.question
    assert pieces(draft.question) <= 32
    left = [sentence for sentence in draft.beside[-1] if sentence]
    assert sorted([*left, *_sentences(draft.question)]) == sorted(_sentences(text))


def _sentences(text: str) -> list[str]:
    return [
        part if part[-1] in ".?" else f"{part}."
        for part in text.replace(". ", ".|").replace("? ", "?|").split("|")
    ]


def test_selected_leaves_short_texts_and_obeys_a_score() -> None:
    """A text within the budget is not touched; a score of the user's decides otherwise."""
    assert Selected(64).read(one("Who is Ann?")).question == "Who is Ann?"
    longest = Selected(3, score=lambda sentences: [len(s) for s in sentences])
    assert longest.read(one("Short one here. A much longer one comes here.")).question == (
        "A much longer one comes here."
    )
    ignoring = Selected(5, "ignore").read(one("I am Bob. I like tea. Who is Ann?"))
    assert ignoring.beside == ("Selected(budget=5, dropped='ignore')",)


def test_summarised_asks_for_long_texts_only_and_once() -> None:
    """A lookup and its update share one reply of the model."""
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return " A summary. "

    shape = Summarised(ask, dropped="ignore", budget=8)
    assert shape.read(one("Who is Ann?")).question == "Who is Ann?"
    assert [shape.read(one(LONG)).question for _ in range(2)] == ["A summary."] * 2
    assert len(prompts) == 1
    assert LONG in prompts[0]
    exact = Summarised(ask, dropped="exact", budget=8)
    assert exact.read(one(LONG)).beside[-1] == [LONG]


# -- models --------------------------------------------------------------------------------------


def test_a_first_question_is_not_condensed() -> None:
    """There is nothing to condense, so the model is not asked."""
    shape = Condensed(lambda prompt: pytest.fail("asked"))
    assert shape.read([TALK[0], TALK[1]]).question == "Who is Ann?"


def test_the_model_is_shown_the_conversation_with_its_braces() -> None:
    """Texts may look like the template's own fields."""
    shown: list[str] = []
    shape = Condensed(lambda prompt: shown.append(prompt) or "Q", prompt="{history} | {question}")
    shape.read([Said("user", "{question}"), Said("assistant", "{x}"), Said("user", "Why?")])
    assert shown == ["user: {question}\nassistant: {x} | Why?"]


@pytest.mark.parametrize("reply", [RuntimeError("down"), "", "  ", None, 5])
def test_a_failing_model_leaves_the_prompt_exact(reply, caplog) -> None:
    """It is logged; the prompt can still be found by an exact repeat."""

    def ask(prompt: str):
        if isinstance(reply, Exception):
            raise reply
        return reply

    for shape in (Condensed(ask), Summarised(ask, dropped="ignore", budget=1)):
        draft = shape.read(TALK)
        assert draft.question is None
        assert "failed" in draft.why
        assert draft.said == TALK
    assert "the model that reads a prompt" in caplog.text


def test_an_async_model_is_awaited() -> None:
    """From a thread without a loop, which is where adapters read."""

    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        return "How old is Ann?"

    assert Condensed(ask).read(TALK).question == "How old is Ann?"


async def test_an_async_model_is_awaited_beside_a_running_loop(recwarn) -> None:
    """A synchronous call inside a task reads as well, and leaves no coroutine behind."""

    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        return "How old is Ann?"

    assert Condensed(ask).read(TALK).question == "How old is Ann?"
    assert [one for one in recwarn if one.category is RuntimeWarning] == []


def test_what_a_reader_asks_is_not_read_by_it_again() -> None:
    """A cached model that summarises would otherwise summarise its own prompts for ever."""
    inner: list[Draft] = []

    def ask(prompt: str) -> str:
        inner.append(shape.read(one(prompt)))
        return "short"

    shape = Summarised(ask, dropped="ignore", budget=1)
    assert shape.read(one(LONG)).question == "short"
    assert [draft.why for draft in inner] == ["asked by a reader of prompts"]


# -- joining -------------------------------------------------------------------------------------


def test_readers_are_joined_flat_and_stop_at_the_first_failure() -> None:
    """What comes after a reader without a question is not run."""
    stop = WithoutTemplate("Q: {question}")
    joined = LastTurns(1) | (stop | Narrowed(lambda text: pytest.fail("run")))
    assert isinstance(joined, Pipeline)
    assert len(joined.steps) == 3
    assert joined.read(TALK).why
    assert not joined.slow
    assert (joined | Condensed(str)).slow


def test_entries_of_one_reader_are_not_found_by_another() -> None:
    """The reader is part of what must match."""
    drafts = [shape.read(one("Who?")) for shape in (LastMessage(), AllContent(), LastTurns(1))]
    assert len({digest(draft.exact) for draft in drafts}) == 3


@pytest.mark.parametrize("said", [[], [Said("system", "Be brief.")], [Said("user", " \n")]])
@pytest.mark.parametrize(
    "shape",
    [LastMessage(), LastTurns(), AllContent(), Without("x"), Selected(), Condensed(str)],
    ids=repr,
)
def test_without_a_question_there_is_a_reason(shape, said) -> None:
    """An empty conversation, one without a user, and one without words are exact only."""
    draft = shape.read(said)
    assert draft.question is None
    assert draft.why


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: LastTurns(0), "LastTurns: n=0"),
        (lambda: LastTurns(True), "LastTurns: n=True"),
        (lambda: LastTurns(1, skip="assistant"), "LastTurns: skip: 'assistant'"),
        (lambda: LastTurns(1, skip=("user",)), "skip='user'"),
        (lambda: LastTurns(1, skip=("tool",)), "'tool' is no role"),
        (lambda: LastTurns(dropped="no"), "dropped='no'"),
        (lambda: AllContent(()), "roles is empty"),
        (lambda: AllContent(["user"]), "roles: \\['user'\\]"),
        (Without, "Without: \\(\\)"),
        (lambda: Without(" "), "none empty"),
        (lambda: WithoutTemplate(5), "WithoutTemplate: 5"),
        (lambda: WithoutTemplate("{a} {b}"), "\\['a', 'b'\\]"),
        (lambda: WithoutTemplate("{a}", "b"), "'b' is no variable"),
        (lambda: WithoutTemplate("{a"), "no f-string template"),
        (lambda: WithoutTemplate("{a.b}"), "'a.b' has no plain name"),
        (lambda: Narrowed("x"), "question: 'x'"),
        (lambda: LastMessage() | "x", "question: 'x'"),
        (lambda: Narrowed(str, "drop"), "Narrowed: dropped='drop'"),
        (lambda: Selected(0), "Selected: budget=0"),
        (lambda: Selected(score="x"), "Selected: score='x'"),
        (lambda: Condensed("x"), "Condensed: ask='x'"),
        (lambda: Condensed(str, prompt="x"), "{history}, {question}"),
        (lambda: Summarised(str, dropped="x"), "Summarised: dropped='x'"),
        (lambda: Summarised(str, dropped="ignore", budget=True), "budget=True"),
        (lambda: Summarised(str, dropped="ignore", prompt="x"), "{text}"),
        (lambda: SimilarImages(threshold=0), "threshold=0"),
        (lambda: SimilarImages(threshold=True), "threshold=True"),
        (lambda: SimilarImages(5), "model=5"),
    ],
)
def test_wrong_arguments_are_named(make, named) -> None:
    """The message says which argument, and what was given."""
    with pytest.raises(ConfigError, match=named):
        make()


# -- images --------------------------------------------------------------------------------------


class Colours:
    """Images to their mean colours: enough to tell red from blue, and blind to size and format."""

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, images):
        self.seen += len(images)
        return np.array([np.asarray(image, dtype=float).mean(axis=(0, 1)) for image in images])


def picture(colour, size: int = 16, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, kind)
    return file.getvalue()


RED, REDDISH, BLUE = (250, 5, 5), (245, 9, 9), (5, 5, 250)


def block(image: bytes) -> dict[str, object]:
    data = base64.b64encode(image).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def shown(image: bytes, extra: object = None) -> list[Said]:
    return [Said("user", "What is it?", [[block(image)], extra])]


def test_similar_images_count_as_one(tmp_path) -> None:
    """Another size, format or shade is the same image; another colour is not, nor another text."""
    model = Colours()
    shape = LastMessage() | SimilarImages(model, 0.99, tmp_path / "images")
    assert shape.slow
    first = digest(shape.read(shown(picture(RED))).exact)
    assert digest(shape.read(shown(picture(RED, 40, "JPEG"))).exact) == first
    assert digest(shape.read(shown(picture(REDDISH))).exact) == first
    assert digest(shape.read(shown(picture(BLUE))).exact) != first
    assert digest(shape.read(shown(picture(RED), "more")).exact) != first
    assert model.seen == 4  # an image that was seen before is not looked at again


def test_known_images_outlive_the_process(tmp_path) -> None:
    """A reader of the same folder agrees with the first on what an image is called."""
    names = []
    for image in (picture(RED), picture(REDDISH, 20)):
        shape = SimilarImages(Colours(), 0.99, tmp_path)
        names.append(digest(shape.read(shown(image)).exact))
        shape.close()
    assert names[0] == names[1]


@pytest.mark.parametrize(
    "made",
    [
        lambda data: {"type": "image", "base64": data, "mime_type": "image/png"},
        lambda data: {"type": "image", "source_type": "base64", "data": data},
        lambda data: {"type": "image", "source": {"type": "base64", "data": data}},
        lambda data: {"type": "input_image", "image_url": f"data:image/png;base64,{data}"},
        lambda data: {"block_type": "image", "image": base64.b64decode(data)},
        lambda data: {"block_type": "image", "image": data.encode()},
    ],
)
def test_images_are_found_in_every_provider_s_form(made) -> None:
    """OpenAI's, Anthropic's, LangChain's and LlamaIndex's blocks hold the same bytes."""
    image = picture(RED)
    assert content_of(made(base64.b64encode(image).decode())) == image


@pytest.mark.parametrize(
    "other",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "audio", "data": "AAAA"},
        {"type": "image"},
        {"type": "image", "data": "not base64!"},
        {"type": "image", "data": 5},
    ],
)
def test_what_is_no_image_content_is_left_exact(other) -> None:
    """An address, audio, or a block without bytes is compared as it is."""
    assert content_of(other) is None
    said = [Said("user", "What?", [other])]
    assert SimilarImages(Colours(), 0.9).read(said).said[0].rest == [other]


@pytest.mark.parametrize("vectors", [np.zeros((1, 3)), np.ones(3), np.full((1, 3), np.nan)])
def test_an_image_model_that_fails_leaves_images_exact(vectors, caplog) -> None:
    """Their own bytes tell them apart; the log says why."""
    model = SimpleNamespace(encode=lambda images: vectors)
    said = shown(picture(RED))
    assert SimilarImages(model, 0.9).read(said).said[0].rest == said[0].rest
    assert "images could not be compared" in caplog.text


def test_what_cannot_be_opened_as_an_image_is_left_exact(caplog) -> None:
    """A damaged file is no reason to fail the user's call."""
    said = shown(b"no image at all")
    assert SimilarImages(Colours(), 0.9).read(said).said[0].rest == said[0].rest
    assert "could not be read" in caplog.text


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    """A folder with a CLIP model of sentence-transformers, very small and with random weights."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    raw, made = (str(tmp_path_factory.mktemp(name)) for name in ("raw", "clip"))
    vocabulary = ["<|startoftext|>", "<|endoftext|>", "a</w>", "b</w>", "a", "b", "ab</w>"]
    tiny = {"hidden_size": 16, "intermediate_size": 16, "projection_dim": 16}
    tiny |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**tiny, **ids, "vocab_size": 8, "max_position_embeddings": 64}
    vision = {**tiny, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16, **ids)
    CLIPModel(config).save_pretrained(raw)
    words = CLIPTokenizer({word: n for n, word in enumerate(vocabulary)}, [("a", "b</w>")])
    crop = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=crop)
    CLIPProcessor(images, words).save_pretrained(raw)
    SentenceTransformer(modules=[Transformer(raw)]).save(made)
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries, about a model without training
def test_a_clip_model_of_sentence_transformers(clip) -> None:
    """Given by its folder, it is loaded when the first image comes, and is shown images."""
    shape = SimilarImages(clip, threshold=0.9999)
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    plain, noisy = picture(RED), file.getvalue()
    first, again, other = (
        digest(shape.read(shown(image)).exact) for image in (plain, picture(RED, 64), noisy)
    )
    assert first == again != other
