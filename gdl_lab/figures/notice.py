"""One line with a coloured edge and a mark: how a measured claim or a checker's verdict looks on a page."""

from __future__ import annotations

import html

__all__ = ["notice"]

_TONES = {"good": ("✓", "#1a7f37"), "bad": ("✗", "#cf222e"), "hint": ("→", "#9a6700"), "plain": ("·", "#6e7781")}


def notice(kind: str, tone: str, text: str, *, strong: str = "", aside: str = "") -> str:
    """HTML of the line.

    Args:
        kind: CSS classes, such as ``"gdl-claim gdl-claim-holds"``.
        tone: ``"good"``, ``"bad"``, ``"hint"`` or ``"plain"``: mark and colour, the mark so that colour is not needed.
        text, strong, aside: plain text, then a stressed part, then a subdued one.
    """
    mark, colour = _TONES[tone]
    parts = [f'<span aria-hidden="true" style="color: {colour}; font-weight: 700;">{mark}</span>', html.escape(text)]
    if strong:
        parts.append(f"<strong>{html.escape(strong)}</strong>")
    if aside:
        parts.append(f'<span style="opacity: 0.75;">({html.escape(aside)})</span>')
    style = f"border-left: 4px solid {colour}; padding: 0.35em 0.8em; margin: 0.4em 0;"
    return f'<div class="{kind}" style="{style}">{" ".join(parts)}</div>'
