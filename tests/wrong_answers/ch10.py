"""Typical wrong answers to the exercises of chapter 10, each with a fragment of the hint it must get."""

_LOOP = """def answer(U):
    a, b = U.unbind(1)
    at = lambda link, i, j: link.roll((-i, -j), (1, 2))
"""
_LINE = "def answer(W, omega):\n"
_BACK = "def answer(U, W):\n"
_CHARGE = """import math
import torch
def answer(theta):
    a, b = theta.unbind(1)
    P = a + b.roll(-1, 1) - a.roll(-1, 2) - b
    wrapped = torch.remainder(P + math.pi, 2 * math.pi) - math.pi
"""
_ESS = "def answer(log_w):\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "loop": [
        (f"{_LOOP}    return b @ at(a, 0, 1) @ at(a, 1, 1) @ at(b, 2, 0).mH @ at(a, 1, 0).mH @ a.mH", "inverse loop"),
        (f"{_LOOP}    return a @ at(a, 1, 0) @ at(b, 2, 0) @ at(a, 1, 1) @ at(a, 0, 1) @ b", "counts by its inverse"),
        (
            f"{_LOOP}    return a @ at(a, -1, 0) @ at(b, -2, 0) @ at(a, -1, -1).mH @ at(a, 0, -1).mH @ b.mH",
            "on the wrong side",
        ),
        (
            f"{_LOOP}    return a @ at(a, 1, 0) @ at(b, 2, 0) @ at(a, 0, 1).mH @ at(a, 1, 1).mH @ b.mH",
            "the farther link comes first",
        ),
    ],
    "line": [
        (f"{_LINE}    return omega @ W @ omega.mH", "So turns a loop"),
        (f"{_LINE}    return omega.roll(-2, 1) @ W @ omega.mH", "at the wrong end"),
        (f"{_LINE}    return omega.mH @ W @ omega.roll(-2, 1)", "transformation with Ω⁻¹"),
        (f"{_LINE}    return omega @ W @ omega.roll(-1, 1).mH", "a single link"),
    ],
    "transport_back": [
        (f"{_BACK}    V = U.roll(1, 1)\n    return V @ W.roll(1, 1) @ V.mH", "you need its inverse"),
        (f"{_BACK}    return U.mH @ W.roll(1, 1) @ U", "shift it too"),
        (f"{_BACK}    return U @ W.roll(-1, 1) @ U.mH", "the neighbour behind"),
        (f"{_BACK}    return W.roll(1, 1)", "live in two spaces"),
    ],
    "charge": [
        (f"{_CHARGE}    return P.sum((1, 2)) / (2 * math.pi)", "Wrap every plaquette"),
        (f"{_CHARGE}    return wrapped.sum((1, 2))", "how many full turns"),
        (f"{_CHARGE}    return -wrapped.sum((1, 2)) / (2 * math.pi)", "the other orientation"),
        (f"{_CHARGE}    return wrapped[:, :-1, :-1].sum((1, 2)) / (2 * math.pi)", "the last row"),
    ],
    "ess": [
        (f"{_ESS}    w = log_w.exp()\n    return (w**2).mean() / w.mean() ** 2", "Upside down"),
        (f"{_ESS}    w = log_w.exp()\n    return w.sum() ** 2 / (w**2).sum()", "a number of samples"),
        (f"{_ESS}    return log_w.mean() ** 2 / (log_w**2).mean()", "the logarithms of the weights"),
        (f"{_ESS}    w = log_w.exp()\n    return w.mean() ** 2 / (w**2).mean()", "take the largest away first"),
    ],
}
