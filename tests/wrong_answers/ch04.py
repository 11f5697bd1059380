"""Typical wrong answers to the exercises of chapter 04, each with a fragment of the hint it must get."""

_BASE = (
    "import math\ndef answer(x, mu, sigma):\n    z = (x - mu) / sigma\n    base = -(z**2 + math.log(2 * math.pi)) / 2\n"
)
_HALVES = "import torch\ndef answer(x, s, t):\n    a, b = x.chunk(2, 1)\n"
_CHAIN = "import torch\ndef answer(z, layers):\n    a, b = z.chunk(2, 1)\n    total = 0\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "log_density": [
        (f"{_BASE}    return (base + sigma.log()).sum(1)", "The sign of the log-determinant"),
        (f"{_BASE}    return base.sum(1)", "the determinant is missing"),
        (f"{_BASE}    return base - sigma.log()", "One number for each point"),
        (
            "import math\ndef answer(x, mu, sigma):\n    z = (x - mu) / sigma\n"
            "    return (-(z**2) / 2 - sigma.log()).sum(1)",
            "each coordinate has its own",
        ),
    ],
    "inverse": [
        (
            f"{_HALVES}    return torch.cat([a, (b - t(a)) * torch.exp(-s(a))], 1), s(a).sum(1)",
            "The sign: this is log|det ∂x/∂z|",
        ),
        (
            f"{_HALVES}    return torch.cat([a, (b - t(b)) * torch.exp(-s(b))], 1), -s(b).sum(1)",
            "at the half that was moved",
        ),
        (
            f"{_HALVES}    return torch.cat([a, b * torch.exp(-s(a)) - t(a)], 1), -s(a).sum(1)",
            "t was added last",
        ),
        (
            f"{_HALVES}    return torch.cat([(a - t(a)) * torch.exp(-s(a)), (b - t(a)) * torch.exp(-s(a))], 1), -s(a).sum(1)",
            "The first half is frozen",
        ),
    ],
    "alternate": [
        (
            f"{_CHAIN}    for layer in layers:\n        b, ld = layer(a, b)\n        total = total + ld\n"
            "    return torch.cat([a, b], 1), total",
            "The first half never moves",
        ),
        (
            f"{_CHAIN}    for layer in layers:\n        b, ld = layer(a, b)\n        a, b = b, a\n"
            "        total = total + ld\n    return torch.cat([a, b], 1), total",
            "swap back before you join",
        ),
        (
            f"{_CHAIN}    for layer in layers:\n        b, ld = layer(a, b)\n        a, b = b, a\n"
            "        total = total + ld\n    return torch.cat([b, a], 1), total",
            "With 2 layers the halves end",
        ),
        (
            f"{_CHAIN}    total = 1\n    for k, layer in enumerate(layers):\n        if k % 2:\n            a, ld = layer(b, a)\n"
            "        else:\n            b, ld = layer(a, b)\n        total = total * ld\n"
            "    return torch.cat([a, b], 1), total",
            "so these add",
        ),
    ],
    "bits": [
        (
            "import math\ndef answer(log_q, b, D):\n    return -log_q / D / math.log(2)",
            "The scale of the dequantization is forgotten",
        ),
        (
            "import math\ndef answer(log_q, b, D):\n    return -log_q / D + b * math.log(2)",
            "Natural logarithms give nats",
        ),
        ("import math\ndef answer(log_q, b, D):\n    return -log_q / math.log(2) + b * D", "Divide by D"),
        (
            "import math\ndef answer(log_q, b, D):\n    return -log_q / D / math.log(2) - b",
            "volume of a cell is below 1",
        ),
    ],
    "mean_log_density": [
        ("import math\ndef answer(T):\n    return -0.5 * math.log(2 * math.pi) - 0.5", "does not depend on T"),
        (
            "import math\ndef answer(T):\n    return -0.5 * math.log(2 * math.pi * T**2) - 0.5",
            "the density is still N(0, 1)",
        ),
        ("import math\ndef answer(T):\n    return -0.5 * math.log(2 * math.pi) - T / 2", "T is a standard deviation"),
        ("import math\ndef answer(T):\n    return -0.5 * math.log(2 * math.pi)", "Samples are not there"),
    ],
}
