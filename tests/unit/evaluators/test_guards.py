"""Guards: what they reject, with which words, and what they let pass."""

from __future__ import annotations

import time

import pytest
from evaluator_values import candidate, query
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.errors import ConfigError
from semcache_core.evaluation import traps
from semcache_core.evaluators.guards import FINDERS, PRESETS, Guards, findings
from semcache_core.evaluators.guards._asked import asked
from semcache_core.evaluators.guards._pair import pair_of
from semcache_core.evaluators.guards._text import analyse

DIFFERENT = [
    ("numbers", "the 10 best films", "the 12 best films"),
    ("numbers", "convert two miles to km", "convert three miles to km"),
    ("numbers", "a tip of 15 percent", "a tip of 20%"),
    ("numbers", "how far is 5 km in miles", "how far is 5 km in metres"),
    ("numbers", "is Python 3.1 out", "is Python 3.10 out"),
    ("numbers", "wake me at 3:30 pm", "wake me at 3:30 am"),
    ("numbers", "music of the eighties", "music of the 1970s"),
    ("numbers", "flats under $1,500", "flats under $2,500"),
    ("numbers", "who won it in 2019-05-01", "who won it in 2018-05-01"),
    ("dates", "weather in Rome today", "weather in Rome tomorrow"),
    ("dates", "opening hours", "opening hours on friday"),
    ("dates", "rates of last year", "rates of next year"),
    ("dates", "weather tomorrow", "weather the day after tomorrow"),
    ("identifiers", "fix CVE-2024-3094", "fix CVE-2024-3095"),
    ("identifiers", "what does == do in js", "what does === do in js"),
    ("identifiers", "drop user_id", "drop order_id"),
    ("negation", "which nuts can I eat", "which nuts can I not eat"),
    ("negation", "why does it start at boot", "why doesn't it start at boot"),
    ("negation", "Darf ich das essen und trinken?", "Darf ich das nicht essen und trinken?"),
    ("antonyms", "how to enable the firewall", "how to disable the firewall"),
    ("antonyms", "foods that raise iron", "foods that lower iron"),
    ("antonyms", "is it legal here", "is it illegal here"),
    ("antonyms", "turn on the light", "turn off the light"),
    ("kinds", "capital of france", "capital of spain"),
    ("kinds", "reverse a list in python", "reverse a list in ruby"),
    ("kinds", "rooms in new york", "rooms in san francisco"),
    ("names", "who wrote Middlemarch first", "who wrote Ulysses first"),
    ("names", "install zustand", "install recoilx"),
    ("roles", "flights from lima to quito", "flights from quito to lima"),
    ("roles", "did Ajax beat Porto", "did Porto beat Ajax"),
    ("roles", "convert a string to a number", "convert a number to a string"),
    ("questions", "who is the owner of it", "where is the owner of it"),
    ("questions", "how long is the bridge", "how old is the bridge"),
    ("questions", "Yes, close it", "No, close it"),
    ("questions", "why do geese fly south", "when do geese fly south"),
    ("questions", "how often do I water it", "how much do I water it"),
    ("questions", "can I feed the geese", "should I feed the geese"),
    ("questions", "Do I have to tip here?", "Am I allowed to tip here?"),
    ("questions", "the barn was built by whom", "why was the barn built"),
    ("questions", "for what reason do they sing", "how long do they sing"),
    ("prepositions", "flats with a garden", "flats without a garden"),
    ("prepositions", "trams to the harbour", "trams from the harbour"),
    ("prepositions", "turn off the porch lamp", "switch the porch lamp on"),
    ("prepositions", "snacks before the race", "snacks after the race"),
    ("owners", "when does my lease end", "when does your lease end"),
    ("rhythm", "the daily cap of my card", "the monthly cap of my card"),
    ("rhythm", "how much rice per meal", "how much rice per week"),
    ("comparisons", "is the tram quick at night", "is the tram quicker than the bus at night"),
    ("places", "the first moon landing", "the second moon landing"),
    ("questions", "does the pool open on Mondays", "when does the pool open on Mondays"),
    ("identifiers", "solve y^2 + 3y = 4", "solve y^2 - 3y = 4"),
    ("identifiers", r"what does \W match", r"what does \w match"),
    ("negation", "return a parcel I have opened", "return a parcel I have not opened"),
    ("antonyms", "how long is paid leave", "how long is unpaid leave"),
    ("roles", "can I sue my neighbour", "can my neighbour sue me"),
    ("numbers", "Who ruled after Henry V of England?", "Who ruled after Henry VI of England?"),
    ("numbers", "the end of World War I", "the end of World War II"),
    ("antonyms", "the slowest way to fly", "a quick way to fly"),
    ("antonyms", "worst month for a visit", "month for a visit"),
    ("dates", "weather in Oslo", "weather in Oslo this summer"),
    ("orders", "play some jazz songs", "play some old songs"),
    ("substitution", "recipe for plum jam", "recipe for fig jam"),
    ("constraints", "how do I deploy it", "how do I deploy it without downtime"),
    ("constraints", "a good soup recipe", "a good vegan soup recipe"),
    ("bounds", "park for more than two hours", "park for up to two hours"),
    ("quotes", 'translate "good morning" to Czech', 'translate "good evening" to Czech'),
    ("quotes", "what does 'affect' mean", "what does 'effect' mean"),
    ("quantifiers", "are all guests insured", "are some guests insured"),
    ("quantifiers", "treated with syrup A", "treated only with syrup A"),
    ("identifiers", "what is 7 + 5", "what is 7 - 5"),
    ("identifiers", "is 7 > 5", "is 7 < 5"),
    ("prepositions", "take it with meals", "take it before meals"),
    ("prepositions", "parking at the arena", "parking near the arena"),
    ("places", "Which clubs did Ajax beat?", "Which clubs beat Ajax?"),
    ("antonyms", "Wie aktiviere ich das?", "Wie deaktiviere ich das?"),
    ("additions", "how long do I boil an egg", "how long do I boil a quail egg"),
    ("prepositions", "cafes in Leiden", "cafes near Leiden"),
    ("prepositions", "is there snow nearby Davos", "is there snow in Davos"),
    ("substitution", "how do I apply for a grant", "is there an app for a grant"),
    ("bounds", "a refund after 30 days", "a refund within 30 days"),
    ("identifiers", "rows with x > 5 in SQL", "rows with x < 5 in SQL"),
    ("places", "my mother's sister's name", "my sister's mother's name"),
    ("kinds", "the capital of Niger", "the capital of Nigeria"),
    ("roles", "how do I make a list of dicts", "how do I make a dict of lists"),
    ("language", "How do I renew my passport?", "Wie kann ich meinen Pass erneuern?"),
    ("language", "What is the capital of it?", "它的首都是什么?"),
]

