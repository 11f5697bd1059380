"""The estimate of a dimension on a bare page: random numbers, points and estimates against the maths room."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdl_lab.manifold import CHARTS, levina_bickel, neighbours, participation_ratio, principal_variances, two_nn
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets.dimension import draw, uniform

from .conftest import call
from .driver import Watched

pytestmark = pytest.mark.slow


def test_random_numbers_are_counted_the_same_way(blank: Watched) -> None:
    seed = fresh_seed() % 1000
    print(f"seed {seed}")
    for stream in (0, 1):
        shown = call(
            blank, "dimension", "args[2].map((i) => js.uniform(args[0], args[1], i))", seed, stream, list(range(999))
        )
        assert shown == uniform(seed, stream, 999).tolist()
        assert abs(np.mean(shown) - 0.5) < 0.05
        assert shown != uniform(seed + 1, stream, 999).tolist()


@pytest.mark.parametrize("shape", CHARTS)
def test_points_are_placed_where_the_manifold_is(blank: Watched, shape: str) -> None:
    uv = torch.rand(50, 2, dtype=torch.float64)
    shown = call(blank, "dimension", "args[1].map(([u, v]) => js.place(args[0], u, v))", shape, uv.tolist())
    assert np.allclose(shown, CHARTS[shape].place(uv).tolist(), rtol=1e-9, atol=1e-9)
    noisy = {"shape": shape, "n": 130, "ambient": 5, "noise": 0.2, "seed": 3}
    shown = call(blank, "dimension", "js.points(args[0]).map((p) => [...p])", noisy)
    assert np.allclose(shown, draw(None, shape, 130, 5, 0.2, 3).tolist(), rtol=1e-9, atol=1e-9)


def test_the_estimates_are_those_of_the_maths_room(blank: Watched) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    x = torch.randn(150, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    r, _ = neighbours(x, 60)
    shown = call(blank, "dimension", "js.neighbourDistances(args[0]).map((row) => [...row])", x.tolist())
    assert np.allclose(shown, r.tolist(), rtol=1e-12)
    curve = call(blank, "dimension", "js.inverses(args[0]).map((row) => [...row])", r.tolist())
    for k in (2, 7, 60):
        assert np.isclose(1 / np.mean(curve[k]), levina_bickel(r[:, :k]), rtol=1e-9)
    assert np.isclose(call(blank, "dimension", "js.twoNN(args[0])", r.tolist()), two_nn(r), rtol=1e-9)
    ratio = call(blank, "dimension", "js.participation(args[0])", (x + 5).tolist())
    assert np.isclose(ratio, participation_ratio(principal_variances(x)), rtol=1e-9)
