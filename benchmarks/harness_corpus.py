"""The questions that all subjects of the harness are given, with their MiniLM vectors.

Made once and kept in a folder of plain arrays, which processes in any environment can read. All
questions are distinct, so that no subject is helped by a memory of recent texts.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np

SPARE = 4_000
"""Questions beyond those stored at first, to be put while the clock runs."""
ASKED = 3_000
"""Paraphrases and novel questions, at most."""
ANSWER_BYTES = 750


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


VERBS = _listed("cancel,change,pay,track,renew,insure,return,repair,register,transfer,block,export")
THINGS = _listed(
    "order,card,invoice,phone,policy,flight,contract,account,parcel,licence,bike,lease"
)
PLACES = _listed(
    """Norway, Chile, Kenya, Japan, Spain, Peru, Egypt, India, Malta, Ghana, Nepal, Qatar,
    Cuba, Fiji, Laos, Mali, Oman, Togo, Iran, Iraq, Samoa, Tonga, Haiti, Benin, Gabon,
    Yemen, Syria, Libya, Niger, Palau, Nauru, Sudan, Angola, Belize, Bhutan, Brazil, Brunei,
    Canada, Cyprus, France, Gambia, Greece, Guinea, Guyana, Israel, Jordan, Kuwait, Latvia,
    Malawi, Mexico, Monaco, Panama, Poland, Russia, Rwanda, Serbia, Sweden, Taiwan, Turkey,
    Uganda, Zambia, Albania, Algeria, Andorra, Armenia, Austria, Bahamas, Belarus, Belgium"""
)
WAYS = _listed(
    """, online, by phone, by letter, with a voucher, as a student, for my mother, at night,
    after a divorce, during a strike, at the airport, from abroad"""
)
PEOPLE = _listed("a painter, a beekeeper, an astronomer, a medieval king, a jazz singer, a volcano")
DEEDS = _listed("dream of, write about, fear, collect, admire, avoid, draw, count, name, forget")
OBJECTS = _listed("glaciers,violins,mushrooms,comets,lighthouses,fossils,tapestries,orchids")


def stored(count: int) -> list[str]:
    """Distinct questions that differ in what is done, to what, where and how."""
    every = list(itertools.product(VERBS, THINGS, PLACES, WAYS))
    picked = random.Random(0).sample(every, count)
    return [
        f"How do I {verb} my {thing} in {place}{f' {way}' * bool(way)}?"
        for verb, thing, place, way in picked
    ]


def paraphrase(question: str, start: str = "How can I") -> str:
    """The same question in other words."""
    return question.replace("How do I", start, 1)


def novel(count: int) -> list[str]:
    """Questions like none that is stored."""
    every = list(itertools.product(PEOPLE, DEEDS, OBJECTS, range(1000, 2000)))
    picked = random.Random(1).sample(every, count)
    return [
        f"Why would {who} {does} {what} in the year {year}?" for who, does, what, year in picked
    ]


def answer(question: str) -> str:
    """What is stored for a question: it says of which, and is as long as answers are."""
    said = f"This is the answer to: {question} "
    return (said * (ANSWER_BYTES // len(said) + 1))[:ANSWER_BYTES]


def corpus(home: Path, count: int) -> Path:
    """The folder with `count` stored questions or more, spare ones, and those that are asked."""
    made = sorted(int(done.parent.name.split("-")[1]) for done in home.glob("corpus-*/done"))
    folder = home / f"corpus-{next((size for size in made if size >= count), count)}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    kept = stored(count + SPARE)
    texts = {
        "stored": kept,
        "paraphrased": [paraphrase(question) for question in kept[: min(count, ASKED)]],
        "novel": novel(ASKED),
    }
    from semcache_core.embedders import OnnxEmbedder

    embedder = OnnxEmbedder("all-MiniLM-L6-v2")
    for name, questions in texts.items():
        (folder / f"{name}.json").write_text(json.dumps(questions))
        np.save(folder / f"{name}.npy", embedder.embed(questions))
    (folder / "done").touch()
    return folder