SAME = [
    ("Can I track it?", "How do I track it?"),
    ("What is the reason they sing?", "Why do they sing?"),
    ("in what year was the barn built", "when was the barn built"),
    ("people who fish at night", "fishing at night"),
    ("How do you mend your own bike?", "How do I mend my own bike?"),
    ("the end of World War I", "the end of World War 1"),
    ("what should I read", "what can I read"),
    ("trams to the harbour from here", "from here to the harbour by tram"),
    ("I have two cats", "I have 2 cats"),
    ("a dozen eggs weigh what", "12 eggs weigh what"),
    ("how long is 1 km on foot", "how long is 1000 m on foot"),
    ("a tip of 15 percent", "a tip of 15%"),
    ("meet at 3pm", "meet at 15:00"),
    ("on 2024-01-05", "on January 5, 2024"),
    ("I can't log in", "I cannot log in"),
    ("What's the capital of Peru?", "what is the capital of peru"),
    ("difference between TCP and UDP", "difference between UDP and TCP"),
    ("distance between Lima and Quito", "distance between Quito and Lima"),
    ("my favourite colour", "my favorite color"),
    ("how do I clear the cache", "how do i clera the cahce"),
    ("In Python, how do I sort a list?", "How do I sort a list in Python?"),
    ("Hi, could you please tell me how to undo a commit? Thanks!", "How do I undo a commit?"),
    ("it is not working", "it is broken"),
    ("is it not safe", "is it dangerous"),
    ("what is the w-2 form", "what is the w2 form"),
    ("living in the USA", "living in the United States"),
    ("What is the weather in Rome?", "What is the weather in Rome today?"),
    ("two hundred and ten pages", "210 pages"),
    ("twenty five people", "25 people"),
    ("5 million users", "5,000,000 users"),
    ("a salary of 100k", "a salary of 100,000"),
    ("open at 9 in the morning", "open at 9am in the morning"),
    ("who are they", "Who Are They?"),
    ("flat for $80", "flat for 80"),
    ("My scanner no longer works.", "My scanner is not working."),
    ("I can't find the spare key", "where is the spare key"),
    ("what's the slope of SIN(X)", "what is the slope of sin(x)"),
    ("Why is it late??!!", "why is it late"),
    ("reset password tablet", "tablet password reset"),
    ("the yearly fee", "the annual fee"),
    ("how mnay seats are there", "how many seats are there"),
    ("is there any way to mend it", "how do I mend it"),
    ("is tea better than coffee", "tea or coffee, which is better"),
    ("I have problems opening the lock", "the lock does not open"),
    ("what does 'affect' mean", 'what does "affect" mean'),
    ("can anyone swim there", "can someone swim there"),
    ("what's 7+5", "what is 7 + 5"),
    ("the 2024-25 season", "the 2024-25 season?"),
    ("applying for a grant", "how do I apply for a grant"),
    ("meaning of a lien in law", "explain what a lien is in law"),
    ("a book about home and work", "a book about work and home"),
]


