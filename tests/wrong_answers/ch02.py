"""Typical wrong answers to the exercises of chapter 02, each with a fragment of the hint it must get."""

# The window of the sliding filter, written with unfold: windows has shape (n, h − k + 1, w − k + 1, k, k).
_UNFOLD = "    k = kernel.shape[-1]\n    windows = f.unfold(1, k, 1).unfold(2, k, 1)\n"
_BLUR = (
    "import torch\nfrom torch.nn import functional as F\n"
    "def blur(z, weights=(0.25, 0.5, 0.25), mode='circular'):\n"
    "    line = torch.tensor(weights, dtype=z.dtype)\n"
    "    window = torch.outer(line, line).expand(z.shape[1], 1, 3, 3)\n"
    "    return F.conv2d(F.pad(z, (1, 1, 1, 1), mode=mode), window, groups=z.shape[1])\n"
)

WRONG: dict[str, list[tuple[str, str]]] = {
    "sliding_filter": [
        (
            f"def answer(kernel, f):\n{_UNFOLD}"
            "    return (kernel.flip(2, 3)[:, :, None, None] * windows[None]).sum((1, 4, 5))",
            "lies upside down",
        ),
        (
            f"def answer(kernel, f):\n{_UNFOLD}    return (kernel[:, :, None, None] * windows[None]).sum((4, 5))",
            "sums over its n columns",
        ),
        (
            "from torch.nn import functional as F\n"
            f"def answer(kernel, f):\n    f = F.pad(f, (1, 1, 1, 1))\n{_UNFOLD}"
            "    return (kernel[:, :, None, None] * windows[None]).sum((1, 4, 5))",
            "there is no padding",
        ),
        (
            f"def answer(kernel, f):\n{_UNFOLD}"
            "    return (kernel[:, :, None, None] * windows[None]).sum((1, 4, 5))[:, :-1, :-1]",
            "row and a column are missing",
        ),
    ],
    "row_of_w": [
        (
            "import torch\n"
            "def answer(kernel, x, height, width):\n"
            "    row = torch.zeros(height, width, dtype=kernel.dtype)\n"
            "    for i in range(height):\n"
            "        for j in range(width):\n"
            "            a, b = x[0] - i + 1, x[1] - j + 1\n"
            "            if 0 <= a < 3 and 0 <= b < 3:\n"
            "                row[i, j] = kernel[a, b]\n"
            "    return row.flatten()",
            "entry for the pixel y is κ(y−x)",
        ),
        (
            "import torch\n"
            "def answer(kernel, x, height, width):\n"
            "    row = torch.zeros(height, width, dtype=kernel.dtype)\n"
            "    for a in range(3):\n"
            "        for b in range(3):\n"
            "            row[(x[0] + a - 1) % height, (x[1] + b - 1) % width] = kernel[a, b]\n"
            "    return row.flatten()",
            "wraps around",
        ),
        (
            "import torch\n"
            "def answer(kernel, x, height, width):\n"
            "    row = torch.zeros(height + 2, width + 2, dtype=kernel.dtype)\n"
            "    row[x[0] : x[0] + 3, x[1] : x[1] + 3] = kernel\n"
            "    return row[1:-1, 1:-1].T.flatten()",
            "counted row by row",
        ),
        (
            "import torch\n"
            "def answer(kernel, x, height, width):\n"
            "    row = torch.zeros(height + 3, width + 3, dtype=kernel.dtype)\n"
            "    row[x[0] : x[0] + 3, x[1] : x[1] + 3] = kernel\n"
            "    return row[:height, :width].flatten()",
            "hangs from x by its corner",
        ),
    ],
    "parameters": [
        ("def answer(n, m, k):\n    return n * m * k**2", "The layer has b_j too"),
        ("def answer(n, m, k):\n    return n * m * k**2 + 1", "one bias in all"),
        ("def answer(n, m, k):\n    return m * (k**2 + 1)", "κ is a matrix"),
        ("def answer(n, m, k):\n    return n * m * (k**2 + 1)", "a bias for each pair of channels"),
    ],
    "equivariance_error": [
        (
            "def answer(layer, f, a):\n"
            "    z = layer(f)\n"
            "    return ((layer(f.roll(a, (-2, -1))) - z).norm() / z.norm()).item()",
            "measures invariance",
        ),
        (
            "def answer(layer, f, a):\n"
            "    z, back = layer(f), (-a[0], -a[1])\n"
            "    return ((layer(f.roll(a, (-2, -1))) - z.roll(back, (-2, -1))).norm() / z.norm()).item()",
            "shifts go opposite ways",
        ),
        (
            "def answer(layer, f, a):\n    return (layer(f.roll(a, (2, 3))) - layer(f).roll(a, (2, 3))).norm().item()",
            "divide by the size of the output",
        ),
        (
            "def answer(layer, f, a):\n"
            "    z = layer(f)\n"
            "    return (((layer(f.roll(a, (2, 3))) - z.roll(a, (2, 3))) ** 2).sum() / (z**2).sum()).item()",
            "squared",
        ),
    ],
    "blurred_stride": [
        (f"{_BLUR}def answer(z):\n    return blur(z[:, :, ::2, ::2])", "You thin out first"),
        (f"{_BLUR}def answer(z):\n    return blur(z, (1.0, 2.0, 1.0))[:, :, ::2, ::2]", "16 times brighter"),
        (f"{_BLUR}def answer(z):\n    return blur(z, mode='constant')[:, :, ::2, ::2]", "border darkens"),
        (f"{_BLUR}def answer(z):\n    return blur(z.sum(1, keepdim=True))[:, :, ::2, ::2]", "One channel is left"),
    ],
}
