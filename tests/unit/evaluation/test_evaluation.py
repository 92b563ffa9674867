"""Evaluation: examples are read or refused, figures are counted, curves are swept."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from semcache_core.embedders import HashEmbedder
from semcache_core.errors import ConfigError
from semcache_core.evaluation import (
    Asked,
    Pair,
    Share,
    curve,
    draw,
    evaluate,
    read_examples,
    recall_at,
)
from semcache_core.evaluation.plotting import check_plot
from semcache_core.evaluation.shares import area
from semcache_core.evaluators import Cosine, Guards, guarded
from semcache_core.models import Action, Decision
from semcache_core.policies import ThresholdPolicy


class Plain(HashEmbedder):
    """Texts of the same words have the same vector; nothing with "endless" in it fits."""

    def fits(self, text: str) -> bool:
        return "endless" not in text


def near(threshold: float = 0.9) -> ThresholdPolicy:
    """Serves by cosine."""
    return ThresholdPolicy(threshold, 0.2)


PAIRS = [
    Pair("how do I bake bread", "How do I bake bread?", True, "case"),
    Pair("how do I bake bread", "why is the sky blue", False, "other"),
    Pair("play some jazz", "sell two cars", False, "number"),
    Pair("an endless text", "an endless text", True, "long"),
]


def test_pairs_are_counted():
    """Hits, right hits, kinds and mistakes are those that can be counted by hand."""
    report = evaluate(PAIRS, embedder=Plain(), evaluator=Cosine(), policy=near())
    assert (report.lookups, report.answerable, report.hits, report.right) == (4, 2, 1, 1)
    assert report.precision == Share(1, 1)
    assert report.recall == Share(1, 2)
    assert report.rejected == Share(2, 2)
    assert list(report.kinds) == ["case", "long", "number", "other"]
    assert report.kinds["case"] == Share(1, 1)
    assert [one.query for one in report.mistakes] == ["an endless text"]
    assert not report.mistakes[0].served
    assert set(report.latency) == {"embed", "evaluate"}


def test_a_rejected_pair_is_no_hit_at_any_threshold():
    """Guards take a pair out of the curve, and the mistake says why."""
    wrong = [Pair("play 5 songs by Bach", "play 6 songs by Bach", True)]
    report = evaluate(
        wrong, embedder=Plain(), evaluator=guarded(Guards(), Cosine()), policy=near(0.1)
    )
    assert report.hits == 0
    assert report.points == ()
    assert "numbers differ" in report.mistakes[0].reason
    assert math.isnan(report.area)


def test_a_stream_is_looked_up_in_order():
    """A question meets only those before it; exact repeats are counted apart."""
    asked = [
        Asked("how do I bake bread", "bread"),
        Asked("how do I bake bread?", "bread"),
        Asked("do I bake bread, how", "bread"),
        Asked("how do I bake pizza", "pizza"),
    ]
    report = evaluate(asked, embedder=Plain(), evaluator=Cosine(), policy=near(0.5), top_k=2)
    assert report.exact == 1
    assert "exact repeats   1," in str(report)
    assert (report.lookups, report.answerable) == (3, 1)
    assert (report.hits, report.right) == (2, 1)
    assert report.false_hit_rate == Share(1, 2)
    assert [(m.query, m.served) for m in report.mistakes] == [("how do I bake pizza", True)]
    assert set(report.latency) == {"embed", "search", "evaluate"}


class Learning(ThresholdPolicy):
    """Explores once, and remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(0.5, 0.0)
        object.__setattr__(self, "told", [])

    def decide(self, query, scored, factor=1.0):
        return Decision(Action.EXPLORE, "to learn", (scored[0],))

    def observe(self, query, scored, correct):
        self.told.append(correct)

    def state(self):
        return ""

    def restore(self, state):
        """Nothing to restore."""


