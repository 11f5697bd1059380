"""A real Chromium for the tests, fenced in: whatever a page asks of another host is refused and written down."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pytest

from gdl_lab.widgets import bundle
from gdl_lab.widgets.stage import LIBRARIES

from .driver import EMPTY, FLAGS, STAGE, Watched, find_chromium, module_url

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Route

AT_HOME = re.compile(r"(file|data|blob|about):|(https?|wss?)://(127\.0\.0\.1|localhost)([:/]|$)")
OpenPage = Callable[..., Watched]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium: ``CHROMIUM``, or the first of the usual names on the ``PATH``."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without_browser('playwright is not installed: python -m pip install -e ".[test]"')
    try:
        path = find_chromium()
    except FileNotFoundError as reason:
        without_browser(f"{reason}: pages and widgets were not checked")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[OpenPage]:
    """A factory: ``page(viewport=(360, 740), colour_scheme="dark", touch=False)`` opens a fresh, guarded page."""
    contexts = []

    def open_page(
        viewport: tuple[int, int] = (1280, 900),
        colour_scheme: Literal["light", "dark"] = "light",
        touch: bool = False,
    ) -> Watched:
        width, height = viewport
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=colour_scheme, has_touch=touch
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        context.route("**/*", lambda route: _guard(watched, route))
        watched.page.on("console", lambda message: _hear(watched, message))
        watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
        return watched

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def blank(page: OpenPage) -> Watched:
    """An empty page, on which modules are imported."""
    watched = page()
    watched.page.set_content(EMPTY)
    return watched


def call(watched: Watched, module: str, expression: str, *arguments: Any) -> Any:
    """Evaluate an expression in the exports ``js`` of a bundled widget, or of a library, with ``args``."""
    source = (STAGE / f"{module}.js").read_text(encoding="utf-8") if module in LIBRARIES else bundle(module)
    return watched.page.evaluate(
        f"async ([url, args]) => {{ const js = await import(url); return {expression}; }}",
        [module_url(source), list(arguments)],
    )


def _guard(watched: Watched, route: Route) -> None:
    if AT_HOME.match(route.request.url):
        route.continue_()
    else:
        watched.outside.append(route.request.url)
        route.abort()


def _hear(watched: Watched, message: ConsoleMessage) -> None:
    if message.type == "error":
        watched.errors.append(message.text)


def without_browser(reason: str) -> NoReturn:
    """Skip with the reason, or fail where ``GDL_LAB_REQUIRE_BROWSER=1`` says that a browser must be there."""
    if os.environ.get("GDL_LAB_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
