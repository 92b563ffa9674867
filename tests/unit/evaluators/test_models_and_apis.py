"""Cross-encoder and Cohere: the grey zone, the wire, and what happens when they fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from evaluator_values import candidate, query

from semcache_core.cache import SemanticCache
from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError, EvaluatorError, IncompatibleError, MissingDependency
from semcache_core.evaluators import CohereEvaluator, CrossEncoderEvaluator
from semcache_core.evaluators import cohere as cohere_module
from semcache_core.evaluators import cross_encoder as cross_encoder_module


class Model:
    """Stands for a `CrossEncoder`: scores by the stored question."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores
        self.asked: list[tuple[str, str]] = []

    def predict(self, pairs: Sequence[tuple[str, str]], **_: Any) -> np.ndarray:
        self.asked += pairs
        return np.array([self.scores[b] for _, b in pairs])


def test_only_the_grey_zone_asks_the_model() -> None:
    """Outside of the zone the cosine is the score, and the model hears nothing of it."""
    model = Model({"grey": 0.2})
    evaluator = CrossEncoderEvaluator(model, grey_zone=(0.7, 0.95))  # type: ignore[arg-type]  # a double
    near = [candidate("sure", 0.99), candidate("grey", 0.8), candidate("far", 0.4)]
    scores = evaluator.score(query("q"), near)
    assert [score.value for score in scores] == [0.99, 0.2, 0.4]
    assert model.asked == [("q", "grey")]
    assert scores[0].reason and not scores[1].reason


def test_no_grey_candidate_no_call() -> None:
    """A model is not even loaded for candidates it has nothing to say about."""
    evaluator = CrossEncoderEvaluator("no/such/model", grey_zone=(0.7, 0.95))
    assert evaluator.score(query("q"), [candidate("a", 0.99)])[0].value == 0.99


@pytest.mark.parametrize("bad", [float("nan"), 3.5, -0.2])
def test_what_is_no_probability_is_an_error(bad: float) -> None:
    """Logits and NaN are reported, with what to do about logits."""
    evaluator = CrossEncoderEvaluator(Model({"a": bad}))  # type: ignore[arg-type]  # a double
    with pytest.raises(EvaluatorError, match="the model returned"):
        evaluator.score(query("q"), [candidate("a", 0.8)])


@pytest.mark.parametrize("model", ["./no-such-model", "~/no-such-model", Path("no-such-model")])
def test_a_folder_that_is_not_there_is_refused_at_once(model: str | Path) -> None:
    """What can only be a folder is looked for when the evaluator is made."""
    with pytest.raises(ConfigError, match=r"model=.*no such folder"):
        CrossEncoderEvaluator(model)


def test_a_model_that_cannot_be_loaded_is_tried_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lookups in between fail with the same error, marked as told, and load nothing."""
    now, tried = 0.0, []
    monkeypatch.setattr(cross_encoder_module, "monotonic", lambda: now)
    evaluator = CrossEncoderEvaluator("no-such-model-anywhere")

    def load() -> None:
        tried.append(now)
        raise OSError("no such model\nanywhere")

    monkeypatch.setattr(evaluator, "_load", load)
    told = []
    for now in (0.0, 1.0, 59.0, 61.0):  # noqa: B007  # the clock reads it
        with pytest.raises(EvaluatorError, match="'no-such-model-anywhere' cannot") as caught:
            evaluator.score(query("q"), [candidate("a", 0.8)])
        told.append(caught.value.again)
    assert tried == [0.0, 61.0]
    assert told == [False, True, True, False]


def test_a_failure_that_repeats_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The cache misses each time, and says why the first time."""
    evaluator = CrossEncoderEvaluator("./", grey_zone=(-1.0, 1.0))
    with SemanticCache(embedder=HashEmbedder(), evaluator=evaluator) as cache:
        cache.put("how do I pay?", "So.")
        for text in ("how do I pay now?", "how do I pay then?", "how do we pay?"):
            assert cache.get(text) is None
        assert sum(cache.stats().errors.values()) == 3
    assert caplog.text.count("cannot be loaded") == 1


def test_a_real_cross_encoder_from_a_folder(tmp_path: Any) -> None:
    """A tiny model saved by sentence-transformers is loaded by path and scores in [0, 1]."""
    model = tiny_cross_encoder(tmp_path)
    scores = CrossEncoderEvaluator(model, grey_zone=(0.0, 1.0)).score(
        query("a b"), [candidate("a b", 0.8), candidate("c", 0.8)]
    )
    assert len(scores) == 2
    assert all(0.0 <= score.value <= 1.0 for score in scores)


def test_onnx_scores_as_torch_does(tmp_path: Any) -> None:
    """The exported graph gives the same probabilities, for any number and length of pairs."""
    model = tiny_cross_encoder(tmp_path)
    near = [candidate(text, 0.8) for text in ("a b", "c", "a b c a b c a", "b")]
    torch, onnx = (
        [
            score.value
            for score in CrossEncoderEvaluator(
                model, grey_zone=(0.0, 1.0), backend=backend, batch_size=3
            ).score(query("a b c"), near)
        ]
        for backend in ("torch", "onnx")
    )
    assert onnx == pytest.approx(torch, abs=1e-5)
    assert len(set(onnx)) == len(near)


