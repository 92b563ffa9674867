"""Many callers, few questions: each question is paid for once, whatever fails in between."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage
from langchain_models import AsyncStreaming

from langchain_semcache import SemanticCache, cached
from semcache_core.embedders.testing import HashEmbedder

QUESTIONS = [f"question number {n} about subject {n * 7919 % 101}" for n in range(20)]
THREADS, TASKS = 32, 200


class Flaky(AsyncStreaming):
    """Fails the first time each of some questions is asked; counts the answers it gave."""

    failing: set[str]
    lock: object
    answered: Counter

    def answer(self, messages, kwargs):
        question = messages[-1].text
        self.log.append(question)
        with self.lock:
            if question in self.failing:
                self.failing.discard(question)
                raise ConnectionError(question)
            self.answered[question] += 1
        return AIMessage(f"answer to {question}")


def flaky(seed):
    failing = set(random.Random(seed).sample(QUESTIONS, 5))
    return Flaky(failing=failing, lock=threading.Lock(), answered=Counter(), delay=0.002)


def asked_by_thread(twin, question):
    try:
        return twin.invoke(question).content == f"answer to {question}"
    except ConnectionError:
        return None


async def asked_by_task(twin, question):
    try:
        return (await twin.ainvoke(question)).content == f"answer to {question}"
    except ConnectionError:
        return None


async def one_round(seed, cancelled):
    """Threads, tasks, failures and cancellations at once; returns the model, outcomes, refusals."""
    draw, model = random.Random(seed), flaky(seed)
    with SemanticCache(embedding=HashEmbedder(), threshold=0.99) as cache:
        twin, loop = cached(model, cache), asyncio.get_running_loop()
        with ThreadPoolExecutor(THREADS) as pool:
            threads = [
                loop.run_in_executor(pool, asked_by_thread, twin, draw.choice(QUESTIONS))
                for _ in range(THREADS)
            ]
            tasks = [asyncio.create_task(asked_by_task(twin, q)) for q in QUESTIONS * (TASKS // 20)]
            await asyncio.sleep(draw.random() * 0.02)
            victims = draw.sample(tasks, cancelled)
            for victim in victims:
                victim.cancel()
            outcomes = await asyncio.gather(*threads, *tasks, return_exceptions=True)
        while len(cache.flights):  # what a cancelled asker has paid for is being stored
            await asyncio.sleep(0.001)
        refused = cache.stats().not_stored
    return model, outcomes, refused


@pytest.mark.slow
@pytest.mark.parametrize(("cancelled", "rounds"), [(0, 10), (20, 50)])
async def test_threads_and_tasks_share_one_call_a_question(cancelled, rounds):
    """32 threads, 200 tasks, 20 questions, failures and cancellations: 20 answers, 50 times."""
    counted = 0
    for seed in range(rounds):
        model, outcomes, refused = await asyncio.wait_for(one_round(seed, cancelled), 60)
        gone = [one for one in outcomes if isinstance(one, asyncio.CancelledError)]
        assert len(outcomes) == THREADS + TASKS
        assert all(one is not False for one in outcomes)
        assert sum(one is None for one in outcomes) == 5
        assert len(gone) <= cancelled
        assert len(model.answered) == len(QUESTIONS)
        if refused:  # a store that an overloaded machine kept waiting: then each asks alone
            assert refused.keys() == {"StoreError"}
            continue
        counted += 1
        assert set(model.answered.values()) == {1}, seed
        assert model.calls == len(QUESTIONS) + 5, seed
    assert counted > rounds / 2


def test_batches_coalesce():
    """Five identical items of a batch, and the same batch from several threads."""
    model = AsyncStreaming(delay=0.02)
    with SemanticCache(embedding=HashEmbedder()) as cache:
        twin = cached(model, cache)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: twin.batch(["same question"] * 5), range(4)))
    assert model.calls == 1
    assert {answer.content for batch in answers for answer in batch} == {"1: same question"}


async def test_similar_prompts_coalesce_if_asked_to():
    """The second wording waits for the first one's call."""
    model = AsyncStreaming(delay=0.05)
    embedder = HashEmbedder()
    with SemanticCache(embedding=embedder, threshold=0.8, coalesce="semantic") as cache:
        twin = cached(model, cache)
        wordings = ["what is your refund policy", "What is your refund policy?"]
        first, second = await asyncio.gather(*(twin.ainvoke(text) for text in wordings))
    assert model.calls == 1
    assert first.content == second.content


async def test_a_sync_call_inside_a_task_does_not_hang():
    """A blocking node on the event loop, while a task asks the model the same."""
    model = AsyncStreaming(delay=0.05)
    with SemanticCache(embedding=HashEmbedder()) as cache:
        twin = cached(model, cache)
        task = asyncio.create_task(twin.ainvoke("a b c"))
        await asyncio.sleep(0.02)
        assert twin.invoke("a b c").content.endswith("a b c")
        await asyncio.wait_for(task, 10)
    assert model.calls <= 2


async def test_waiting_pool_threads_do_not_starve_the_leader():
    """More blocked threads of the loop's pool than it has, while the leader needs one of them."""
    model = AsyncStreaming(delay=0.05)
    with SemanticCache(embedding=HashEmbedder()) as cache:
        twin = cached(model, cache)
        lead = asyncio.create_task(twin.ainvoke("a b c"))
        await asyncio.sleep(0.01)
        waiters = [asyncio.to_thread(twin.invoke, "a b c") for _ in range(40)]
        await asyncio.wait_for(asyncio.gather(lead, *waiters), 30)
