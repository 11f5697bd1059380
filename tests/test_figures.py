"""Pictures and tables: described, the same twice, and readable for everyone on light and dark pages."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from gdl_lab import figures
from gdl_lab.figures import DARK, LIGHT, Picture, Theme, picture, table
from gdl_lab.figures.notice import notice
from gdl_lab.networks import FullyConnected, linear_regions

THEMES = (LIGHT, DARK)
WORDS: dict[str, Any] = {"caption": "What to see.", "alt": "What it shows, with the number 3."}


def line(figure: Any, theme: Theme) -> None:
    figure.subplots().plot([0, 1], [0, 1], label=theme.name)


def a_net() -> FullyConnected:
    torch.manual_seed(0)
    return FullyConnected([2, 5, 1])


def drawn_regions() -> Picture:
    net = a_net()
    return figures.regions({"one": linear_regions(net), "two": linear_regions(net)}, **WORDS)


POINTS, LABELS = torch.tensor([[0.0, 0.5], [0.5, -0.5], [-0.5, 0.0]]), torch.tensor([0, 1, 1])
KINDS: dict[str, Callable[[], Picture]] = {
    "picture": lambda: picture(line, **WORDS),
    "curves": lambda: figures.curves(
        {"a": ([1, 2], [1, 4]), "b": (torch.arange(1, 3), torch.ones(2))},
        xlabel="x",
        ylabel="y",
        log="xy",
        markers=True,
        references={"talk": 2.0},
        **WORDS,
    ),
    "images": lambda: figures.images([torch.rand(4, 4), -torch.rand(4, 4)], ["a", "b"], signed=[False, True], **WORDS),
    "plane": lambda: figures.plane(lambda p: p[:, 0], POINTS, LABELS, **WORDS),
    "regions": drawn_regions,
    "clouds": lambda: figures.clouds(
        {"Z": POINTS, "X": 2 * POINTS},
        lines={"Z": figures.mesh(lambda z: z, like=POINTS)},
        values={"Z": POINTS[:, 0]},
        boxes={"X": 1.5},
        **WORDS,
    ),
    "matrices": lambda: figures.matrices({"one": torch.eye(4), "two": torch.ones(4, 4)}, split=2, **WORDS),
    "push_forward": lambda: figures.push_forward(torch.sinh, **WORDS),
    "gallery": lambda: figures.gallery(
        {"flat": torch.rand(2, 9), "square": torch.rand(2, 1, 3, 3)}, titles={"flat": ["a", "b"]}, **WORDS
    ),
}


# Pictures


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_has_alt_text_and_caption_and_differs_between_pages(kind: str) -> None:
    drawn = KINDS[kind]()
    assert (drawn.alt, drawn.caption) == (WORDS["alt"], WORDS["caption"])
    assert drawn.light.startswith(b"\x89PNG")
    assert drawn.light != drawn.dark
    assert imread(io.BytesIO(drawn.light)).shape == imread(io.BytesIO(drawn.dark)).shape


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_picture_twice_is_the_same_bytes(kind: str) -> None:
    torch.manual_seed(1)
    first = KINDS[kind]()
    matplotlib.rcParams["lines.linewidth"] = 9.0  # what a notebook sets must not leak in
    try:
        torch.manual_seed(1)
        second = KINDS[kind]()
    finally:
        matplotlib.rcdefaults()
    assert (first.light, first.dark) == (second.light, second.dark)


def test_another_picture_is_other_bytes() -> None:
    one, other = (figures.curves({"a": ([0, 1], [0, top])}, xlabel="x", ylabel="y", **WORDS) for top in (1, 2))
    assert one.light != other.light


def test_points_are_marked_and_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    right, lines = Axes.plot, []

    def kept(self: Axes, *given: Any, **style: Any) -> Any:
        lines.extend(found := right(self, *given, **style))
        return found

    monkeypatch.setattr(Axes, "plot", kept)
    figures.curves(
        {"a": ([0, 1], [0, 1])}, points={"p": (torch.tensor([0.5, 0.6]), [0.2, 0.9])}, xlabel="x", ylabel="y", **WORDS
    )
    drawn = [(line.get_label(), line.get_linestyle(), line.get_marker()) for line in lines]
    assert drawn == [("a", "-", "None"), ("p", "None", "o")] * len(THEMES)
    assert lines[1].get_xydata().tolist() == [[0.5, 0.2], [0.6000000238418579, 0.9]]


def test_no_setting_of_a_picture_leaks_out() -> None:
    matplotlib.rcdefaults()
    before = dict(matplotlib.rcParams)
    KINDS["curves"]()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("missing", ["caption", "alt"])
@pytest.mark.parametrize("value", ["", "  \n"])
def test_a_picture_without_words_is_refused(missing: str, value: str) -> None:
    with pytest.raises(ValueError, match="a picture needs a caption and an alt text"):
        picture(line, **{**WORDS, missing: value})
    with pytest.raises(TypeError):
        figures.images([torch.zeros(2, 2)], ["a"], **{key: text for key, text in WORDS.items() if key != missing})


def test_words_are_escaped_in_html_and_plain_in_a_terminal() -> None:
    drawn = picture(line, caption='"a" < b & <script>', alt='it\'s "quoted" <b> & more')
    page = drawn._repr_html_()
    assert page.count('alt="it&#x27;s &quot;quoted&quot; &lt;b&gt; &amp; more"') == 2
    assert "&quot;a&quot; &lt; b &amp; &lt;script&gt;" in page
    assert "<script" not in page
    assert repr(drawn) == 'Picture: it\'s "quoted" <b> & more'


def test_a_page_shows_one_of_both_images_whatever_says_that_it_is_dark() -> None:
    page = KINDS["picture"]()._repr_html_()
    assert re.findall(r'<img class="(\S+)"', page) == ["gdl-light", "gdl-dark"]
    for sign in ('body[data-jp-theme-light="false"]', 'html[data-theme="dark"]', "prefers-color-scheme: dark"):
        assert sign in page
    assert page.count("{") == page.count("}")
    assert ".gdl-figure .gdl-dark { display: none; }" in page


def test_the_paper_shines_through() -> None:
    corner = imread(io.BytesIO(KINDS["picture"]().light))[0, 0]
    assert corner[3] == 0


def test_save_writes_the_light_version(tmp_path: Path) -> None:
    drawn = KINDS["picture"]()
    drawn.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == drawn.light


def test_images_are_drawn_row_by_row_white_for_large_values() -> None:
    bright, dark = torch.ones(4, 4), torch.tensor([[1.0, 0.0]]).expand(2, 2)
    drawn = figures.images([bright, dark, bright], ["a", "b", "c"], columns=2, **WORDS)
    pixels = imread(io.BytesIO(drawn.light))
    height, width = pixels.shape[:2]

    def seen(row: float, column: float) -> list[float]:
        return pixels[int(row * height), int(column * width)].tolist()

    white, black = [1, 1, 1, 1], [0, 0, 0, 1]
    assert seen(0.3, 0.15) == seen(0.3, 0.35) == seen(0.8, 0.2) == white
    assert seen(0.3, 0.65) == white  # the left half of the second picture
    assert seen(0.3, 0.85) == black
    assert seen(0.8, 0.75)[3] == 0  # there is no fourth


def test_images_need_a_title_each() -> None:
    for pictures in ([torch.zeros(2, 2)], []):
        with pytest.raises(ValueError, match=f"as many titles as pictures, got 0 and {len(pictures)}"):
            figures.images(pictures, [], **WORDS)


@pytest.mark.parametrize("level", [-1.0, 0.0, 7.0, None])
def test_a_plane_without_its_level_is_drawn_without_a_warning(level: float | None, recwarn: Any) -> None:
    figures.plane(lambda p: p.norm(dim=1), level=level, resolution=20, **WORDS)
    figures.plane(lambda p: torch.zeros(len(p)), level=level, resolution=20, **WORDS)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_plane_is_upright() -> None:
    """The function is 1 in the upper right quarter; so is the picture."""
    drawn = figures.plane(lambda p: 1.0 * (p > 0.2).all(1), level=None, resolution=20, **WORDS)
    pixels = imread(io.BytesIO(drawn.light))
    red = (pixels[..., 0] - pixels[..., 1]) * pixels[..., 3] > 0.25
    rows, columns = np.nonzero(red[:, : int(0.75 * red.shape[1])])  # without the colour bar
    assert rows.mean() < 0.5 * red.shape[0]
    assert columns.mean() > 0.45 * red.shape[1]


# Colours


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a hex colour (sRGB, IEC 61966-2-1)."""
    c = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2: from 1 to 21."""
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


# Severe deuteranopia and protanopia on linear RGB: Machado, Oliveira & Fernandes (2009)
SEEN = {
    "everyone": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB, white D65; distances of 2 are just noticed."""
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def closest(colours: tuple[str, ...], eye: str) -> float:
    """The smallest distance between two of the colours."""
    seen = [lab(SEEN[eye] @ linear(colour)) for colour in colours]
    return min(math.dist(a, b) for a, b in itertools.combinations(seen, 2))


