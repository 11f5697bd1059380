r"""Drawn crowds: 3×32×32 pictures of a hall with 0 to 12 people, their number exact and their manifold known.

They stand in for the Mall set, which may not be passed on. One camera sees one hall; daylight and its warmth vary, and
so do, for each of twelve people, place, depth, stature, two numbers that give the colour of the coat, and presence:
1 for who is there, 0 for who is not, and a person fades in between, so that `draw` is piecewise smooth in all 74
parameters. The label is the number of people, the sum of their presences, as a float for regression.

`count_people` counts them by matched filtering on the known hall, without any network.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from gdl_lab.data.canvas import bilinear, checked, coverage, ellipse, grid, in_chunks, over, pictured, uniform

__all__ = ["HALL", "MOST", "PERSON", "SIZE", "count", "count_people", "crowds", "draw", "parameters"]

SIZE, MOST = 32, 12
HALL = ("daylight", "warmth")
PERSON = ("x", "depth", "stature", "coat", "shade", "presence")
COLUMNS = len(HALL) + MOST * len(PERSON)

COATS = ((0.10, 0.13, 0.22), (0.46, 0.13, 0.13), (0.12, 0.28, 0.24), (0.40, 0.26, 0.12))
FLOOR, JOINTS, WALL, SKIN = (0.86, 0.82, 0.76), (0.45, 0.40, 0.36), (0.62, 0.60, 0.60), (0.62, 0.42, 0.32)
WINDOWS = {4.5: (0.95, 0.88, 0.66), 12.2: (0.70, 0.84, 0.90), 19.8: (0.95, 0.86, 0.72), 27.5: (0.76, 0.86, 0.74)}
NEAREST = 4.6  # pixels between the feet of any two, where there is room
CANDIDATES = 24
WALL_ROWS = 8  # nobody's head is seen so high
APART = 3.4  # pixels between the feet of any two that are counted
ENOUGH = 0.02  # squared difference that a silhouette has to explain, per pixel of its area


def parameters(split: str = "train", *, n: int = 1000, seed: int = 0) -> Tensor:
    """What is in the pictures that ``load("crowds", split, n=n, seed=seed)`` draws, shape ``(n, 74)``, in [0, 1].

    Columns are `HALL` and then, twelve times and from the back to the front, `PERSON`. The number of people is uniform
    on 0 … 12; all else is uniform, but people keep their distance. The first crowds of a larger set are those of a
    smaller one.

    Raises:
        ValueError: ``n`` is not a whole number of at least one, or ``seed`` not a whole number.
    """
    numbers = uniform("crowds", split, seed, n, 1 + COLUMNS)
    people = numbers[:, 1 + len(HALL) :].reshape(n, MOST, len(PERSON)).clone()
    candidates = uniform("places in crowds", split, seed, n, MOST * CANDIDATES * 2).reshape(n, MOST, CANDIDATES, 2)
    chosen = candidates[:, 0, :1]
    for k in range(1, MOST):
        gap = (_feet(candidates[:, k])[:, :, None] - _feet(chosen)[:, None]).norm(dim=3).amin(2)
        roomy = gap > NEAREST
        best = torch.where(roomy.any(1), roomy.float().argmax(1), gap.argmax(1))
        chosen = torch.cat([chosen, candidates[torch.arange(n), k, best][:, None]], 1)
    people[..., :2] = chosen
    people[..., -1] = (torch.arange(MOST) < (numbers[:, :1] * (MOST + 1)).long()).float()
    people = people.gather(1, people[..., 1].argsort(1)[..., None].expand_as(people))
    return torch.cat([numbers[:, 1 : 1 + len(HALL)], people.flatten(1)], 1)


def count(crowd: Tensor) -> Tensor:
    """Number of people, the sum of their presences; shape ``(n, 74)`` ↦ ``(n,)``."""
    return checked(crowd, COLUMNS, "crowds")[:, len(HALL) + len(PERSON) - 1 :: len(PERSON)].sum(1)


def draw(crowd: Tensor) -> Tensor:
    """Pictures of crowds: a pure function, continuous, and differentiable at almost every crowd.

    Args:
        crowd: shape ``(n, 74)``, values in [0, 1], columns as in `parameters`; later people stand before earlier ones.

    Returns:
        Shape ``(n, 3, 32, 32)``, values in [0, 1], dtype and device of ``crowd``.

    Raises:
        ValueError: another shape, values outside [0, 1] or no floats.
    """
    return in_chunks(_draw, checked(crowd, COLUMNS, "crowds"))


def _feet(place: Tensor) -> Tensor:
    """Pixel (x, y) between the feet, for ``(…, 2)`` of x and depth in [0, 1]: depth 1 is nearest to the camera."""
    return torch.stack([1.8 + 28.4 * place[..., 0], 14.5 + 15.5 * place[..., 1]], -1)


def _draw(crowd: Tensor) -> Tensor:
    hall, people = crowd[:, : len(HALL)], crowd[:, len(HALL) :].unflatten(1, (MOST, len(PERSON)))
    light = _light(hall)
    image = _hall(crowd) * light
    feet = _feet(people[..., :2])
    skin = torch.tensor(SKIN, dtype=crowd.dtype, device=crowd.device)[:, None, None] * light
    for k in range(MOST):
        stature, shade, presence = people[:, k, 2], people[:, k, 4], people[:, k, 5, None, None]
        shadow, parts = _person(feet[:, k], 0.94 + 0.12 * stature)
        legs, body, head = (presence * part for part in parts)
        coat = bilinear(COATS, people[:, k, 3], shade)[:, :, None, None] * light
        image = image * (1 - 0.30 * presence * shadow)[:, None]
        image = over(over(over(image, legs, 0.5 * coat), body, coat), head, skin)
    return image


def _light(hall: Tensor) -> Tensor:
    """Factor of each channel, shape ``(n, 3, 1, 1)``, at most 1.05."""
    bright, warm = 0.74 + 0.26 * hall[:, 0], hall[:, 1] - 0.5
    return (bright[:, None] * torch.stack([1 + 0.10 * warm, torch.ones_like(warm), 1 - 0.14 * warm], 1))[
        ..., None, None
    ]


def _hall(like: Tensor) -> Tensor:
    """The empty hall in full daylight, shape ``(3, 32, 32)``, largest value 0.95."""
    px, py = grid(SIZE, like)

    def colour(rgb: tuple[float, ...]) -> Tensor:
        return torch.tensor(rgb, dtype=like.dtype, device=like.device)[None, :, None, None]

    image = colour(FLOOR) * (1 - 0.010 * (SIZE - 1 - py)).expand(1, 1, SIZE, SIZE)
    lines = [(px - 16 - k * (1.6 + 0.42 * (py - 10.5).clamp(min=0))).abs() - 0.22 for k in range(-6, 7)]
    lines += [((py - y).abs() - 0.25).expand(SIZE, SIZE) for y in (12.0, 14.2, 17.4, 21.8, 27.6)]
    for line in lines:
        image = over(image, 0.10 * coverage(line)[None], colour(JOINTS))
    image = over(image, coverage(py - 10.5).expand(1, SIZE, SIZE), colour(WALL))
    for x, c in WINDOWS.items():
        for y, half, tone in ((6.4, 3.2, 1.0), (2.2, 0.7, 0.55)):
            pane = coverage(torch.maximum((px - x).abs() - 2.9, (py - y).abs() - half))
            image = over(image, pane[None], tone * colour(c))
    return image[0]


def _person(feet: Tensor, stature: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Shadow, and coverages of legs, body and head, each ``(n, 32, 32)``, for feet ``(n, 2)`` in pixels."""
    px, py = grid(SIZE, feet)
    foot_x, foot_y = feet[:, 0, None, None], feet[:, 1, None, None]
    x, y = px - foot_x, py - foot_y
    h = (5.2 + 0.36 * (foot_y - 14.5)) * stature[:, None, None]
    shadow = torch.exp(-((x / h - 0.12) / 0.26).square() - ((y / h + 0.02) / 0.085).square())
    legs = coverage(torch.maximum(x.abs() - 0.122 * h, (y + 0.2 * h).abs() - 0.22 * h))
    body = coverage(ellipse(x, y + 0.55 * h, 0.178 * h, 0.29 * h))
    head = coverage(ellipse(x, y + 0.90 * h, 0.115 * h, 0.125 * h))
    return shadow, [legs, body, head]