def tiny_cross_encoder(folder: Any) -> Any:
    """A BERT of one layer with random weights, saved as a cross-encoder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        num_labels=1,
        initializer_range=0.5,  # at the usual 0.02 all pairs score alike but for rounding
    )
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sentence-transformers or cohere the extra to install is named."""
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    monkeypatch.setitem(__import__("sys").modules, "cohere", None)
    with pytest.raises(MissingDependency, match="local"):
        CrossEncoderEvaluator("x").score(query("q"), [candidate("a", 0.8)])
    with pytest.raises(MissingDependency, match="cohere"):
        CohereEvaluator(api_key="k")


@pytest.mark.parametrize("zone", [(0.9, 0.9), (0.9, 0.5), (0.5, 1.5), (-2.0, 0.5)])
def test_empty_grey_zones_are_refused(zone: tuple[float, float]) -> None:
    """A zone in which no similarity lies would mean that the model is never asked."""
    with pytest.raises(IncompatibleError, match="grey_zone"):
        CrossEncoderEvaluator("x", grey_zone=zone)


def test_wrong_arguments_are_refused() -> None:
    """Unknown backends, unknown sides, and answers without a reader."""
    with pytest.raises(ConfigError, match="backend"):
        CrossEncoderEvaluator("x", backend="tpu")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigError, match="CO_API_KEY"):
        CohereEvaluator()
    with pytest.raises(ConfigError, match="against"):
        CohereEvaluator(api_key="k", against="both")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigError, match="answer="):
        CohereEvaluator(api_key="k", against="answer")


class Rerank(BaseHTTPRequestHandler):
    """Cohere's /v2/rerank: prepared answers, and a record of what was asked."""

    answers: ClassVar[list[tuple[int, dict[str, str], Any]]] = []
    asked: ClassVar[list[tuple[str, str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Rerank.asked.append((self.path, self.headers["Authorization"], body))
        status, headers, answer = Rerank.answers.pop(0)
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing on the screen."""


@pytest.fixture
def api() -> Iterator[str]:
    """The address of a local server that speaks Cohere's format."""
    Rerank.answers, Rerank.asked = [], []
    server = HTTPServer(("127.0.0.1", 0), Rerank)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def results(*pairs: tuple[int, float]) -> dict[str, Any]:
    """A response as documented at docs.cohere.com/reference/rerank."""
    found = [{"index": i, "relevance_score": score} for i, score in pairs]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return {"results": found, "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf", "meta": meta}


def test_the_wire_format(api: str) -> None:
    """Questions go out as documents in order; scores come back best first and are put in order."""
    Rerank.answers = [(200, {}, results((1, 0.9), (0, 0.1)))]
    evaluator = CohereEvaluator(api_key="secret", base_url=api, model="rerank-v3.5")
    near = [candidate("other", 0.8), candidate("same", 0.7), candidate("far", 0.1)]
    scores = evaluator.score(query("q"), near)
    assert [score.value for score in scores] == [0.1, 0.9, 0.1]
    path, key, body = Rerank.asked[0]
    assert (path, key) == ("/v2/rerank", "Bearer secret")
    assert body["query"] == "q"
    assert body["documents"] == ["other", "same"]
    assert (body["model"], body["top_n"]) == ("rerank-v3.5", 2)


def test_answers_instead_of_questions(api: str) -> None:
    """As GPTCache did: the stored answers are what is ranked."""
    Rerank.answers = [(200, {}, results((0, 0.5)))]
    evaluator = CohereEvaluator(
        api_key="k", base_url=api, against="answer", answer=lambda payload: payload.decode()
    )
    evaluator.score(query("q"), [candidate("a", 0.8, payload=b"the answer")])
    assert Rerank.asked[0][2]["documents"] == ["the answer"]


def test_rate_limits_are_waited_for(api: str) -> None:
    """A 429 with Retry-After is tried again, and then the answer counts."""
    Rerank.answers = [
        (429, {"Retry-After": "0.01"}, {"message": "slow down"}),
        (200, {}, results((0, 0.7))),
    ]
    evaluator = CohereEvaluator(api_key="k", base_url=api, retries=1)
    assert evaluator.score(query("q"), [candidate("a", 0.8)])[0].value == 0.7
    assert len(Rerank.asked) == 2


@pytest.mark.parametrize(
    ("status", "answer"), [(401, {"message": "invalid"}), (200, results()), (200, {"results": 7})]
)
def test_failures_are_evaluator_errors(api: str, status: int, answer: Any) -> None:
    """A refused key and answers that do not fit are errors, never a low score."""
    Rerank.answers = [(status, {}, answer)]
    with pytest.raises(EvaluatorError, match="cohere"):
        CohereEvaluator(api_key="k", base_url=api, retries=0).score(
            query("q"), [candidate("a", 0.8)]
        )


def test_key_from_the_environment(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CO_API_KEY is what the official client reads, too."""
    monkeypatch.setenv("CO_API_KEY", "from-env")
    Rerank.answers = [(200, {}, results((0, 0.7)))]
    CohereEvaluator(base_url=api).score(query("q"), [candidate("a", 0.8)])
    assert Rerank.asked[0][1] == "Bearer from-env"
    assert cohere_module.__doc__


async def test_clients_of_ones_own_and_async(api: str) -> None:
    """A client is used as it is; the asynchronous twin gives the same."""
    from cohere import ClientV2

    Rerank.answers = [(200, {}, results((0, 0.6)))]
    evaluator = CohereEvaluator(client=ClientV2("k", base_url=api))
    assert (await evaluator.ascore(query("q"), [candidate("a", 0.8)]))[0].value == 0.6