def test_the_measures_of_colour_are_right_where_they_are_known() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.1)
    assert lab(linear("#ff0000")) == pytest.approx([53.2, 80.1, 67.2], abs=0.2)
    # a brown and an olive that deuteranopes confuse, and blue and yellow that nobody does
    assert closest(("#8a6100", "#6b6f00"), "deuteranopia") < 5 < 20 < closest(("#8a6100", "#6b6f00"), "everyone")
    assert closest(("#0000ff", "#ffff00"), "deuteranopia") > 100


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_text_and_colours_stand_out_from_the_paper(theme: Theme) -> None:
    assert contrast(theme.ink, theme.paper) >= 4.5
    assert contrast(theme.muted, theme.paper) >= 4.5
    for colour in theme.cycle:
        assert contrast(colour, theme.paper) >= 3, colour
    assert contrast(theme.grid, theme.paper) < 3  # the grid stays behind


@pytest.mark.parametrize("eye", SEEN)
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_all_colours_of_the_cycle_can_be_told_apart(theme: Theme, eye: str) -> None:
    assert len(theme.cycle) == 8
    assert closest(theme.cycle, eye) >= 12


def test_the_other_themes_colours_would_not_do() -> None:
    """Negative control: the light cycle on dark paper, and the other way round, fail."""
    for theme, other in (THEMES, THEMES[::-1]):
        assert min(contrast(colour, other.paper) for colour in theme.cycle) < 3