def crowds(split: str, *, n: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures and numbers of people, float32."""
    crowd = parameters(split, n=n, seed=seed)
    return draw(crowd), count(crowd)


def count_people(x: Tensor) -> Tensor:
    """Number of people in pictures of the hall, shape ``(n,)``, as floats: a count by matched filters.

    The wall above everybody's head tells the light, the empty hall in this light what would be seen, and what is much
    darker belongs to somebody. Silhouettes are laid over these pixels one after the other, always the one that lowers
    the squared difference most, until none explains enough.

    Args:
        x: shape ``(n, 3, 32, 32)``, any float type.

    Raises:
        ValueError: another shape, or no floats.
    """
    return in_chunks(_count, pictured(x, 3, SIZE))


def _count(x: Tensor) -> Tensor:
    feet, silhouettes, near = _tried(x.dtype, x.device)
    wanted, covered = _somebody(x).flatten(1), x.new_zeros(len(x), SIZE * SIZE)
    free = torch.ones(len(x), len(feet), dtype=torch.bool, device=x.device)
    number = x.new_zeros(len(x))
    for _ in range(MOST + MOST // 2):
        # laid on top, a silhouette s turns what is covered, u, into u + (1 − u)s: the change of Σ (u − wanted)²
        bare = 1 - covered
        change = 2 * ((covered - wanted) * bare) @ silhouettes.mT + bare.square() @ silhouettes.square().mT
        gain, best = (-change - ENOUGH * silhouettes.sum(1)).where(free, change.new_tensor(-1.0)).max(1)
        found = gain > 0
        number = number + found
        covered = torch.where(found[:, None], covered + bare * silhouettes[best], covered)
        free = free & ~(found[:, None] & near[best])
        if not found.any():
            break
    return number


def _somebody(x: Tensor) -> Tensor:
    """How surely a pixel belongs to somebody, in [0, 1]; a shadow alone takes 30 % of the light, and does not count."""
    hall = _hall(x)
    wall = hall[:, :WALL_ROWS]
    light = (x[:, :, :WALL_ROWS] * wall).sum((2, 3)) / wall.square().sum((1, 2))
    seen = x / (light.clamp_min(1e-3)[..., None, None] * hall)
    return ((0.74 - seen.mean(1)) / 0.16).clamp(0, 1)


@cache
def _tried(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Places half a pixel apart, silhouettes of people of mean stature there, and which places are near which."""
    x, depth = (torch.linspace(0, 1, k, dtype=dtype, device=device) for k in (58, 32))
    feet = _feet(torch.cartesian_prod(x, depth))
    _, (legs, body, head) = _person(feet, torch.ones_like(feet[:, 0]))
    cover = 1 - (1 - legs) * (1 - body) * (1 - head)
    return feet, cover.flatten(1), torch.cdist(feet, feet) < APART
