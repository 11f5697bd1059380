"""The course's colours and matplotlib style, once for light pages and once for dark ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DARK", "LIGHT", "Theme"]


@dataclass(frozen=True)
class Theme:
    """Ink and paper of one appearance.

    ``cycle`` begins with blue, orange, green and purple after Okabe and Ito, shifted in lightness to stand out from the
    paper; four more keep apart from these, and from each other, for colour-blind readers too.
    """

    name: str
    ink: str
    muted: str
    grid: str
    paper: str
    cycle: tuple[str, ...]
    diverging: str
    sequential: str

    def rc(self) -> Any:  # matplotlib types its keys as a literal of some 300 names
        """Settings for ``matplotlib.rc_context``."""
        from cycler import cycler

        return {
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "axes.edgecolor": self.muted,
            "xtick.color": self.muted,
            "ytick.color": self.muted,
            "xtick.labelcolor": self.ink,
            "ytick.labelcolor": self.ink,
            "grid.color": self.grid,
            "axes.grid": True,
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=self.cycle),
            "axes.titlesize": 11,
            "axes.titleweight": "regular",
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "font.family": "sans-serif",
            "lines.linewidth": 1.8,
            "image.interpolation": "nearest",
            "image.cmap": self.sequential,
        }


LIGHT = Theme(
    name="light",
    ink="#1b1f24",
    muted="#57606a",
    grid="#d8dee4",
    paper="#ffffff",
    cycle=("#0072b2", "#c04b00", "#007a5a", "#a8447f", "#5f1f00", "#9467ff", "#444444", "#1d1d5e"),
    diverging="RdBu_r",
    sequential="cividis",
)
DARK = Theme(
    name="dark",
    ink="#e6edf3",
    muted="#9aa4af",
    grid="#30363d",
    paper="#121212",
    cycle=("#56b4e9", "#ff9a52", "#3ccb9c", "#e19bc4", "#b0413e", "#5b8cff", "#f0f0f0", "#fff3b0"),
    diverging="RdBu_r",
    sequential="cividis",
)
