r"""Drawn faces: 3×32×32 portraits that are a piecewise smooth function of 24 traits, so that their manifold is known.

They stand in for CelebA, which may not be passed on. Traits are independent and uniform on [0, 1]²⁴, and `draw` takes
them to pictures; nothing else varies, and at almost every face all 24 can be told apart. The label "blonde" is a
judgement by eye: 1 where the hair colour c, seen with an error ε ~ N(0, σ²), is beyond the threshold ½. Nobody who sees
the picture can do better than c > ½, which is right with probability

    1 − 2 ∫₀^{1/2} Φ(−t/σ) dt  ≈  1 − σ √(2/π)  =  94.0 %   at σ = 0.075.

`hair_colour` reads c off a picture, and `nearest_face` all traits, without any network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from gdl_lab.data.canvas import bilinear, checked, coverage, ellipse, grid, in_chunks, over, pictured, stroke, uniform
from gdl_lab.data.nearest import nearest

__all__ = [
    "SIZE",
    "THRESHOLD",
    "TRAITS",
    "UNCERTAINTY",
    "draw",
    "faces",
    "hair_colour",
    "labels",
    "nearest_face",
    "parameters",
]

SIZE = 32
THRESHOLD, UNCERTAINTY = 0.5, 0.075
TRAITS = (
    "hair_colour", "hair_warmth", "hair_length", "hair_volume", "hairline", "parting",
    "skin", "flush", "width", "height", "x", "y",
    "eye_colour", "eye_opening", "eye_distance", "brows", "mouth_width", "smile", "lips",
    "background", "background_depth", "shirt", "shirt_depth", "light",
)  # fmt: skip

WINDOW = (slice(7, 9), slice(14, 18))  # rows and columns that are hair in every face
WINDOW_SHADE = 0.967  # mean of light, gloss and strands there, over all faces

# control points of Bézier curves: hair from black over brown and blonde to platinum, skin from dark to light, irises
HAIR = ((0.07, 0.05, 0.05), (0.22, 0.10, 0.05), (0.48, 0.27, 0.10), (0.93, 0.70, 0.28), (0.89, 0.81, 0.63))
SKIN = ((0.36, 0.22, 0.16), (0.62, 0.41, 0.29), (0.86, 0.64, 0.50), (0.91, 0.76, 0.66))
IRIS = ((0.20, 0.11, 0.07), (0.36, 0.30, 0.12), (0.25, 0.48, 0.66))
WARM, BLOOD = (0.08, -0.03, -0.22), (0.03, -0.03, -0.03)
ROUGE, LIPS, WHITE = (0.86, 0.36, 0.32), (0.66, 0.22, 0.22), (0.95, 0.95, 0.95)
# corners of palettes
BACKGROUND = ((0.78, 0.72, 0.63), (0.60, 0.72, 0.78), (0.33, 0.26, 0.30), (0.20, 0.34, 0.38))
SHIRT = ((0.78, 0.26, 0.24), (0.86, 0.84, 0.80), (0.16, 0.22, 0.42), (0.22, 0.50, 0.40))


def parameters(split: str = "train", *, n: int = 1000, seed: int = 0) -> Tensor:
    """Traits of the faces that ``load("faces", split, n=n, seed=seed)`` draws, shape ``(n, 24)``, in [0, 1], float32.

    Columns are `TRAITS`. The first faces of a larger set are those of a smaller one.

    Raises:
        ValueError: ``n`` is not a whole number of at least one, or ``seed`` not a whole number.
    """
    return uniform("faces", split, seed, n, len(TRAITS))


def draw(traits: Tensor) -> Tensor:
    """Pictures of faces: a pure function, continuous, and differentiable at almost every face.

    Args:
        traits: shape ``(n, 24)``, values in [0, 1], columns as in `TRAITS`.

    Returns:
        Shape ``(n, 3, 32, 32)``, values in [0, 1], dtype and device of ``traits``.

    Raises:
        ValueError: another shape, values outside [0, 1] or no floats.
    """
    return in_chunks(_draw, checked(traits, len(TRAITS), "faces"))


def labels(traits: Tensor, split: str = "train", *, seed: int = 0) -> Tensor:
    """1 for blonde, 0 for not, as somebody with an error of σ sees the hair colour; int64, shape ``(n,)``.

    The errors belong to the split and the seed: these are the labels of ``load("faces", split, n=n, seed=seed)``.

    Raises:
        ValueError: traits of another shape, outside [0, 1] or no floats.
    """
    checked(traits, len(TRAITS), "faces")
    error = torch.special.ndtri(uniform("judgement of faces", split, seed, len(traits), 1)[:, 0]).to(traits)
    return (traits[:, 0] + UNCERTAINTY * error > THRESHOLD).long()


def faces(split: str, *, n: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures and labels: 1 for blonde, 0 for not."""
    traits = parameters(split, n=n, seed=seed)
    return draw(traits), labels(traits, split, seed=seed)


