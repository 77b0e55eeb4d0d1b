# SPDX-License-Identifier: GPL-2.0-only
"""The daemons' page in a browser, with what real groups, races and replicas have told it."""

import pytest
from browser import Browser, Replay
from conftest import REPO, newest

PICTURES = REPO / "build" / "page"
PHONE = {"width": 360, "height": 740}
EVIL = "<img src=x onerror=evil()><b id=evil>"
# What the page decides by, or computes with.
KEPT = ("daemon", "group", "family", "assignment", "phase")


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


def test_drawn(browser, kept):
    """It draws what there is, asks nobody but the daemon, and complains of nothing."""
    server = Replay(kept)
    with browser.open(server.url) as page:
        assert page.complaints() == []
        assert {url for url in page.requested() if not url.startswith(server.url)} == set()
        text = page.text()
        assert server.status["daemon"] in text and server.status["version"] in text
        assert "no answer" not in text
        for group in server.status["own"].get("groups", ()):
            for one in group["caches"]:
                assert one["address"] in text
        for one in server.status["own"].get("replicas", ()):
            assert one.get("address", one.get("replica")) in text
        assert "undefined" not in text and "NaN" not in text and "[object" not in text
        page.picture(PICTURES / f"{kept.name}-light.png")


def test_phone(browser, kept):
    """360 px are enough, in the dark too."""
    server = Replay(kept)
    with browser.open(server.url, dark=True, **PHONE) as page:
        assert page.eval("document.documentElement.scrollWidth") <= 360
        assert page.eval("[...document.querySelectorAll('main *')].filter(e => "
                         "e.getBoundingClientRect().right > 361).map(e => e.outerHTML)") == []
        page.picture(PICTURES / f"{kept.name}-phone.png")


def test_buckets(browser):
    """All 256 buckets in the colour of their cache."""
    server = Replay(newest("routerd"))
    with browser.open(server.url) as page:
        (group,) = [g for g in server.status["own"]["groups"] if g["map"].get("buckets")]
        colours = page.eval("[...document.querySelectorAll('svg.map rect')].map(r => "
                            "getComputedStyle(r).fill)")
        assert len(colours) == 256
        of_cache = dict(zip(group["map"]["buckets"], colours))
        assert colours == [of_cache[index] for index in group["map"]["buckets"]]
        assert len(set(of_cache.values())) == len(of_cache) == 3
        legend = page.eval("[...document.querySelectorAll('.card .swatch')].map(s => "
                           "[getComputedStyle(s).backgroundColor, s.nextSibling.textContent])")
        for colour, address in legend:
            assert of_cache[group["map"]["caches"].index(address)] == colour


def test_why(browser):
    """Of a cache that is not usable it says why."""
    server = Replay(newest("refused"))
    with browser.open(server.url) as page:
        whys = [c["why"] for g in server.status["own"]["groups"] for c in g["caches"]
                if not c["usable"]]
        assert whys and all(why in page.text() for why in whys)
        assert "not on link" in page.text()


def test_races(browser):
    """Who wins, and how late each one answers, as bars."""
    server = Replay(newest("client-gateway"))
    with browser.open(server.url) as page:
        answerers = [a for race in server.status["kernel"]["races"] for a in race["answerers"]]
        bars = page.eval("document.querySelectorAll('svg.bars').length")
        assert bars == len(answerers) > 1
        filled = page.eval("[...document.querySelectorAll('svg.bars rect')].filter(r => "
                           "r.getAttribute('height') > 0).length")
        assert filled == sum(len(a["histogram"]) for a in answerers)
        assert page.text().count("won ") >= len(answerers)
        assert page.eval("document.querySelectorAll('svg.spark').length") > 0


def test_dark(browser):
    grounds = set()
    for dark in (False, True):
        server = Replay(newest("routerd"))
        with browser.open(server.url, dark=dark) as page:
            grounds.add(page.eval("getComputedStyle(document.body).backgroundColor"))
            page.picture(PICTURES / f"routerd-{'dark' if dark else 'light'}.png")
    assert len(grounds) == 2


def poisoned(value):
    if isinstance(value, dict):
        return {key: one if key in KEPT and isinstance(one, str) else poisoned(one)
                for key, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one) for one in value]
    return value + EVIL if isinstance(value, str) else value


def test_names_are_text(browser, kept):
    """Whatever names and reasons say, they are shown, and do nothing."""
    server = Replay(kept)
    server.status = poisoned(server.status)
    with browser.open(server.url) as page:
        assert page.complaints() == []
        assert EVIL in page.text()
        assert page.eval("document.querySelectorAll('img, #evil').length") == 0


def test_policy(browser):
    """No script but its own runs, and no style, even if it got into the page."""
    server = Replay(newest("routerd"))
    with browser.open(server.url) as page:
        page.eval("""{
            const script = document.createElement("script");
            script.textContent = "window.evil = 1";
            document.body.append(script);
            const style = document.createElement("style");
            style.textContent = "body { display: none }";
            document.body.append(style);
            document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='evil = 1'>");
        }""")
        assert page.eval("window.evil === undefined")
        assert page.eval("getComputedStyle(document.body).display") == "block"
        assert page.eval("fetch('http://127.0.0.1:1/').then(() => 1, () => 0)") == 0
        assert len(page.complaints()) >= 4


def test_daemon_gone(browser):
    """It says so, shows what it has, and goes on when the daemon is back."""
    server = Replay(newest("routerd"))
    with browser.open(server.url) as page:
        server.broken = True
        page.eval("ask()")
        assert "no answer since" in page.text()
        assert page.eval("document.querySelectorAll('svg.map rect').length") == 256
        server.broken = False
        page.eval("ask()")
        assert "no answer" not in page.text()


def test_open_stays_open(browser):
    """What was opened or closed by hand is so after the next answer."""
    server = Replay(newest("routerd"))
    with browser.open(server.url) as page:
        cards = "[...document.querySelectorAll('details')]"
        page.eval(f"{cards}[0].open = false")
        page.eval(f"{cards}[1].open = true")
        before = page.eval(f"{cards}.map(card => card.open)")
        page.eval("ask()")
        assert page.eval(f"{cards}.map(card => card.open)") == before
        assert True in before and False in before
