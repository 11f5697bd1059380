"""The README keeps its promises: a line for every chapter, measured seconds, a picture that is small enough."""

from __future__ import annotations

import re
from pathlib import Path

from tests.chapters import chapters

LARGEST_PICTURE = 300_000


def test_every_chapter_has_its_line_with_seconds(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    lines = {
        one.name: [line for line in text.splitlines() if f"(notebooks/{one.name}.ipynb)" in line] for one in chapters()
    }
    for name, found in lines.items():
        assert len(found) == 1, f"README.md has {len(found)} lines for {name}"
        assert re.search(r"\| \d+ s \|", found[0]), f"the seconds of {name} are missing"


def test_every_link_into_the_repository_arrives(root: Path) -> None:
    for page in ("README.md", "CONTRIBUTING.md", "data/README.md"):
        text = (root / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (root / target).exists(), f"{page} links to {target}"


def test_the_picture_is_there_and_small(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    (alt, picture) = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)[0]
    assert len(alt) > 40
    assert 10_000 < (root / picture).stat().st_size <= LARGEST_PICTURE
