"""Typical wrong answers to the exercises of chapter 03, each with a fragment of the hint it must get."""

_ALL = "import torch\ndef answer(x, k):\n    d = torch.cdist(x, x)\n"
_LOGS = "def answer(r):\n    logs = (r[:, -1:] / r[:, :-1]).log()\n    k = r.shape[1]\n"
_PLANE = "import torch\ndef answer(q, patch, d):\n    centre = patch.mean(0)\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "distances": [
        (f"{_ALL}    return d.sort(1).values[:, :k]", "its own nearest neighbour"),
        (f"{_ALL}    return d.sort(1).values[:, : k + 1]", "One column too many"),
        (f"{_ALL}    return d.square().sort(1).values[:, 1 : k + 1]", "These are squares"),
        (f"{_ALL}    return d.sort(1, descending=True).values[:, :k]", "furthest away"),
    ],
    "maximum_likelihood": [
        ("def answer(r):\n    return 1 / (r[:, :-1] / r[:, -1:]).log().mean()", "Negative"),
        ("def answer(r):\n    return 1 / (r[:, -1:] / r).log().mean()", "You divide by k, as if"),
        (f"{_LOGS}    return (k - 2) / logs.sum(1).mean()", "You divide by k − 2"),
        (f"{_LOGS}    return ((k - 1) / logs.sum(1)).mean()", "You average the dimensions"),
    ],
    "two_neighbours": [
        ("def answer(r):\n    return 1 / (r[:, 0] / r[:, 1]).log().mean()", "You have r₁/r₂"),
        ("def answer(r):\n    return (1 / (r[:, 1] / r[:, 0]).log()).mean()", "You average 1/log μ"),
        ("def answer(r):\n    return 1 / (r[:, 1] / r[:, 0]).mean().log()", "logarithm of the mean"),
        ("def answer(r):\n    return (r[:, 1] / r[:, 0]).log().mean()", "which is 1/d"),
    ],
    "participation": [
        (
            "import torch\ndef answer(x):\n    v = torch.linalg.svdvals(x) ** 2\n    return v.sum() ** 2 / (v**2).sum()",
            "The mean is still in x",
        ),
        (
            "import torch\n"
            "def answer(x):\n    v = torch.linalg.svdvals(x - x.mean(0))\n    return v.sum() ** 2 / (v**2).sum()",
            "standard deviations",
        ),
        ("def answer(x):\n    v = x.var(0)\n    return v.sum() ** 2 / (v**2).sum()", "variances of the coordinates"),
        (
            "import torch\ndef answer(x):\n    c = torch.cov(x.T)\n    return (c * c).sum() / c.trace() ** 2",
            "Upside down",
        ),
    ],
    "distance_to_tangent_plane": [
        (
            f"{_PLANE}    v = torch.linalg.svd(patch - centre).Vh[:d]\n    return (v @ (q - centre)).norm()",
            "along the plane",
        ),
        (
            f"{_PLANE}    v = torch.linalg.svd(patch).Vh[:d]\n"
            "    return (q - centre - v.T @ (v @ (q - centre))).norm()",
            "not centred",
        ),
        (
            f"{_PLANE}    v = torch.linalg.svd(patch - centre).Vh[:d]\n    return (q - v.T @ (v @ q)).norm()",
            "passes through the origin",
        ),
        (
            f"{_PLANE}    v = torch.linalg.svd(patch - centre).Vh[:, :d].T\n"
            "    return (q - centre - v.T @ (v @ (q - centre))).norm()",
            "Its rows are the axes",
        ),
    ],
}