def hair_colour(x: Tensor) -> Tensor:
    """The trait ``hair_colour`` of faces in pictures, read off the hair; shape ``(n,)``, values in [0, 1].

    Every face has nothing but hair in a window above its forehead. The mean colour there, which light and gloss change
    by a few hundredths at most, is compared with all colours of hair.

    Args:
        x: shape ``(n, 3, 32, 32)``, any float type.

    Raises:
        ValueError: another shape, or no floats.
    """
    rows, columns = WINDOW
    seen = pictured(x, 3, SIZE)[:, :, rows, columns].mean((2, 3))
    steps = torch.linspace(0, 1, 401, dtype=x.dtype, device=x.device)
    tried = torch.cartesian_prod(steps, steps[::10])
    colours = WINDOW_SHADE * _hair(tried[:, 0], tried[:, 1])
    return in_chunks(lambda few: tried[torch.cdist(few, colours).argmin(1), 0], seen)


def nearest_face(x: Tensor, *, steps: int = 12) -> tuple[Tensor, Tensor]:
    """Traits of the drawn face nearest to each picture, shape ``(n, 24)``, and its Euclidean distance, ``(n,)``.

    A least-squares fit that begins at the mean face with the hair colour of the picture; see `nearest`.

    Args:
        x: shape ``(n, 3, 32, 32)``, any float type.
        steps: of the fit.

    Raises:
        ValueError: another shape, or no floats.
    """
    start = x.new_full((len(pictured(x, 3, SIZE)), len(TRAITS)), 0.5)
    start[:, 0] = hair_colour(x)
    return nearest(draw, x, start, steps=steps)


@dataclass(frozen=True)
class _Sitter:
    """Where a face is, maps ``(n, 32, 32)`` and numbers ``(n, 1, 1)`` in pixels, and its colours, ``(n, 3)``."""

    trait: dict[str, Tensor]
    y_page: Tensor
    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    light: Tensor
    hair: Tensor
    skin: Tensor

    def between(self, name: str, low: float, high: float) -> Tensor:
        """A trait on a scale from ``low`` to ``high``, shape ``(n, 1, 1)``."""
        return low + (high - low) * self.trait[name][:, None, None]

    @property
    def lit(self) -> Tensor:
        """Factor of the skin's colour: the light comes from one side."""
        return 1 + 0.14 * self.light * self.x / self.a

    @property
    def sheen(self) -> Tensor:
        """The same of hair and cloth, which scatter more."""
        return 1 + 0.08 * self.light * self.x / self.a

    @property
    def crown(self) -> Tensor:
        """Signed distance to the outline of the hair on the head."""
        volume = self.between("hair_volume", 1.3, 2.7)
        return ellipse(self.x, self.y + 0.9, self.a + volume, self.b + volume - 0.4)


