"""Typical wrong answers to the exercises of chapter 06, each with a fragment of the hint it must get."""

_STEP = "import torch\ndef answer(z, decode, score, lr):\n"
_MOVE = "import torch\ndef answer(p, slope, score, lr, until):\n"
_LOG_Q = "import math\ndef answer(z, log_det):\n    D = z.shape[1]\n"
_BASE = "    base = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(1)\n"
_ARC = (
    "import math, torch\ndef answer(x):\n    rho = x.norm(dim=1)\n    end = 0.75 * math.pi\n"
    "    ends = torch.tensor([[math.cos(end), s * math.sin(end)] for s in (1, -1)], dtype=x.dtype)\n"
    "    to_ends = torch.cdist(x, ends)\n    within = torch.atan2(x[:, 1], x[:, 0]).abs() <= end\n"
)
_MAPS = "def answer(x, other):\n    maps = (other - x).mean(1)\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "step": [
        (
            f"{_STEP}    x = decode(z).detach().requires_grad_()\n"
            "    return z + lr * torch.autograd.grad(score(x).sum(), x)[0]",
            "a gradient in X, to a point of Z",
        ),
        (
            f"{_STEP}    z = z.requires_grad_()\n    score(decode(z.detach())).sum()\n"
            "    return z.detach() + lr * (torch.zeros_like(z) if z.grad is None else z.grad)",
            "Nothing moves",
        ),
        (
            f"{_STEP}    z = z.requires_grad_()\n    return z - lr * torch.autograd.grad(score(decode(z)).sum(), z)[0]",
            "You descend",
        ),
        (
            f"{_STEP}    z = z.requires_grad_()\n"
            "    return z + lr * torch.autograd.grad(score(decode(z)).mean(), z)[0]",
            "The mean over the batch".lower(),
        ),
    ],
    "move": [
        (f"{_MOVE}    return p + lr * slope", "All four move"),
        (f"{_MOVE}    return p if (score >= until).any() else p + lr * slope", "Nobody moves"),
        (f"{_MOVE}    return torch.where(score < until, p + lr * slope, p)", "along the last axis"),
        (
            f"{_MOVE}    on = (score > until).view(-1, *[1] * (p.ndim - 1))\n    return p + lr * on * slope",
            "those that have arrived",
        ),
    ],
    "log_q_per_dimension": [
        (f"{_LOG_Q}{_BASE}    return base + log_det", "divide by D"),
        (f"{_LOG_Q}{_BASE}    return base / D", "is missing: you have the density at z"),
        (f"{_LOG_Q}{_BASE}    return (base - log_det) / D", "added, not subtracted"),
        (f"{_LOG_Q}    return (-0.5 * (z**2).sum(1) + log_det) / D", "The constant is missing"),
    ],
    "distance_to_arc": [
        (f"{_ARC}    return (rho - 1).abs()", "the whole circle"),
        (f"{_ARC}    return to_ends.min(1).values", "nearer end, for all"),
        (f"{_ARC}    return torch.where(within, rho - 1, to_ends.min(1).values)", "a distance has no sign"),
        (f"{_ARC}    return torch.where(within, (rho - 1).abs(), to_ends[:, 0])", "to one of them only"),
    ],
    "difference_maps": [
        (f"{_MAPS}    return maps / maps.abs().amax((1, 2), keepdim=True)", "a scale of its own"),
        (f"{_MAPS}    return maps.abs() / maps.abs().max()", "The sign is lost"),
        (f"{_MAPS}    return -maps / maps.abs().max()", "what was added should be positive"),
        (
            "def answer(x, other):\n    change = other - x\n    return change / change.abs().max()",
            "average over axis 1",
        ),
    ],
}
