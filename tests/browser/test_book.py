"""The finished book in a real browser: every page, from a folder and from a server, light, dark and on a phone."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from gdl_lab import book

from . import driver, stand_in
from .conftest import OpenPage, without_browser
from .driver import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator

ROOT = Path(__file__).resolve().parents[2]
PHONE = (360, 740)
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Built:
    """A finished book: its folder, its pages, and a word that a search must find."""

    folder: Path
    pages: tuple[str, ...]
    word: str

    @property
    def files(self) -> str:
        return self.folder.as_uri()


@pytest.fixture(scope="session", params=["stand-in", "course"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A small book that uses everything, and the course's own; kernels run offline while they are built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(ROOT / "tests" / "offline"))
        if shutil.which("npm") is None:
            without_browser("Node is not installed: the book was neither built nor checked")
        book.javascript(ROOT)
        if request.param == "stand-in":
            root = stand_in.write_checkout(tmp_path_factory.mktemp("book"), ROOT)
            front = book.build("smoke", [stand_in.ROW], root=root)
            word = "isomorphism"
        else:
            front = book.build("smoke", _ledger(), root=ROOT)
            word = "gradient"
    pages = tuple(sorted(path.name for path in front.parent.glob("*.html")))
    return Built(front.parent, pages, word)


@pytest.fixture
def server(built: Built) -> Iterator[str]:
    """Address of a server for the book."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(built.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()


# --- every page


@pytest.mark.parametrize("place", ["folder", "server"])
def test_pages_open_whole_and_ask_nobody(page: OpenPage, built: Built, server: str, place: str) -> None:
    """No request to another host, no error, every formula set, every widget shown, every picture described."""
    base = built.files if place == "folder" else server
    for name in built.pages:
        watched = visit(page(), f"{base}/{name}")
        wrong = watched.page.evaluate("""() => ({
          unset: [...document.querySelectorAll(".math")].filter((m) => !m.querySelector("mjx-container")).length,
          faulty: document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
          undescribed: [...document.querySelectorAll("img")].filter((i) => !i.alt.trim()).length,
          broken: [...document.querySelectorAll("img")].filter((i) => i.complete && !i.naturalWidth).length,
        })""")
        assert not any(wrong.values()), f"{name}: {wrong}"
        assert not watched.outside, f"{name} asks {watched.outside}"
        assert not watched.errors, f"{name}: {watched.errors}"


def test_the_guard_notices(page: OpenPage, built: Built) -> None:
    """Negative control: a page that asks another host, throws and lacks a file is caught."""
    watched = visit(page(), f"{built.files}/index.html")
    watched.page.evaluate("""() => { const image = new Image(); image.src = "https://example.invalid/pixel.png";
      setTimeout(() => { throw new Error("thrown"); }); }""")
    watched.page.wait_for_timeout(300)
    assert watched.outside == ["https://example.invalid/pixel.png"]
    assert any("thrown" in error for error in watched.errors)


def test_pages_fit_a_phone(page: OpenPage, built: Built) -> None:
    for name in built.pages:
        watched = visit(page(viewport=PHONE), f"{built.files}/{name}")
        width = watched.page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= PHONE[0], f"{name} is {width} pixels wide on a phone of {PHONE[0]}"


def test_the_right_picture_for_the_theme(page: OpenPage, built: Built) -> None:
    """A figure shows one of its two images: the system's choice at first, then the reader's."""
    for name in built.pages:
        if 'class="gdl-figure"' not in (built.folder / name).read_text(encoding="utf-8"):
            continue
        for scheme in ("light", "dark"):
            watched = visit(page(colour_scheme=scheme), f"{built.files}/{name}")
            assert shown_images(watched) == {f"gdl-{scheme}"}, f"{name} opened on a {scheme} system"
            for wanted in ("light", "dark"):
                switch_theme(watched, wanted)
                assert shown_images(watched) == {f"gdl-{wanted}"}, f"{name} switched to {wanted}"
                assert white_boxes(watched, wanted) == [], f"{name} switched to {wanted}"


def test_the_small_book_has_a_figure(built: Built) -> None:
    """Negative control of the test above, which passes pages without figures by."""
    assert any('class="gdl-figure"' in (built.folder / name).read_text(encoding="utf-8") for name in built.pages)


# --- links and search


