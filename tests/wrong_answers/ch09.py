"""Typical wrong answers to the exercises of chapter 09, each with a fragment of the hint it must get."""

_CHANGE = "import torch\ndef answer(v, spin, angle):\n"
_LATITUDE = "import math\ndef answer(theta, R):\n"
_INTEGRAL = "import math\ndef answer(f, r, w):\n"
_KERNEL = "import torch\ndef answer(theta, n, m):\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "change": [
        (f"{_CHANGE}    return v * torch.exp(1j * spin * angle)", "turn the coefficient with the frame"),
        (f"{_CHANGE}    return v * torch.exp(-1j * angle)", "A field of spin 0 turns 0 times"),
        (f"{_CHANGE}    return v", "the arrow has not moved"),
        (f"{_CHANGE}    return v.conj() * torch.exp(-1j * spin * angle)", "what a mirror does"),
    ],
    "step": [
        ("def answer(v, x, y):\n    return v - (v @ y) * y", "makes arrows shorter"),
        (
            "def answer(v, x, y):\n    u = v - (v @ y) * y\n    return u / u.norm() * v.norm()",
            "projection with its length mended",
        ),
        ("def answer(v, x, y):\n    return v - (v @ x) / (1 + x @ y) * (x + y)", "it sticks out"),
        ("def answer(v, x, y):\n    return v - (v @ y) / (1 - x @ y) * (y - x)", "is a reflection"),
    ],
    "latitude": [
        (f"{_LATITUDE}    return R**2 * 2 * math.pi * (1 - math.cos(theta))", "That is the area"),
        (f"{_LATITUDE}    return 2 * math.pi * math.cos(theta)", "And against its own start"),
        (f"{_LATITUDE}    return math.degrees(2 * math.pi * (1 - math.cos(theta)))", "In degrees"),
        (f"{_LATITUDE}    return (1 - math.cos(theta)) / 2", "a share of the sphere"),
    ],
    "integral": [
        (f"{_INTEGRAL}    return 2 * math.pi * (w * f(r) * r).sum()", "Where is √det g"),
        (f"{_INTEGRAL}    return 2 * math.pi * (w * f(r) * r.sin() / r).sum()", "r of polar coordinates is not"),
        (f"{_INTEGRAL}    return 2 * math.pi * (w * f(r) * r * r.sin()).sum()", "One r too many"),
        (f"{_INTEGRAL}    return (w * f(r) * r.sin()).sum()", "One ray only"),
    ],
    "kernel": [
        (f"{_KERNEL}    return torch.exp(1j * (n - m) * theta)", "with X turned"),
        (f"{_KERNEL}    return torch.exp(1j * (m + n) * theta)", "also conjugate the field"),
        (f"{_KERNEL}    return torch.exp(1j * m * theta)", "the spin that comes in"),
        (f"{_KERNEL}    return torch.cos((m - n) * theta)", "two frequencies"),
    ],
}
