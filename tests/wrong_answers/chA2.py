"""Typical wrong answers to the exercises of chapter A2, each with a fragment of the hint it must get."""

_COUNTS = "def answer(faces):\n    V = len({v for face in faces for v in face})\n"
_RAW = "def answer(g, sd_x, sd_y):\n"
_SLOPE = "def answer(longitude, meridian):\n"
_SAME = "def answer(x):\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "counts": [
        (f"{_COUNTS}    return V, V + len(faces) - 2, len(faces)", "That is Euler's formula"),
        (f"{_COUNTS}    return V, sum(len(face) for face in faces), len(faces)", "each edge belongs to two faces"),
        (
            f"from itertools import combinations\n{_COUNTS}"
            "    E = len({frozenset(p) for face in faces for p in combinations(face, 2)})\n    return V, E, len(faces)",
            "you count diagonals too",
        ),
        (
            "def answer(faces):\n    return sum(map(len, faces)), sum(map(len, faces)) // 2, len(faces)",
            "a corner once for each face",
        ),
    ],
    "raw_slope": [
        (f"{_RAW}    return g", "Nothing is rescaled"),
        (f"{_RAW}    return g * sd_x", "You multiply by the deviations"),
        (f"{_RAW}    return g / sd_x", "but not in faces"),
        (f"{_RAW}    return g * sd_y", "divide by it"),
    ],
    "slope": [
        (f"{_SLOPE}    return (meridian / longitude).real", "the other way up"),
        (f"{_SLOPE}    return longitude / meridian.real", "taken after dividing"),
        (f"{_SLOPE}    return (longitude / meridian).abs()", "Without direction"),
        (f"{_SLOPE}    return longitude / meridian", "That is λ/μ"),
    ],
    "same": [
        (f"{_SAME}    return 1 / x, 1 - x", "At 1/x D is −D(x)"),
        (f"{_SAME}    return x, 1 / (1 - x)", "x itself"),
        (f"{_SAME}    return 1 / (1 - x), 1 / (1 - x)", "Twice the same"),
        (f"{_SAME}    return x.conj(), 1 / (1 - x)", "the conjugate"),
    ],
}