def test_a_learning_policy_is_told_of_what_it_explores():
    """Labels reach `observe`; what is explored is no hit."""
    policy = Learning()
    report = evaluate(PAIRS[:3], embedder=Plain(), evaluator=Cosine(), policy=policy)
    assert policy.told == [True, False, False]
    assert report.hits == 0


class Uncopied(Learning):
    """Holds what cannot be copied, and a state."""

    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")

    def state(self):
        return "learnt"


def test_a_policy_that_cannot_be_copied_is_not_told():
    """It decides as it stands, and hears of nothing."""
    policy = Uncopied()
    evaluate(PAIRS[:3], embedder=Plain(), evaluator=Cosine(), policy=policy)
    assert policy.told == []


@pytest.mark.parametrize("inside", ["\u2028", "\u0085"])
def test_only_line_feeds_end_a_line(tmp_path: Path, inside: str):
    """Characters that other readers take for line ends may stand inside a question."""
    path = tmp_path / "pairs.jsonl"
    row = json.dumps({"query": f"a{inside}b", "stored": "c", "same": True}, ensure_ascii=False)
    path.write_bytes(f"{row}\r\n\n{row}\n".encode())
    assert [one.query for one in read_examples(path)] == [f"a{inside}b"] * 2


def test_the_text_shows_the_curve():
    """Precision and threshold by hit rate, as far as any threshold hits."""
    report = evaluate(PAIRS[:2], embedder=Plain(), evaluator=Cosine(), policy=ThresholdPolicy(0.9))
    assert (report.point_at(0.5).precision, report.point_at(0.5).hits) == (1.0, 1)
    assert report.point_at(0.9) is None
    rows = [line.split() for line in str(report).splitlines()]
    assert ["precision", "is", *["1.000"] * 5] in rows
    assert ["at", "a", "hit", "rate", "of", "0.1", "0.2", "0.3", "0.4", "0.5"] in rows


def test_a_curve_is_drawn(tmp_path: Path):
    """A picture in the format that the file's name says."""
    pytest.importorskip("matplotlib")
    report = evaluate(PAIRS, embedder=Plain(), evaluator=Cosine(), policy=near())
    draw(report, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, monkeypatch):
    """Before measuring: another format, no folder, no matplotlib."""
    with pytest.raises(ConfigError, match=r"plot: .*give a file's name in .*\.png"):
        check_plot(tmp_path / "curve.txt")
    with pytest.raises(ConfigError, match="plot: there is no folder"):
        check_plot(tmp_path / "absent" / "curve.png")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install matplotlib"):
        check_plot(tmp_path / "curve.png")


def test_progress_is_told():
    """Batches of texts are told as they are embedded."""
    told = []
    pairs = [Pair(f"question {n}", f"other {n}", False) for n in range(60)]
    evaluate(pairs, embedder=Plain(), evaluator=Cosine(), tell=lambda *done: told.append(done))
    assert told[-1] == (120, 120)


def test_report_reads_as_json_and_as_text():
    """Every figure survives JSON, without numbers JSON lacks; the text shows the intervals."""
    report = evaluate(PAIRS[1:3], embedder=Plain(), evaluator=Cosine(), policy=near())
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["precision"]["value"] is None
    assert data["hit_rate"]["whole"] == 2
    assert set(data["curve"]) == {"threshold", "hit_rate", "precision", "recall"}
    assert "precision       -" in str(report)


