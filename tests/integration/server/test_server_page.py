"""The page at `/` in a real browser: live counts, the search box, and nothing from elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from servers import program

from .conftest import Serve, Served, said

EVIL = "How do I reset <img src=x onerror=document.title='owned'> my password?"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's own Chromium: none is downloaded."""
    chromium = program("chromium")
    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab; an error in the page, or a policy it breaks, fails the test."""
    opened = browser.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else 0)
    yield opened
    opened.close()
    assert [one for one in complaints if "401" not in one] == []


def ask(served: Served, *questions: str, key: str = "") -> None:
    """Chat completions under a key, or none."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    for question in questions:
        body = {"model": "gpt-4o", "messages": said(question)}
        response = httpx.post(f"{served.url}/chat/completions", json=body, headers=headers)
        assert response.status_code == 200


def tile(page: Page, name: str) -> str:
    """The number above a name."""
    return page.locator(".tile", has_text=re.compile(f"{name}$")).locator("b").inner_text()


def test_the_page_shows_live_counts(served: Served, page: Page) -> None:
    """They are there when it opens, and grow while it is open."""
    ask(served, "How do I reset my password?", "How can I reset my password?")
    page.goto(served.address)
    expect(page.locator("#state")).to_contain_text("live")
    assert tile(page, "lookups") == "2"
    assert tile(page, "semantic hits") == "1"
    assert tile(page, "hit rate") == "50.0 %"
    expect(page.locator("#misses")).to_contain_text("no candidate")
    expect(page.locator("#latency")).to_contain_text("semantic hit")
    ask(served, "How do I reset my password?")
    expect(page.locator(".tile", has_text="lookups").locator("b")).to_have_text("3")


def test_the_search_box_says_what_would_be_hit_and_why(served: Served, page: Page) -> None:
    """A hit with its question and score, a near miss with the guard's reason."""
    ask(served, "Where is order 4711?")
    page.goto(served.address)
    page.fill("#prompt", "Where's order 4711?")
    page.click("#search button")
    expect(page.locator(".verdict.hit")).to_contain_text("Hit (semantic)")
    expect(page.locator(".verdict")).to_contain_text("Where is order 4711?")
    page.fill("#prompt", "Where is order 4712?")
    page.press("#prompt", "Enter")
    expect(page.locator(".verdict")).to_contain_text("Miss (rejected by a guard)")
    expect(page.locator(".rejected")).to_contain_text("4712")
    page.fill("#namespace", "elsewhere")
    page.click("#search button")
    expect(page.locator("#found")).to_contain_text("Nothing here is found by meaning yet")


def test_stored_text_stays_text(served: Served, page: Page) -> None:
    """A question that looks like HTML is shown and not run."""
    ask(served, EVIL)
    page.goto(served.address)
    page.fill("#prompt", EVIL)
    page.click("#search button")
    expect(page.locator(".verdict")).to_contain_text("<img src=x")
    assert page.locator("#found img").count() == 0
    assert page.title() == "semcache"


def test_the_page_asks_for_a_key_where_one_is_needed(serve: Serve, page: Page) -> None:
    """Without it nothing is shown; with it, this tenant's entries."""
    digest = f"sha256:{hashlib.sha256(b'sk-acme').hexdigest()}"
    served = serve(keys={"acme": digest})
    ask(served, "Where is order 4711?", key="sk-acme")
    page.goto(served.address)
    expect(page.locator("#state")).to_contain_text("No API key was given")
    assert page.locator(".tile").count() == 0
    page.fill("#key", "sk-acme")
    page.press("#key", "Enter")
    expect(page.locator("#state")).to_contain_text("live")
    page.fill("#prompt", "Where's order 4711?")
    page.click("#search button")
    expect(page.locator(".verdict.hit")).to_be_visible()
    assert "sk-acme" not in page.url
    stored = page.evaluate("JSON.stringify([localStorage.length, document.cookie])")
    assert stored == '[0,""]'


def test_nothing_comes_from_elsewhere(served: Served, page: Page) -> None:
    """Every request of the page goes to the server that it came from; it fits a telephone."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 375, "height": 700})
    page.goto(served.address)
    expect(page.locator("#state")).to_contain_text("live")
    assert all(url.startswith((served.address, "data:")) for url in asked)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_page_is_guarded_against_frames_and_scripts(served: Served) -> None:
    """Only its own script runs, it is in nobody's frame, and it names no other host."""
    response = httpx.get(served.address)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", response.text)
