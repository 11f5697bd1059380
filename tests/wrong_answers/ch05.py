"""Typical wrong answers to the exercises of chapter 05, each with a fragment of the hint it must get."""

_STEP = (
    "import torch\ndef answer(x, lam, gradient, pull, jacobian):\n    z = pull(x)\n    J = jacobian(z)\n"
    "    df = gradient(x)[:, :, None]\n"
)
_SLOPE = "import math\ndef answer(lam, r):\n"
_APPLY = "import torch\ndef answer(g, z, v):\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "inverse_metric": [
        ("def answer(J):\n    return J.mT @ J", "compares directions of Z"),
        ("import torch\ndef answer(J):\n    return torch.linalg.inv(J @ J.mT)", "That is γ, which measures vectors"),
        ("def answer(J):\n    return J ** 2", "You square entry by entry"),
        ("def answer(J):\n    return J @ J", "The transpose is missing"),
    ],
    "step": [
        (f"{_STEP}    return x + lam * torch.linalg.solve(J @ J.mT, df)[:, :, 0]", "lengths of X, not of Z"),
        (
            f"{_STEP}    J = jacobian(x)\n    return x + lam * (J @ J.mT @ df)[:, :, 0]",
            "You evaluate ∂g/∂z at x",
        ),
        (f"{_STEP}    return x + lam * (J.mT @ df)[:, :, 0]", "has yet to be pushed to X"),
        (f"{_STEP}    return x + lam * df[:, :, 0]", "gradient ascent in X"),
    ],
    "slope": [
        (f"{_SLOPE}    return (r[0] - r[1]) / (lam[0] - lam[1])", "Take both logarithms first"),
        (f"{_SLOPE}    return math.log(r[0] / r[1])", "how far apart the two λ are"),
        (f"{_SLOPE}    return (r[0] / r[1]) / (lam[0] / lam[1])", "You divide the ratios"),
        (f"{_SLOPE}    return math.log(r[0]) / math.log(lam[0])", "One point does not know c"),
    ],
    "apply": [
        (
            f"{_APPLY}    w = torch.func.jvp(g, (z,), (v,))[1]\n    return torch.func.vjp(g, z)[1](w)[0]",
            "The order: that is JᵀJv",
        ),
        (f"{_APPLY}    return torch.func.vjp(g, z)[1](v)[0]", "Half of the way"),
        (
            f"{_APPLY}    w = torch.func.vjp(g, z)[1](v)[0]\n    return torch.func.jvp(g, (z,), (w,))[0]",
            "returns a pair",
        ),
        (f"{_APPLY}    return torch.func.jvp(g, (z,), (v,))[1]", "First comes the backward one"),
    ],
    "across": [
        (
            "import torch\ndef answer(gamma_inv, normal):\n    n = (gamma_inv @ normal[:, :, None])[:, :, 0]\n"
            "    n = n / n.norm(dim=1, keepdim=True)\n"
            "    return 1 / torch.einsum('bi,bij,bj->b', n, torch.linalg.inv(gamma_inv), n)",
            "the definition that does not scale",
        ),
        (
            "import torch\ndef answer(gamma_inv, normal):\n"
            "    return torch.einsum('bi,bij,bj->b', normal, gamma_inv, normal)",
            "divide by its length",
        ),
        (
            "import torch\ndef answer(gamma_inv, normal):\n    nu = normal / normal.norm(dim=1, keepdim=True)\n"
            "    return 1 / torch.einsum('bi,bij,bj->b', nu, torch.linalg.inv(gamma_inv), nu)",
            "only if the normal is an axis",
        ),
        (
            "import torch\ndef answer(gamma_inv, normal):\n    return torch.linalg.eigvalsh(gamma_inv)[:, 0]",
            "has a direction of its own",
        ),
    ],
}
