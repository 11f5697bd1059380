"""A picture for a notebook or a page: drawn twice, once for each appearance, with caption and alt text."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from gdl_lab.figures.style import DARK, LIGHT, Theme

__all__ = ["Picture", "picture"]

# Light pages show the first image, dark ones the second. The last rule follows the system where a page says nothing of
# its own.
_CSS = """<style>
.gdl-figure { margin: 0.8em 0; }
.gdl-figure img { max-width: 100%; height: auto; background: transparent; }
.gdl-figure figcaption { font-size: 0.92em; opacity: 0.85; max-width: 46em; text-align: left; }
.gdl-figure .gdl-dark { display: none; }
body[data-jp-theme-light="false"] .gdl-figure .gdl-dark, html[data-theme="dark"] .gdl-figure .gdl-dark {
  display: inline;
}
body[data-jp-theme-light="false"] .gdl-figure .gdl-light, html[data-theme="dark"] .gdl-figure .gdl-light {
  display: none;
}
@media (prefers-color-scheme: dark) {
  html:not([data-theme]) body:not([data-jp-theme-light]) .gdl-figure .gdl-dark { display: inline; }
  html:not([data-theme]) body:not([data-jp-theme-light]) .gdl-figure .gdl-light { display: none; }
}
</style>
"""


@dataclass(frozen=True)
class Picture:
    """A finished picture; the last expression of a cell shows it.

    Attributes:
        light, dark: PNG bytes.
        caption: what to see in it.
        alt: what a reader who cannot see it needs, numbers included.
    """

    light: bytes
    dark: bytes
    caption: str
    alt: str
    width: int

    def _repr_html_(self) -> str:
        images = "".join(
            f'<img class="gdl-{name}" src="data:image/png;base64,{base64.b64encode(png).decode()}" '
            f'alt="{html.escape(self.alt, quote=True)}" width="{self.width}">'
            for name, png in (("light", self.light), ("dark", self.dark))
        )
        return f'{_CSS}<figure class="gdl-figure">{images}<figcaption>{html.escape(self.caption)}</figcaption></figure>'

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def save(self, path: str | Path) -> None:
        """Write the light version as PNG."""
        Path(path).write_bytes(self.light)


def picture(
    draw: Callable[[Any, Theme], None], *, caption: str, alt: str, width: float = 6.4, height: float = 3.4
) -> Picture:
    """Draw a picture.

    Args:
        draw: ``draw(figure, theme)`` fills a matplotlib figure; it is called once for each theme and must draw the same
            both times.
        caption: what to see; shown below.
        alt: text for readers who cannot see the picture; give the numbers.
        width, height: inches; at most 9 wide.

    Raises:
        ValueError: caption or alt text is missing.
    """
    if not alt.strip() or not caption.strip():
        raise ValueError("a picture needs a caption and an alt text")
    light, dark = (_draw(draw, theme, width, height) for theme in (LIGHT, DARK))
    return Picture(light, dark, caption, alt, round(100 * width))


def _draw(draw: Callable[[Any, Theme], None], theme: Theme, width: float, height: float) -> bytes:
    from matplotlib.figure import Figure

    with matplotlib.rc_context(theme.rc()):
        figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
        draw(figure, theme)
        out = io.BytesIO()
        figure.savefig(out, format="png", transparent=True, metadata={"Software": None})
    return out.getvalue()