class Anchors(HTMLParser):
    """What a page links to, loads and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "data-src") if name in given]
        if tag == "link":
            self.loads.append(given.get("href", ""))


def test_links_lead_somewhere(built: Built) -> None:
    anchors = {name: Anchors((built.folder / name).read_text(encoding="utf-8")) for name in built.pages}
    dead = []
    inner = 0
    for name, found in anchors.items():
        for link in found.links:
            target = urlsplit(link)
            if target.scheme or target.netloc or link == "#":
                continue
            inner += 1
            file, fragment = unquote(target.path) or name, unquote(target.fragment)
            there = file in anchors or (built.folder / file).is_file()
            if not there or (fragment and file in anchors and fragment not in anchors[file].ids):
                dead.append(f"{name} → {link}")
    assert inner > 20
    assert not dead


def test_nothing_is_loaded_from_elsewhere(built: Built) -> None:
    for name in built.pages:
        for load in Anchors((built.folder / name).read_text(encoding="utf-8")).loads:
            target = urlsplit(load)
            assert target.scheme in ("", "data"), f"{name} loads {load}"
            assert not target.netloc, f"{name} loads {load}"
            if not target.scheme:
                assert (built.folder / unquote(target.path)).exists(), f"{name} lacks {load}"


@pytest.mark.parametrize("place", ["folder", "server"])
def test_search_finds_a_word(page: OpenPage, built: Built, server: str, place: str) -> None:
    base = built.files if place == "folder" else server
    watched = visit(page(), f"{base}/index.html")
    watched.page.keyboard.press("Control+k")
    watched.page.keyboard.type(built.word)
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector("#search-results li a", timeout=10_000)
    assert watched.page.locator("#search-results li a").first.get_attribute("href")
    watched.page.goto(f"{base}/search.html?q=zzyzx")
    watched.page.wait_for_timeout(1000)
    assert watched.page.locator("#search-results li a").count() == 0
    assert not watched.errors
    assert not watched.outside


# --- widgets


def test_every_stored_widget_is_shown(page: OpenPage, built: Built) -> None:
    """As many widgets on the page as were displayed when the chapter ran, each with a read-out."""
    shown = 0
    for name in built.pages:
        text = (built.folder / name).read_text(encoding="utf-8")
        expected = text.count("application/vnd.jupyter.widget-view+json")
        if not expected:
            continue
        roots = widgets(visit(page(), f"{built.files}/{name}"), expected)
        assert all(driver.numbers(root) for root in roots), name
        shown += expected
    assert shown or built.word != "isomorphism"


def test_widgets_answer_without_a_kernel(page: OpenPage, built: Built) -> None:
    """Every control of every widget moves the picture, and the numbers are those that Python computes."""
    assert built.word == "isomorphism" or list(course_widgets(built)), "the course's pages hold no widget"
    for name, index, readout in course_widgets(built):
        watched = visit(page(), f"{built.files}/{name}")
        report = driver.drive(watched, widgets(watched, index + 1)[index], readout)
        assert report.controls
        assert not watched.outside


def test_widgets_hear_the_keyboard_and_the_theme(page: OpenPage, built: Built) -> None:
    for name, index, _ in course_widgets(built):
        watched = visit(page(), f"{built.files}/{name}")
        root = widgets(watched, index + 1)[index]
        driver.themes(watched, root, functools.partial(switch_theme, watched))
        driver.keyboard(watched, root)


def test_widgets_fit_a_phone(page: OpenPage, built: Built) -> None:
    for name, index, _ in course_widgets(built):
        watched = visit(page(viewport=PHONE, touch=True), f"{built.files}/{name}")
        driver.fits(watched, widgets(watched, index + 1)[index])


# --- hands


def visit(watched: Watched, address: str) -> Watched:
    """Open a page and wait until its formulas are set."""
    watched.page.goto(address)
    watched.page.wait_for_load_state("load")
    if watched.page.locator(".math").count():
        watched.page.wait_for_function("window.MathJax?.startup?.promise !== undefined", timeout=15_000)
        watched.page.evaluate("() => MathJax.startup.promise")
    return watched


def widgets(watched: Watched, at_least: int) -> list[Locator]:
    """The roots of the widgets on a page, once there are so many."""
    watched.page.wait_for_function(
        "(n) => document.querySelectorAll('.gdl-widget[data-readout]').length >= n", arg=at_least, timeout=15_000
    )
    return watched.page.locator(driver.WIDGET).all()


def course_widgets(built: Built) -> Iterator[tuple[str, int, driver.Readout]]:
    """Page, place on it, and Python's numbers, for every widget of the course in a book."""
    for name in built.pages:
        stored = driver.stored_widgets((built.folder / name).read_text(encoding="utf-8"))
        for index, widget in enumerate(stored):
            yield name, index, widget.readout


def switch_theme(watched: Watched, theme: str) -> None:
    """Choose light or dark from the menu at the top of the page."""
    watched.page.locator("button.theme-switch-button:visible").first.click()
    watched.page.locator(f"button.theme-change-button[data-mode={theme}]:visible").first.click()
    assert watched.page.evaluate("document.documentElement.dataset.theme") == theme


def shown_images(watched: Watched) -> set[str]:
    """Classes of the images of figures that can be seen."""
    found: list[str] = watched.page.evaluate(
        "[...document.querySelectorAll('.gdl-figure img')].filter((i) => i.offsetParent).map((i) => i.className)"
    )
    return set(found)


def white_boxes(watched: Watched, theme: str) -> list[str]:
    """Outputs that stand on a light ground in a dark page."""
    if theme == "light":
        return []
    found: list[str] = watched.page.evaluate("""() => [...document.querySelectorAll(".cell_output, .cell_output *")]
      .filter((node) => node.offsetParent && !node.closest(".gdl-widget"))
      .filter((node) => {
        const [r, g, b, a = 1] = getComputedStyle(node).backgroundColor.match(/[\\d.]+/g).map(Number);
        return a > 0.5 && Math.min(r, g, b) > 200;
      }).map((node) => node.outerHTML.slice(0, 100))""")
    return found


def _ledger() -> list[dict[str, object]]:
    from gdl_lab import claims

    return [c.outcome().row() if c.runs_in("smoke") else c.unmeasured("smoke") for c in claims.registered()]
