"""Typical wrong answers to the exercises of chapter 07, each with a fragment of the hint it must get."""

_MOVE = "import torch\ndef answer(f, r):\n"
_LIFT = "import torch\nfrom torch.nn import functional as F\ndef answer(kernel, x):\n"
_ERROR = "def answer(f, group, rho, sigma, x):\n    y = f(x)\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "move": [
        (f"{_MOVE}    return torch.rot90(f, r, (2, 3))", "You turn the pictures only"),
        (f"{_MOVE}    return f.roll(r, 1)", "You move the orientations only"),
        (f"{_MOVE}    return torch.rot90(f, r, (2, 3)).roll(-r, 1)", "The orientations move the wrong way"),
        (f"{_MOVE}    return torch.rot90(f, -r, (2, 3)).roll(-r, 1)", "both halves go backwards"),
    ],
    "lift": [
        (f"{_LIFT}    return F.conv2d(x, kernel.expand(4, 1, 3, 3), padding=1)", "the kernel has to turn"),
        (
            f"{_LIFT}    k = torch.stack([torch.rot90(kernel, -r) for r in range(4)])\n"
            "    return F.conv2d(x, k[:, None], padding=1)",
            "Your kernels turn clockwise",
        ),
        (
            f"{_LIFT}    k = torch.stack([torch.rot90(kernel, r) for r in range(4)])\n"
            "    return F.conv2d(x, k[:, None])",
            "The picture has shrunk",
        ),
        (
            f"{_LIFT}    z = [F.conv2d(torch.rot90(x, r, (2, 3)), kernel[None, None], padding=1) for r in range(4)]\n"
            "    return torch.cat(z, 1)",
            "You turn the picture and leave the kernel",
        ),
    ],
    "error": [
        (f"{_ERROR}    return max((f(rho(g, x)) - sigma(g, y)).norm() for g in group)", "That is a length"),
        (
            f"{_ERROR}    return sum((f(rho(g, x)) - sigma(g, y)).norm() / y.norm() for g in group) / len(group)",
            "the mean over the group",
        ),
        (f"{_ERROR}    return max((f(rho(g, x)) - y).norm() / y.norm() for g in group)", "asks for invariance"),
        (
            f"{_ERROR}    return max((f(rho(g, x)) - rho(g, y)).norm() / y.norm() for g in group)",
            "an action of their own",
        ),
    ],
    "set_layer": [
        (
            "def answer(x, lam, gamma):\n    return lam * x + gamma * x.mean(1, keepdim=True)",
            "That is the mean",
        ),
        ("def answer(x, lam, gamma):\n    return lam * x + gamma * x.sum(0)", "You sum over the batch"),
        ("def answer(x, lam, gamma):\n    return lam * x + gamma * x.sum()", "You sum over everything"),
        (
            "def answer(x, lam, gamma):\n    return lam * x + gamma * (x.sum(1, keepdim=True) - x)",
            "ones on the diagonal",
        ),
    ],
    "irreps": [
        ("def answer(l1, p1, l2, p2):\n    return [(l1 + l2, p1 * p2)]", "that is the largest"),
        (
            "def answer(l1, p1, l2, p2):\n    return [(l, p1 * p2) for l in range(abs(l1 - l2), l1 + l2)]",
            "a range ends before its end",
        ),
        (
            "def answer(l1, p1, l2, p2):\n    return [(l, p1 * p2) for l in range(l1 + l2 + 1)]",
            "you begin at 0",
        ),
        (
            "def answer(l1, p1, l2, p2):\n    return [(l, (-1) ** l) for l in range(abs(l1 - l2), l1 + l2 + 1)]",
            "the parity of spherical harmonics",
        ),
    ],
}