@pytest.mark.parametrize(("guard", "a", "b"), DIFFERENT)
def test_what_changes_the_answer_is_found(guard: str, a: str, b: str) -> None:
    """The guard of that name finds it in both directions, and says so in words."""
    for pair in ((a, b), (b, a)):
        assert findings(*pair).get(guard), findings(*pair)
        score = Guards((guard,)).score(query(pair[0]), [candidate(pair[1])])[0]
        assert (score.value, score.rejected) == (0.0, True)
        assert score.reason


@pytest.mark.parametrize(("a", "b"), SAME)
def test_what_changes_nothing_passes(a: str, b: str) -> None:
    """Other spellings, orders and frames of one question are no finding of the safe preset."""
    for pair in ((a, b), (b, a)):
        score = Guards("safe").score(query(pair[0]), [candidate(pair[1])])[0]
        assert not score.rejected, score.reason
        assert score.value == 1.0


def test_a_reason_names_both_sides() -> None:
    """A person can see what differs."""
    assert findings("the 10 best", "the 12 best")["numbers"] == "numbers differ: 10 / 12"
    assert findings("top five films", "top films")["numbers"] == "numbers differ: 5 / none"
    assert "spain" in findings("capital of france", "capital of spain")["kinds"]


def test_known_words_one_letter_apart_are_no_typo() -> None:
    """Iran is not Iraq, and Austria not Australia."""
    assert findings("trade with iran", "trade with iraq")
    assert findings("trade with austria", "trade with australia")


def test_long_reasons_are_cut() -> None:
    """Four words are enough for a reason."""
    reason = findings("play jazz", "play one two rock salsa tango waltz polka swing")["orders"]
    assert reason.endswith("...")


OTHER = [
    ("今天天气怎么样?", "今天天气如何?"),
    ("서울 날씨 어때?", "서울의 날씨는 어떤가요?"),
    ("Wie wird das Wetter in Berlin?", "Wie ist das Wetter in Berlin?"),
    ("東京の天気は?", "東京の天気はどう?"),
    ("Какая погода в Москве?", "Какая сейчас погода в Москве?"),
    ("👍🏽", "👍"),
    ("", ""),
    ("", "hello"),
    ("\x00\x00", "\x00"),
    ("?!...", "---"),
]


@pytest.mark.parametrize(("a", "b"), OTHER)
def test_other_languages_and_no_language_pass(a: str, b: str) -> None:
    """Paraphrases in other languages, emoji, nothing and control characters are let pass."""
    assert Guards("core").reason(a, b) == ""


