"""How a JPEG picture becomes the tensor of the course: the crop, the average over equal areas, the channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_lab.data import celeba, mall
from gdl_lab.data.published import area_weights, decode

from .layout import averaged, blots, jpeg, ramps


@given(pixels=st.integers(1, 60), size=st.integers(1, 60))
def test_area_weights_are_those_of_pixels_cut_into_small_ones(pixels: int, size: int) -> None:
    """Each pixel repeated ``size`` times: then ``pixels`` of them make a part, and no border cuts one."""
    row = np.random.default_rng(pixels * 61 + size).uniform(size=pixels)
    weights = area_weights(pixels, size)
    assert weights.shape == (size, pixels)
    assert np.allclose(weights @ row, row.repeat(size).reshape(size, pixels).mean(1), rtol=0, atol=1e-13)
    assert np.allclose(weights.sum(1), 1, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [1, 37, 64, 148])
def test_a_face_is_the_middle_of_the_picture_averaged_over_equal_areas(size: int) -> None:
    content = jpeg(blots(178, 218, 1))
    out = decode(content, celeba.VIEW, size)
    assert (out.shape, out.dtype) == ((3, size, size), np.uint8)
    assert np.abs(out - averaged(content, (15, 35, 163, 183), size)).max() <= 1  # a half may be rounded either way
    assert (out == averaged(content, (15, 35, 163, 183), size)).mean() > 0.99
    if size == 64:  # and one pixel further it is another picture
        for shift in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            (dx, dy) = shift
            other = averaged(content, (15 + dx, 35 + dy, 163 + dx, 183 + dy), size)
            assert (out == other).mean() < 0.9


def test_the_crop_is_where_it_is_said_to_be() -> None:
    """Columns 15 to 162 and rows 35 to 182, read off a picture whose colours are the coordinates."""
    out = decode(jpeg(ramps(178, 218)), celeba.VIEW, 148).astype(float)
    assert np.abs(out[0].mean(0) - np.arange(15, 163)).max() < 0.5  # one further it would be 1
    assert np.abs(out[1].mean(1) - np.arange(35, 183)).max() < 0.5


def test_a_frame_is_seen_whole_and_not_turned() -> None:
    picture = ramps(640, 480)
    picture[:, 320:, 2] = 255
    out = decode(jpeg(picture), mall.VIEW, 64).astype(float)
    assert out[2, :, :32].max() < 2 < 253 < out[2, :, 32:].min()  # half of 64 columns are half of 640
    assert np.abs(out[1, :32].mean(1) - (np.arange(32) * 7.5 + 3.25)).max() < 0.6  # 7.5 rows make one


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    out = decode(jpeg(ramps(178, 218)[..., 0]), celeba.VIEW, 64)
    assert out.shape == (3, 64, 64)
    assert (out[0] == out[1]).all()
    assert (out[0] == out[2]).all()
