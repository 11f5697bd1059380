"""The map of the talk, in both directions: talk → claims and notebooks, claims and notebooks → talk."""

from __future__ import annotations

import re

import pytest

from gdl_lab import claims
from gdl_lab.claims.talk_map import Section, section, talk_map
from tests.chapters import ANCHORED_HEADING, NOTEBOOKS, Chapter, chapters, parse

START = "00_start_here"
WRITTEN = [row for row in talk_map() if not row.planned]
PLANNED = [row for row in talk_map() if row.planned]


def chapter(name: str) -> Chapter:
    found = [one for one in chapters() if one.name == name]
    assert found, f"notebooks/{name}.py does not exist"
    return found[0]


def unknown_talk(entered: list[tuple[str, str]], rows: tuple[Section, ...]) -> list[str]:
    """Ids of claims whose section of the talk does not exist."""
    known = {row.id for row in rows}
    return [id_ for id_, talk in entered if talk not in known]


def unmeasured(entered: list[tuple[str, str]], rows: tuple[Section, ...]) -> list[str]:
    """Ids of written statements without a claim."""
    measured = {talk for _, talk in entered}
    return [row.id for row in rows if row.kind == "statement" and not row.planned and row.id not in measured]


def stray_anchors(one: Chapter, rows: tuple[Section, ...]) -> list[str]:
    """Anchors of a chapter's headings that are no section of the talk worked out in this chapter."""
    here = {row.id for row in rows if row.notebook == one.name}
    ours = {"map", "dictionary"} if one.name == START else set()
    return [anchor for anchor in ANCHORED_HEADING.findall(one.markdown) if anchor not in here | ours]


ENTERED = [(entered.id, entered.talk) for entered in claims.registered()]


def test_rows_are_unique_and_well_formed() -> None:
    ids = [row.id for row in talk_map()]
    assert len(set(ids)) == len(ids) >= 30
    for row in talk_map():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row.id), row.id
        assert row.kind in ("statement", "framing")
        assert re.fullmatch(r"(\d\d|A\d)_[a-z0-9_]+", row.notebook)
        assert row.title.strip()
        assert row.link == f"{row.notebook}.ipynb#{row.id}"
        assert section(row.id) is row
    with pytest.raises(KeyError, match="the talk has no section 'encore'"):
        section("encore")


def test_every_claim_belongs_to_a_section_of_the_talk() -> None:
    assert ENTERED
    assert unknown_talk(ENTERED, talk_map()) == []


def test_every_claim_belongs_to_a_section_of_its_own_chapter() -> None:
    for entered in claims.registered():
        number = section(entered.talk).notebook.split("_")[0]
        assert entered.measure.__module__ == f"gdl_lab.claims.ch{number}", entered.id


def test_every_written_statement_is_measured() -> None:
    assert unmeasured(ENTERED, talk_map()) == []


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row.id)
def test_every_written_section_has_its_place_in_a_notebook(row: Section) -> None:
    one = chapter(row.notebook)
    assert (NOTEBOOKS / f"{row.notebook}.ipynb").exists()
    assert row.id in ANCHORED_HEADING.findall(one.markdown), f"no heading of {one.name} is anchored ({row.id})="


@pytest.mark.parametrize("name", sorted({row.notebook for row in WRITTEN} - {START}))
def test_every_written_chapter_links_back_to_the_start(name: str) -> None:
    assert f"]({START}.ipynb" in chapter(name).markdown


@pytest.mark.parametrize("one", chapters(), ids=lambda one: one.name)
def test_every_anchored_heading_is_a_section_of_the_talk(one: Chapter) -> None:
    assert stray_anchors(one, talk_map()) == []


@pytest.mark.parametrize("one", chapters(), ids=lambda one: one.name)
def test_every_link_between_chapters_arrives(one: Chapter) -> None:
    for name, anchor in re.findall(r"\]\(([\w./-]+)\.ipynb(?:#([\w-]+))?\)", one.markdown):
        target = chapter(name)
        if anchor:
            headings = {h.strip().lower().replace(" ", "-") for h in re.findall(r"^#+ +(.+)$", target.markdown, re.M)}
            assert anchor in ANCHORED_HEADING.findall(target.markdown) or anchor.lower() in headings, (one.name, anchor)


def test_a_planned_chapter_is_not_there_yet() -> None:
    written = {row.notebook for row in WRITTEN}
    for name in {row.notebook for row in PLANNED} - written:
        assert not list(NOTEBOOKS.glob(f"{name}.*")), f"{name} is written: take `planned` off its rows"
        assert not hasattr(claims, f"ch{name.split('_')[0]}")
    assert not {row.notebook for row in PLANNED} & written, "a chapter is planned or written, not both"


def test_every_chapter_is_on_the_map() -> None:
    assert {one.name for one in chapters()} <= {row.notebook for row in talk_map()}


# Negative controls


def test_the_checks_of_the_map_can_fail() -> None:
    rows = (Section("a", "A", "statement", "01_x"), Section("b", "B", "statement", "01_x", planned=True))
    assert unknown_talk([("x.y", "a"), ("x.z", "c")], rows) == ["x.z"]
    assert unmeasured([], rows) == ["a"]
    assert unmeasured([("x.y", "a")], rows) == []
    text = "# %% [markdown]\n# (a)=\n# ## A\n#\n# (c)=\n#\n# ### C\n#\n# (eq-1)=\n# text\n"
    assert stray_anchors(parse(text, "01_x"), rows) == ["c"]
    assert stray_anchors(parse(text, "02_y"), rows) == ["a", "c"]