def test_numbers_count_in_every_language() -> None:
    """Digits are digits."""
    assert Guards().reason("给我5个例子", "给我7个例子")
    assert Guards().reason("회원 3명", "회원 4명")


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_survived_and_the_same_text_passes(a: str, b: str) -> None:
    """No text makes a guard raise, and none differs from itself."""
    assert isinstance(Guards("strict").reason(a, b), str)
    assert Guards("strict").reason(a, a) == ""


LOOKED_FOR = ("not", "5", "five", "km", "from", "lima", "to", "quito", "no", "play", "3pm", "€")


@given(st.lists(st.sampled_from(LOOKED_FOR)))
@settings(max_examples=150, deadline=None)
def test_any_words_are_survived(words: list[str]) -> None:
    """No mixture of the words that guards look for makes one raise."""
    text = " ".join(words)
    assert Guards("strict").reason(text, text) == ""
    assert isinstance(Guards("strict").reason(text, "5 km from lima to quito"), str)


@pytest.mark.parametrize(
    "unit", ["a", "1,", "1.1.", "a'", "not ", "word ", "=", "é", "十", "a-", "12:"]
)
def test_long_texts_take_linear_time(unit: str) -> None:
    """Four times the text takes nowhere near sixteen times as long."""
    short, long = (min(_seconds((unit * n)[:n]) for _ in range(3)) for n in (5_000, 20_000))
    assert long < 12 * short + 0.3


def _seconds(text: str) -> float:
    """The best of some counts: one may hold a collection of all that other tests left behind."""
    start = time.process_time()
    Guards("strict").reason(text, text + " x")
    return time.process_time() - start


def test_an_entry_without_a_question_is_left_alone() -> None:
    """What was stored for exact matches only has nothing to compare."""
    assert not Guards().score(query("the 10 best"), [candidate(None)])[0].rejected


def test_presets_grow() -> None:
    """Each preset holds all of the weaker one, and "off" rejects nothing."""
    off, core, safe, strict = (set(PRESETS[n]) for n in ("off", "core", "safe", "strict"))
    assert off < core < safe < strict == set(FINDERS)
    assert Guards("off").reason("the 10 best", "the 12 best") == ""


def test_a_name_is_no_typo_of_a_small_word() -> None:
    """Somi sings songs of her own; in small letters it is "some", mistyped."""
    asked = "put on some songs"
    assert [word.text for word in pair_of("put on Somi songs", asked).left_a] == ["somi"]
    assert pair_of("put on somi songs", asked).left_a == ()


def test_no_guard_is_left_out_that_would_reject() -> None:
    """Pairs are shown only to the guards that they concern, and yet none gets by."""
    strict = Guards("strict")
    pairs = [*traps(), *traps(harder=True)]
    texts = [(pair.query, pair.stored) for pair in pairs] + [(a, b) for _, a, b in DIFFERENT]
    crossed = [(a, texts[i * 7 % len(texts)][1]) for i, (a, _) in enumerate(texts)]
    for a, b in texts + crossed:
        found = list(findings(a, b).values())
        assert strict.reason(a, b) == (found[0] if found else ""), (a, b)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("the whole story", ""),
        ("however it goes", ""),
        ("whats it worth", "what"),
        ("hows it", "how"),
    ],
)
def test_what_asks_is_a_whole_word(text: str, kind: str) -> None:
    """In "whole" nobody asks for a person; "whats" asks what something is."""
    assert asked(analyse(text)) == kind


@pytest.mark.parametrize("wrong", ["sfae", ("numbers", "nombers")])
def test_unknown_guards_are_refused(wrong: str | tuple[str, ...]) -> None:
    """The message names what there is."""
    with pytest.raises(ConfigError, match=r"numbers|safe"):
        Guards(wrong)


def test_chosen_guards_are_the_only_ones() -> None:
    """A tuple of names switches the others off, and a name twice counts once."""
    guards = Guards(("numbers", "numbers"))
    assert guards.guards == ("numbers",)
    assert guards.reason("enable it", "disable it") == ""