def _draw(traits: Tensor) -> Tensor:
    trait = dict(zip(TRAITS, traits.unbind(1), strict=True))
    x_page, y_page = grid(SIZE, traits)
    at = {name: value[:, None, None] for name, value in trait.items()}
    sitter = _Sitter(
        trait,
        y_page,
        x_page - (15.2 + 1.6 * at["x"]),
        y_page - (15.7 + 1.2 * at["y"]),
        6.8 + 1.2 * at["width"],
        8.9 + 1.2 * at["height"],
        2 * at["light"] - 1,
        _hair(trait["hair_colour"], trait["hair_warmth"]),
        _bezier(SKIN, trait["skin"]) + (trait["flush"][:, None] - 0.5) * _colour(BLOOD, traits),
    )
    wall = bilinear(BACKGROUND, trait["background"], trait["background_depth"])
    image = _paint(wall, 1.06 - 0.007 * (y_page - 16) + 0.006 * sitter.light * (x_page - 16))
    for layer in (_shirt, _hair_behind, _head, _cheeks_and_nose, _mouth, _eyes, _hair_in_front):
        image = layer(image, sitter)
    return image


def _shirt(image: Tensor, s: _Sitter) -> Tensor:
    colour = bilinear(SHIRT, s.trait["shirt"], s.trait["shirt_depth"])
    return over(
        image, coverage(ellipse(s.x, s.y_page - 36.3, 13.8, 8.0)), _paint(colour, s.sheen - 0.012 * (s.y_page - 30))
    )


def _hair_behind(image: Tensor, s: _Sitter) -> Tensor:
    """The crown, and what hangs down from it beside the face, with rounded ends."""
    end = s.between("hair_length", -0.5, 14.5)
    half = s.a + s.between("hair_volume", 1.2, 2.6) - 0.05 * (s.y - 2).clamp(min=0)
    across, below = (s.x.abs() - half + 2.2).clamp(min=0), (s.y - end + 2.2).clamp(min=0)
    hanging = torch.maximum((across.square() + below.square() + 1e-6).sqrt() - 2.2, -(s.y + 1.0))
    short = coverage(s.crown) * coverage(s.y - end.clamp(min=0) - 0.5, 3.0)
    strands = 1 + 0.07 * torch.sin(1.9 * s.x + 0.25 * s.y)
    return over(image, torch.maximum(short, coverage(hanging)), _paint(s.hair, 0.80 * strands * s.sheen))


def _head(image: Tensor, s: _Sitter) -> Tensor:
    """Neck in the shadow of the chin, ears unless the hair hangs over them, and the face, narrower at the chin."""
    neck = coverage(torch.maximum(s.x.abs() - 0.47 * s.a, s.y_page - 29.0 + 0.35 * s.x.abs())) * coverage(4 - s.y)
    image = over(image, neck, _paint(s.skin, 0.74 + 0.06 * s.light * s.x / s.a))
    ears = coverage(ellipse(s.x.abs() - s.a, s.y - 0.3, 1.2, 1.9))
    ears = ears * coverage(s.between("hair_length", -4.0, 11.0), 5.0)
    image = over(image, ears, _paint(s.skin, 0.86 * s.lit))
    return over(image, _face(s), _paint(s.skin, _bulge(s) * s.lit))


def _egg(s: _Sitter) -> Tensor:
    return s.x / s.a / (1 - 0.17 * (s.y / s.b).clamp(min=0) ** 2)


def _face(s: _Sitter) -> Tensor:
    return coverage(ellipse(_egg(s) * s.a, s.y, s.a, s.b))


def _bulge(s: _Sitter) -> Tensor:
    v = s.y / s.b
    return 1.02 - 0.10 * (_egg(s).square() + 0.6 * v.square()) - 0.03 * v


def _cheeks_and_nose(image: Tensor, s: _Sitter) -> Tensor:
    cheeks = torch.exp(-((s.x.abs() - 0.58 * s.a) / 1.7).square() - ((s.y - 0.30 * s.b) / 1.4).square())
    image = over(image, 0.28 * cheeks * _face(s), _paint(_colour(ROUGE, s.skin) * (0.4 + 0.6 * s.skin)))
    ridge = coverage(ellipse(s.x + 0.5 * s.light, s.y - 0.22 * s.b, 0.75, 1.7))
    image = over(image, 0.55 * ridge, _paint(s.skin, 0.82))
    return over(image, 0.50 * coverage(stroke(s.x, s.y - 0.36 * s.b, 1.0, -0.3, 0.45)), _paint(s.skin, 0.62))


