"""Typical wrong answers to the exercises of appendix A1, each with a fragment of the hint it must get."""

_LAYER = """import math, torch
def answer(K, sw2, sb2):
    q = K.diagonal().sqrt()
    root = torch.outer(q, q)
    theta = (K / root).clamp(-1, 1).arccos()
    both = (theta.sin() + (math.pi - theta) * theta.cos()) / (2 * math.pi)
"""
_MEAN = """import torch
def answer(theta_at, theta, y, rate, t):
    one = torch.eye(len(theta), dtype=theta.dtype)
    left = torch.linalg.matrix_power(one - rate * theta, t)
    inverse = torch.linalg.inv(theta)
"""
_COVARIANCE = "import torch\ndef answer(K_at, cross, K, A):\n"
_COPIES = "import torch\ndef answer(W):\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "layer": [
        (f"{_LAYER}    return sw2 * both + sb2", "left out √(qq′)"),
        (f"{_LAYER}    return sw2 * (math.pi - theta) / (2 * math.pi) + sb2", "which the NTK needs"),
        (f"{_LAYER}    return 2 * sw2 * root * both + sb2", "factor of 2"),
        (f"{_LAYER}    return sw2 * root * both", "a bias of its own"),
    ],
    "angle": [
        (
            "import torch\ndef answer(u, v):\n    return ((u * v).sum(1) / u.norm(dim=1) / v.norm(dim=1)).clamp(-1, 1).arccos()",
            "below √ε",
        ),
        ("import torch\ndef answer(u, v):\n    return (u * v).sum(1).clamp(-1, 1).arccos()", "lengths other than 1"),
        (
            "import torch\ndef answer(u, v):\n    return (torch.linalg.cross(u, v).norm(dim=1) / u.norm(dim=1) / v.norm(dim=1)).clamp(max=1).asin()",
            "the sine alone",
        ),
        (
            "import torch\ndef answer(u, v):\n    u, v = (t / t.norm(dim=1, keepdim=True) for t in (u, v))\n    return 2 * ((u - v).norm(dim=1) / 2).clamp(max=1).asin()",
            "Those near π",
        ),
    ],
    "mean": [
        (f"{_MEAN}    return theta_at @ inverse @ (one - torch.matrix_exp(-rate * t * theta)) @ y", "gradient flow"),
        (f"{_MEAN}    return theta_at @ inverse @ y", "the end of training"),
        (f"{_MEAN}    return theta_at @ inverse @ left @ y", "still to be learned"),
        (f"{_MEAN}    return theta_at @ (one - left) @ y", "Θ⁻¹ is missing"),
    ],
    "covariance": [
        (f"{_COVARIANCE}    return K_at - cross @ torch.linalg.solve(K, cross.mT)", "That is the posterior"),
        (f"{_COVARIANCE}    return K_at + A @ K @ A.mT", "As if f_0(x) and f_0(X) were"),
        (f"{_COVARIANCE}    return K_at - A @ K @ A.mT", "three terms"),
        (f"{_COVARIANCE}    return K_at - 2 * A @ cross.mT + A @ K @ A.mT", "symmetric"),
    ],
    "turned_copies": [
        (f"{_COPIES}    return W.expand(4, *W.shape)", "Four times the same"),
        (f"{_COPIES}    return torch.stack([W.roll(k, 1) for k in range(4)])", "picture of 5 × 5"),
        (f"{_COPIES}    return torch.stack([W.roll(k, 0) for k in range(4)])", "other rows"),
        (
            f"{_COPIES}    P = W.unflatten(1, (5, 5))\n    return torch.stack([P, P.rot90(2, (1, 2)), P, P.rot90(2, (1, 2))]).flatten(2)",
            "half turns alone",
        ),
    ],
}