@pytest.mark.parametrize(
    ("examples", "how", "message"),
    [
        ([], {}, "none given"),
        ([PAIRS[0], Asked("a", "b")], {}, "not both"),
        (PAIRS, {"policy": near(), "threshold": 0.5}, "give one of them"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(examples, how, message):
    """The error says what was wrong."""
    with pytest.raises(ConfigError, match=message):
        evaluate(examples, embedder=Plain(), **how)


def test_shares_have_intervals():
    """Wilson's interval holds the share, and nothing counted is no number."""
    low, high = Share(9, 10).interval
    assert low < 0.9 < high
    assert str(Share(0, 0)) == "-"
    assert str(Share(1, 2)).startswith("0.500 [")


def test_curve_by_hand():
    """Equal scores make one point; precision and recall are those of the hits above it."""
    points = curve([0.9, 0.5, 0.9, 0.1], [True, True, False, True], 8, 4)
    assert [(p.threshold, p.hits, p.precision, p.recall) for p in points] == [
        (0.9, 2, 0.5, 0.25),
        (0.5, 3, 2 / 3, 0.5),
        (0.1, 4, 0.75, 0.75),
    ]
    assert recall_at(points, 0.9) == 0.0
    many = curve([*np.linspace(1, 0.5, 10), 0.1], [True] * 10 + [False], 20, 20)
    assert recall_at(many, 0.95) == 0.5


def test_area_by_hand():
    """Ties count half; one class alone has no area."""
    assert area([True, False], [1.0, 0.0]) == 1.0
    assert area([True, False], [0.5, 0.5]) == 0.5
    assert math.isnan(area([True], [1.0]))


def test_examples_from_files(tmp_path: Path):
    """JSON lines, gzipped ones, lists, CSV and TSV, under either set of names."""
    lines = tmp_path / "pairs.jsonl"
    lines.write_text('{"a": "x", "b": "y", "label": 1, "kind": "k"}\n\n', encoding="utf-8")
    assert read_examples(lines) == [Pair("x", "y", True, "k")]
    table = tmp_path / "pairs.csv"
    table.write_text("query,stored,same\nx,y,no\n", encoding="utf-8")
    assert read_examples(str(table)) == [Pair("x", "y", False)]
    tabbed = tmp_path / "pairs.tsv"
    tabbed.write_text("query\tstored\tsame\nx, or z\ty\tyes\n", encoding="utf-8")
    assert read_examples(tabbed) == [Pair("x, or z", "y", True)]
    whole = tmp_path / "stream.json"
    whole.write_text('[{"text": "x", "group": 3},\n {"text": "y", "group": 4}]', encoding="utf-8")
    assert read_examples(whole) == [Asked("x", "3"), Asked("y", "4")]
    whole.write_text('{"text": "x", "group": 3}\n{"text": "y", "group": 4}\n', encoding="utf-8")
    assert read_examples(whole) == [Asked("x", "3"), Asked("y", "4")]
    packed = tmp_path / "stream.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"text": "x", "group": 3}\n'))
    assert read_examples(packed) == [Asked("x", "3")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no examples"),
        (b"[1]\n", ":1: an object"),
        (b"{\n", ":1: not JSON"),
        (b'{"a": "x", "b": "y", "label": "maybe"}\n', ":1: same"),
        (b'{"a": "x", "b": "y"}\n', ":1: same or label is missing"),
        (b'{"a": "", "b": "y", "label": 1}\n', ":1: query or a must be a text"),
        (b'{"text": "x"}\n', ":1: group is missing"),
        (b'{"text": "x", "group": 1}\n{"a": "x", "b": "y", "label": 1}\n', "two files"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_bad_files_are_named_with_the_line(tmp_path: Path, content: bytes, message: str):
    """Whoever wrote the file is told where to look."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_examples(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.json", '[{"text": "x", "group": 1}, 3]', r"bad\.json:2: an object"),
        ("bad.json", '[{"text": "x"', r"bad\.json: not JSON"),
        ("bad.txt", "query;stored;same", r"\.jsonl, \.json, \.csv and \.tsv files are read"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str, message: str):
    """A list is named by its place in it, and what nothing can read with what can be read."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_examples(tmp_path / name)


def test_missing_and_broken_archives(tmp_path: Path):
    """A file that is not there, or is no archive, is an error of configuration."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_examples(tmp_path / "none.csv")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_examples(tmp_path / "bad.jsonl.gz")
