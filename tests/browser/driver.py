"""Drives any widget of the course through everything a reader can do with it, wherever it is shown.

A widget's root carries ``data-settings`` and ``data-readout``: what the reader has set and what the widget has
computed, in full precision. The checks compare the two through the widget's own Python reference,
``readout(**settings)``.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gdl_lab.widgets
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import Widget

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["Report", "Watched", "drive", "fits", "host", "keyboard", "move_times", "stored_widgets", "themes"]

WIDGET = ".gdl-widget"
STATE = re.compile(r'<script type="application/vnd\.jupyter\.widget-state\+json">(.*?)</script>', re.DOTALL)
NAMES = ("chromium", "chromium-browser", "google-chrome")
# The first two are needed in containers, the rest keep the browser itself from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
STAGE = Path(gdl_lab.widgets.__file__).parent
Readout = Callable[..., dict[str, float]]


@dataclass
class Watched:
    """A page together with what it did that a page of the course must not do.

    Attributes:
        page: the page itself.
        outside: addresses on other hosts that it asked for; each request was refused.
        errors: messages of the console at level "error", and uncaught exceptions.
    """

    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Control:
    """One control of a widget: its name, its kind, the value it has and the values worth trying, first to last."""

    name: str
    kind: str
    value: str
    values: tuple[str, ...]
    step: float


@dataclass
class Report:
    """What `drive` did: the seed of its random settings, the controls by name, and the number of settings checked."""

    seed: int
    controls: list[str]
    settings: int = 0


def find_chromium() -> str:
    """The system's Chromium: the environment's ``CHROMIUM``, or the first of the usual names on the ``PATH``.

    Raises:
        FileNotFoundError: there is none.
    """
    named = os.environ.get("CHROMIUM")
    path = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        where = f"CHROMIUM={named} is not a program" if named else f"none of {', '.join(NAMES)} is on the PATH"
        raise FileNotFoundError(f"no browser found ({where})")
    return path


# --- a bare page that plays the part of a notebook


def host(watched: Watched, *widgets: Widget) -> list[Locator]:
    """Show widgets on an empty page with a minimal model in place of Jupyter's; their roots, in order.

    ``window.models`` and ``window.closers`` hold the models and the functions that close the views.
    """
    states = [{name: _plain(value) for name, value in widget.get_state().items()} for widget in widgets]
    watched.page.set_content(EMPTY)
    watched.page.evaluate(HOST, states)
    return watched.page.locator(WIDGET).all()


def encode(data: bytes | memoryview) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()


def module_url(source: str) -> str:
    """A module's text as an address that ``import()`` takes."""
    return "data:text/javascript;base64," + encode(source.encode())


def stored_widgets(html: str) -> list[Widget]:
    """The widgets of the course whose state a page of the book carries, made anew in Python."""
    found = STATE.search(html)
    models = json.loads(found[1])["state"].values() if found else ()
    widgets = []
    for model in models:
        module, _, name = model["state"].get("_anywidget_id", "").rpartition(".")
        if not module.startswith("gdl_lab.widgets"):
            continue
        state = {key: value for key, value in model["state"].items() if not key.startswith("_")}
        for stored in model.get("buffers", ()):
            (key,) = stored["path"]
            state[key] = base64.b64decode(stored["data"])
        widgets.append(getattr(gdl_lab.widgets, name).from_state(state))
    return widgets


def _plain(value: Any) -> Any:
    return {"bytes": encode(value)} if isinstance(value, bytes | memoryview) else value


