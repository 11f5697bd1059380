"""Knots: the stored table, its mirror images, a few knots from the book; where SnapPy is, rows are computed again."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch

from gdl_lab import sweep
from gdl_lab.discovery import Knots, census, rounded
from gdl_lab.discovery.knots import FEATURES
from gdl_lab.recipes import sweeps

ROWS = sweeps.stored("hyperbolic-knots")
TABLE = Knots.of(ROWS)
HAVE_SNAPPY = importlib.util.find_spec("snappy") is not None


def test_the_table_is_whole_and_of_the_present_code() -> None:
    assert len(TABLE) == 3000
    assert {row["code"] for row in ROWS} == {sweep.code_hash(census.derive)}
    assert list(TABLE.names) == census.names(3000)
    assert sweeps.results("hyperbolic-knots").stat().st_size <= 250_000
    assert (TABLE.signature % 2 == 0).all()
    assert float(TABLE.columns("volume").min()) > 2.0298, "the figure eight has the smallest volume of all"
    assert float(TABLE.columns("Im meridian").min()) > 0


def test_the_largest_cusp_is_no_larger_than_packing_allows() -> None:
    cusp, volume = TABLE.columns("cusp volume", "volume").unbind(1)
    assert float((cusp / volume).max()) < 3**0.5 / (2 * 1.0149416064), "Böröczky: the densest packing of horoballs"


def test_amphicheiral_knots_are_their_own_mirror_images() -> None:
    own = TABLE.columns("amphicheiral")[:, 0] == 1
    assert int(own.sum()) >= 3
    assert float(TABLE.slope[own].abs().max()) < 1e-3
    assert not TABLE.signature[own].any()
    assert float(TABLE.columns("Chern–Simons")[own].abs().max()) < 1e-4
    assert float(TABLE.slope[~own].abs().median()) > 1


def test_mirror_images_turn_slope_and_signature_over() -> None:
    mirrored = TABLE.mirrored()
    assert torch.allclose(mirrored.slope, -TABLE.slope)
    assert torch.equal(mirrored.signature, -TABLE.signature)
    assert torch.equal(mirrored.columns("volume", "longitude"), TABLE.columns("volume", "longitude"))
    assert torch.equal(mirrored.mirrored().x, TABLE.x)


FIGURE_EIGHT = {
    "name": "K4a1", "volume": 2.02988, "longitude": 12**0.5, "meridian_re": 0.0, "meridian_im": 1.0,
    "chern_simons": 0.0, "symmetries": 8, "amphicheiral": 1, "signature": 0,
}  # fmt: skip
THREE_TWISTS = {
    "name": "K5a1", "volume": 2.82812, "longitude": 4.4693, "meridian_re": -0.73812, "meridian_im": 0.88312,
    "chern_simons": -0.1532, "symmetries": 4, "amphicheiral": 0, "signature": -2,
}  # fmt: skip


def test_knots_of_the_book() -> None:
    knots = Knots.of([FIGURE_EIGHT, THREE_TWISTS])
    assert knots.columns("cusp volume")[0] == pytest.approx(3**0.5)
    assert knots.columns("alternating", "crossings").tolist() == [[1, 4], [1, 5]]
    assert knots.columns("log₂ symmetries")[:, 0].tolist() == [3, 2]
    assert knots.slope[0] == 0
    lam, mu = 4.4693, complex(-0.73812, 0.88312)
    assert float(knots.slope[1]) == pytest.approx((lam / mu).real)
    assert math.copysign(1, float(knots.slope[1])) == math.copysign(1, int(knots.signature[1]))


def test_bad_rows_get_clear_words() -> None:
    for rows, words in (
        ([], "there are no knots"),
        ([{**FIGURE_EIGHT, "name": "4_1"}], "'4_1' is not the name of a knot"),
        ([{**FIGURE_EIGHT, "volume": math.nan}], "features of K4a1 are not finite"),
        ([{k: v for k, v in FIGURE_EIGHT.items() if k != "longitude"}], "no column 'longitude'"),
    ):
        with pytest.raises(ValueError, match=words):
            Knots.of(rows)
    with pytest.raises(ValueError, match="unknown features"):
        TABLE.columns("colour")
    with pytest.raises(ValueError, match="expected 1 to"):
        census.names(0)


def test_the_census_has_all_prime_knots() -> None:
    assert [sum(pair) for pair in census.KNOTS.values()] == [1, 1, 2, 3, 7, 21, 49, 165, 552, 2176, 9988, 46972]
    assert len({*census.names(500)}) == 500
    assert not {*census.names(59_000)} & census.NOT_HYPERBOLIC


def test_signatures_are_rounded_to_even_numbers() -> None:
    assert rounded(torch.tensor([-2.9, -1.1, 0.9, 1.1, 5.2])).tolist() == [-2, -2, 0, 2, 6]
    assert len(FEATURES) == TABLE.x.shape[1]


@pytest.mark.skipif(HAVE_SNAPPY, reason="SnapPy is installed")
def test_without_snappy_one_is_told_what_to_install() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"gdl-lab\[discovery\]"):
        census.derive("K4a1")


@pytest.mark.skipif(not HAVE_SNAPPY, reason="SnapPy is an extra: pip install 'gdl-lab[discovery]'")
def test_rows_are_computed_again() -> None:
    assert census.derive("K4a1") == pytest.approx({k: v for k, v in FIGURE_EIGHT.items() if k != "name"}, abs=1e-4)
    for row in (*ROWS[::150], THREE_TWISTS):
        found = census.derive(row["name"])
        assert {k: row[k] for k in found} == pytest.approx(found, abs=1e-4), row["name"]
    for name, words in (("K3a1", "no hyperbolic structure"), ("K99a1", "there is no knot")):
        with pytest.raises(ValueError, match=words):
            census.derive(name)
