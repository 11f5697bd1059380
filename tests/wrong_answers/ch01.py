"""Typical wrong answers to the exercises of chapter 01, each with a fragment of the hint it must get."""

WRONG: dict[str, list[tuple[str, str]]] = {
    "layer": [
        ("def answer(x, W, b):\n    return x @ W.T + b", "non-linearity is missing"),
        ("def answer(x, W, b):\n    return (x @ W.T).clamp(min=0)", "bias is missing"),
        ("def answer(x, W, b):\n    return (x @ W.T).clamp(min=0) + b", "add b after"),
        ("def answer(x, W, b):\n    return (x @ W + b).clamp(min=0)", "but it is Wᵀ"),
    ],
    "parameters": [
        ("def answer(widths):\n    return sum(a * b for a, b in zip(widths, widths[1:]))", "θ holds the biases too"),
        (
            "def answer(widths):\n    return sum(a * b for a, b in zip(widths, widths[1:])) + sum(widths)",
            "input layer has no bias",
        ),
        (
            "def answer(widths):\n    return sum(a * b for a, b in zip(widths, widths[1:])) + sum(widths[1:-1])",
            "biases of the last layer",
        ),
        ("def answer(widths):\n    return sum(a * b + 1 for a, b in zip(widths, widths[1:]))", "bias is a vector"),
    ],
    "backprop": [
        (
            "def answer(x, y, W1, b1, W2, b2):\n    a = x @ W1.T + b1\n"
            "    r = a.relu() @ W2.T + b2 - y\n    return 2 * (r * W2).T @ x",
            "switched-off unit still learns",
        ),
        (
            "def answer(x, y, W1, b1, W2, b2):\n    a = x @ W1.T + b1\n"
            "    r = a.relu() @ W2.T + b2 - y\n    return ((r @ W2) * (a > 0)).T @ x",
            "derivative of r² is 2r",
        ),
        (
            "def answer(x, y, W1, b1, W2, b2):\n    a = x @ W1.T + b1\n"
            "    r = a.relu() @ W2.T + b2 - y\n    return x.T @ (2 * (r @ W2) * (a > 0))",
            "lie the wrong way",
        ),
        (
            "def answer(x, y, W1, b1, W2, b2):\n    a = x @ W1.T + b1\n"
            "    r = a.relu() @ W2.T + b2 - y\n    return (2 * (r @ W2) * (a > 0)).T @ x / len(x)",
            "average over the batch",
        ),
    ],
    "initial_weights": [
        ("import torch\ndef answer(m, n, generator):\n    return torch.randn(m, n, generator=generator)", "variance 1"),
        (
            "import torch\ndef answer(m, n, generator):\n    return torch.randn(m, n, generator=generator) / n**0.5",
            "variance is 1/n",
        ),
        (
            "import torch\ndef answer(m, n, generator):\n    return torch.randn(m, n, generator=generator) * 2 / n",
            "standard deviation is 2/n",
        ),
        (
            "import torch\ndef answer(m, n, generator):\n    return torch.randn(m, n, generator=generator) * (2 / m) ** 0.5",
            "number of outputs",
        ),
    ],
    "pieces": [
        ("def answer(x, y):\n    return int((y.diff().diff().abs() > 1e-9).sum())", "count the pieces, not the kinks"),
        ("def answer(x, y):\n    return 1 + int((y.diff().diff() != 0).sum())", "compare with a tolerance"),
        ("def answer(x, y):\n    return 1 + int((y.diff().diff().abs() > 1e-9).sum())", "two second differences"),
    ],
}