EMPTY = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Widgets</title>
<style>body { font-family: DejaVu Sans, sans-serif } html[data-theme="dark"] { background: #121212 }</style><body>"""
HOST = """async (states) => {
  class Model {
    constructor(state) { this.state = state; this.handlers = new Map(); this.saved = 0; }
    get(name) { return this.state[name]; }
    set(name, value) {
      if (JSON.stringify(this.state[name]) === JSON.stringify(value)) return;
      this.state[name] = value;
      for (const handler of this.handlers.get(`change:${name}`) ?? []) handler(this, value);
    }
    on(type, handler) {
      if (!this.handlers.has(type)) this.handlers.set(type, new Set());
      this.handlers.get(type).add(handler);
    }
    off(type, handler) { this.handlers.get(type)?.delete(handler); }
    save_changes() { this.saved += 1; }
    count() { return [...this.handlers.values()].reduce((sum, set) => sum + set.size, 0); }
  }
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  window.models = [];
  window.closers = [];
  for (const state of states) {
    for (const [name, value] of Object.entries(state)) if (value?.bytes !== undefined) state[name] = bytes(value.bytes);
    const style = document.createElement("style");
    style.textContent = state._css;
    const el = document.createElement("div");
    document.body.append(style, el);
    const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
    const model = new Model(state);
    window.models.push(model);
    window.closers.push((await import(url)).default.render({ model, el }));
  }
}"""


# --- the controls of a widget


def controls(root: Locator) -> list[Control]:
    """The controls that the reader can see, in the order of the page."""
    found = root.evaluate("""(root) => [...root.querySelectorAll("[data-name]")]
    .filter((c) => c.offsetParent).map((c) => ({
      name: c.dataset.name,
      kind: c.type,
      value: c.type === "checkbox" ? String(c.checked) : c.value,
      step: Number(c.step || 1),
      values: c.type === "checkbox" ? ["false", "true"]
        : c.tagName === "SELECT" ? [...c.options].map((o) => o.value) : [c.min, c.max],
    }))""")
    return [Control(c["name"], c["kind"], c["value"], tuple(c["values"]), c["step"]) for c in found]


def put(root: Locator, name: str, value: str) -> None:
    """Set a control as a reader's hand would, with the events that follow."""
    root.evaluate(
        """(root, [name, value]) => {
      const control = root.querySelector(`[data-name="${name}"]`);
      if (control.type === "checkbox") { if (String(control.checked) !== value) control.click(); return; }
      control.value = value;
      for (const type of ["input", "change"]) control.dispatchEvent(new Event(type, { bubbles: true }));
    }""",
        [name, value],
    )


def picture(root: Locator) -> str:
    """All canvases of the widget, as text that differs when they do."""
    return str(root.evaluate("(root) => [...root.querySelectorAll('canvas')].map((c) => c.toDataURL()).join(' ')"))


def numbers(root: Locator) -> dict[str, float]:
    """The read-out in full precision."""
    return dict(json.loads(root.get_attribute("data-readout") or "{}"))


def settings(root: Locator) -> dict[str, Any]:
    """What the reader has set, as keyword arguments of the widget's ``readout``."""
    return dict(json.loads(root.get_attribute("data-settings") or "{}"))


def agree(shown: dict[str, float], expected: dict[str, float], relative: float = 1e-4, absolute: float = 1e-9) -> None:
    """Fail unless both have the same names and finite, equal numbers."""
    assert shown.keys() == expected.keys(), f"the widget shows {sorted(shown)}, Python computes {sorted(expected)}"
    for name, value in shown.items():
        assert math.isfinite(math.nan if value is None else value), f"{name} is {value}"
        assert math.isclose(value, expected[name], rel_tol=relative, abs_tol=absolute), (
            f"{name}: the widget shows {value!r}, Python computes {expected[name]!r}"
        )


# --- what a reader may do


def drive(watched: Watched, root: Locator, readout: Readout, seed: int | None = None) -> Report:
    """Every control at its extremes and back, then five random joint settings; numbers checked against Python's.

    Fails if a control never changes the picture, a number is not finite or not Python's, or the console has an error.
    """
    report = Report(fresh_seed() if seed is None else seed, [c.name for c in controls(root)])
    print(f"driving {root.get_attribute('data-widget')}: {len(report.controls)} controls, seed {report.seed}")

    def check(what: str) -> None:
        report.settings += 1
        try:
            agree(numbers(root), readout(**settings(root)))
        except AssertionError as reason:
            raise AssertionError(f"{what} (seed {report.seed}): {reason}") from None
        assert not watched.errors, f"{what} (seed {report.seed}): console says {watched.errors}"

    check("as it opens")
    for control in controls(root):
        before = picture(root)
        changed = False
        for value in (control.values[0], control.values[-1], control.value):
            put(root, control.name, value)
            check(f"{control.name} = {value}")
            changed |= picture(root) != before
        assert changed or len(control.values) == 1, f"{control.name} never changes the picture"

    draw = random.Random(report.seed)
    for _ in range(5):
        chosen = {}
        for name in [c.name for c in controls(root)]:
            # A control may have come or gone with one set before it.
            present = next((c for c in controls(root) if c.name == name), None)
            if present is not None:
                chosen[name] = random_value(present, draw)
                put(root, name, chosen[name])
        check(f"joint setting {chosen}")
    return report


def random_value(control: Control, draw: random.Random) -> str:
    """A value that the control can take."""
    if control.kind in ("range", "number"):
        low, high = map(float, control.values)
        return f"{low + control.step * draw.randint(0, round((high - low) / control.step)):.10g}"
    return draw.choice(control.values)


def keyboard(watched: Watched, root: Locator) -> None:
    """Tab reaches every control and button with a visible focus, and a key moves each control."""
    page = watched.page
    root.evaluate("""(root) => {
      const before = document.createElement("span");
      before.tabIndex = -1;
      root.before(before);
      before.focus();
    }""")
    expected = root.evaluate("""(root) => [...root.querySelectorAll("input, select, button")]
      .filter((c) => c.offsetParent).map((c) => c.dataset.name ?? c.textContent)""")
    reached = []
    for _ in expected:
        page.keyboard.press("Tab")
        name, label, outline = root.evaluate("""(root) => {
          const c = document.activeElement;
          const inside = root.contains(c);
          return [inside ? c.dataset.name ?? c.textContent : null,
            c.ariaLabel || c.textContent || c.labels?.[0]?.textContent, getComputedStyle(c).outlineStyle];
        }""")
        assert label, f"{name} has no label"
        assert outline not in ("none", ""), f"nobody sees that {name} has the focus"
        reached.append(name)
    assert reached == expected, f"Tab reaches {reached}, expected {expected}"

    for control in controls(root):
        if len(control.values) == 1:
            continue
        at_end = control.value == control.values[-1]
        keys = {
            "range": ("ArrowRight", "ArrowLeft"),
            "checkbox": ("Space", "Space"),
            "number": ("ArrowUp", "ArrowDown"),
        }
        before = root.get_attribute("data-settings")
        root.locator(f'[data-name="{control.name}"]').focus()
        page.keyboard.press(keys.get(control.kind, ("ArrowDown", "ArrowUp"))[at_end])
        after = next((c.value for c in controls(root) if c.name == control.name), None)
        assert after != control.value, f"no key moves {control.name}"
        # The entry "your own" of a list of presets is a state, not an action.
        assert root.get_attribute("data-settings") != before or after == "your own", f"{control.name} moves nothing"
        put(root, control.name, control.value)  # it may have hidden others
    assert not watched.errors


def move_times(root: Locator, moves: int = 15) -> dict[str, float]:
    """Milliseconds of one move of each slider, from the event until the page is drawn: of 15, the fourth fastest."""
    result = root.evaluate(
        """(root, moves) => {
      const times = {};
      for (const c of root.querySelectorAll('input[type="range"]')) {
        if (!c.offsetParent) continue;
        const [low, high, start] = [Number(c.min), Number(c.max), c.value];
        times[c.dataset.name] = Array.from({ length: moves }, (_, k) => {
          c.value = low + (high - low) * (k + 0.5) / moves;
          const began = performance.now();
          c.dispatchEvent(new Event("input", { bubbles: true }));
          root.querySelectorAll("canvas").forEach((canvas) => canvas.getContext("2d").getImageData(0, 0, 1, 1));
          root.getBoundingClientRect();
          return performance.now() - began;
        }).sort((a, b) => a - b)[Math.floor(moves / 4)];
        c.value = start;
        c.dispatchEvent(new Event("input", { bubbles: true }));
      }
      return times;
    }""",
        moves,
    )
    return {name: float(ms) for name, ms in result.items()}


def themes(watched: Watched, root: Locator, switch: Callable[[str], None]) -> None:
    """Switching the page's theme changes the widget at once, and all of its text stays readable in both."""
    seen = {}
    for theme in ("light", "dark"):
        switch(theme)
        watched.page.wait_for_function(
            "([root, theme]) => root.style.colorScheme === theme", arg=[root.element_handle(), theme]
        )
        seen[theme] = root.screenshot()
        faint = root.evaluate(CONTRAST)
        assert not faint, f"{theme}: text with a contrast below 4.5: {faint}"
    assert seen["light"] != seen["dark"]


CONTRAST = """(root) => {
  const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (text) => rgb(text).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const paper = light(getComputedStyle(root).backgroundColor);
  return [...root.querySelectorAll("*")]
    .filter((node) => node.offsetParent && [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
    .map((node) => {
      const ink = light(getComputedStyle(node).color);
      return [node.textContent, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
    })
    .filter(([, contrast]) => contrast < 4.5);
}"""


def fits(watched: Watched, root: Locator) -> None:
    """The page does not scroll sideways, and nothing sticks out of the widget or is cut off in it."""
    wide = watched.page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")
    assert wide <= 0, f"the page scrolls sideways by {wide} pixels"
    out = root.evaluate("""(root) => {
      const box = root.getBoundingClientRect();
      return [...root.querySelectorAll("*")]
        .filter((node) => node.offsetParent && !["OPTION", "SELECT", "INPUT"].includes(node.tagName))
        .filter((node) => node.getBoundingClientRect().right > box.right + 0.5
          || node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== "inline")
        .map((node) => node.outerHTML.slice(0, 120));
    }""")
    assert not out, f"too wide for the widget: {out}"