def _mouth(image: Tensor, s: _Sitter) -> Tensor:
    width, smile = s.between("mouth_width", 1.9, 3.2), s.between("smile", -0.35, 1.75)
    rose = torch.lerp(s.skin * 0.75, _colour(LIPS, s.skin).expand_as(s.skin), 0.25 + 0.65 * s.trait["lips"][:, None])
    image = over(image, coverage(stroke(s.x, s.y - 0.61 * s.b, width, smile, 0.68)), _paint(rose))
    return over(image, 0.8 * coverage(stroke(s.x, s.y - 0.60 * s.b, width, smile, 0.22)), _paint(rose, 0.55))


def _eyes(image: Tensor, s: _Sitter) -> Tensor:
    """Eyes with their lids and brows, each drawn once and mirrored."""
    x, y = s.x.abs() - s.between("eye_distance", 0.40, 0.50) * s.a, s.y + 0.04 * s.b
    opening, raised = s.between("eye_opening", 0.75, 1.35), s.between("brows", 2.1, 2.9)
    eye, iris = coverage(ellipse(x, y, 1.95, opening)), _bezier(IRIS, s.trait["eye_colour"])
    image = over(image, eye, _paint(_colour(WHITE, s.skin).expand_as(s.skin), 0.9 + 0.1 * s.lit))
    image = over(image, eye * coverage(ellipse(x, y, 1.15, 1.15)), _paint(iris))
    image = over(image, eye * coverage(ellipse(x, y, 0.45, 0.45)), _paint(iris, 0.25))
    image = over(image, 0.75 * coverage(stroke(x, y + opening, 1.8, -0.7, 0.28)), _paint(s.skin, 0.30))
    return over(image, 0.85 * coverage(stroke(x - 0.1, y + raised, 1.9, -0.6, 0.45)), _paint(s.hair, 0.70))


def _hair_in_front(image: Tensor, s: _Sitter) -> Tensor:
    """What of the crown lies above a hairline that is highest at the parting, with a gloss on the side of the light."""
    u, v = s.x / s.a, s.y / s.b
    from_parting = s.x - s.between("parting", -0.42, 0.42) * s.a
    hairline = -s.between("hairline", 0.47, 0.60) * s.b + 4.4 * (from_parting / s.a).square()
    gloss = torch.exp(-((v + 0.98 - 0.12 * u * u) / 0.16).square() - ((u - 0.35 * s.light) / 0.6).square())
    strands = 1 + 0.04 * torch.sin(2.1 * from_parting + 0.5 * s.y)
    front = coverage(torch.maximum(s.crown, s.y - hairline))
    return over(image, front, _paint(s.hair, (0.93 + 0.07 * gloss) * strands * s.sheen))


def _paint(colour: Tensor, shade: Tensor | float = 1.0) -> Tensor:
    """A colour ``(n, 3)`` times a shade ``(n, 32, 32)``, shape ``(n, 3, 32, 32)``, or ``(n, 3, 1, 1)`` without one."""
    return colour[:, :, None, None] * (shade[:, None] if isinstance(shade, Tensor) else shade)


def _hair(colour: Tensor, warmth: Tensor) -> Tensor:
    return _bezier(HAIR, colour) * (1 + (warmth[:, None] - 0.5) * _colour(WARM, colour))


def _colour(rgb: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(rgb, dtype=like.dtype, device=like.device)


def _bezier(points: tuple[tuple[float, ...], ...], t: Tensor) -> Tensor:
    """The point at t on the curve with these control points, by de Casteljau's rule; shape ``(n, 3)``."""
    curve = [_colour(point, t) for point in points]
    while len(curve) > 1:
        curve = [torch.lerp(p, q, t[:, None]) for p, q in pairwise(curve)]
    return curve[0]