@pytest.mark.parametrize("tone", ["good", "bad", "hint"])
def test_a_notice_can_be_read_on_white_and_says_its_tone_without_colour(tone: str) -> None:
    page = notice("kind", tone, "text <b>", strong="1 < 2", aside="a & b")
    (colour,) = set(re.findall(r"#[0-9a-f]{6}", page))
    assert contrast(colour, LIGHT.paper) >= 4.5
    assert contrast(colour, DARK.paper) >= 3
    assert {"good": "✓", "bad": "✗", "hint": "→"}[tone] in page
    for part in ("text &lt;b&gt;", "<strong>1 &lt; 2</strong>", "(a &amp; b)", 'class="kind"'):
        assert part in page


# Tables


def test_a_table_shows_three_digits_in_html_and_in_a_terminal() -> None:
    made = table(["name", "error"], [["a", 1 / 3], ["longer", 1e-13]], caption="Errors.")
    lines = repr(made).splitlines()
    assert lines == ["Errors.", "name    error", "──────  ─────", "a       0.333", "longer  1e-13"]
    page = made._repr_html_()
    assert page.count("<tr>") == 3
    assert page.count("<td") == 4
    assert page.count('<th scope="col"') == 2
    assert ">Errors.</caption>" in page


def test_a_table_is_escaped() -> None:
    page = table(["<h>"], [["<c>"]], caption="<k>")._repr_html_()
    for tag in "hck":
        assert f"&lt;{tag}&gt;" in page
        assert f"<{tag}>" not in page


@pytest.mark.parametrize("row", [[], [1], [1, 2, 3]])
def test_a_row_with_too_few_or_too_many_cells_is_refused(row: list[int]) -> None:
    with pytest.raises(ValueError, match="every row needs 2 cells: a, b"):
        table(["a", "b"], [[1, 2], row], caption="x")


def test_a_table_of_no_rows_is_its_header() -> None:
    assert repr(table(["a", "b"], [], caption="Nothing.")).splitlines()[0] == "Nothing."


def test_whole_numbers_have_whole_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self.axes[0]))
    for y in (torch.tensor([0, 1, 0]), torch.tensor([0.0, 1.0, 0.0])):
        _ = figures.curves({"Q": (torch.linspace(0, 1, 3), y)}, xlabel="x", ylabel="y", **WORDS).light
    whole, other = ([tick % 1 for tick in ax.get_yticks()] for ax in (drawn[0], drawn[-1]))
    assert not any(whole)
    assert any(other)
