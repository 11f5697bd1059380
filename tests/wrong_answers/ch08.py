"""Typical wrong answers to the exercises of chapter 08, each with a fragment of the hint it must get."""

_MEAN = "def answer(signal, beta):\n"
_FIRST = "def answer(kappa, f, R, x, w):\n"
_OUTER = "import torch\ndef answer(f_l, kappa_l):\n"
_SECOND = "def answer(F_l, psi_l):\n"

WRONG: dict[str, list[tuple[str, str]]] = {
    "mean": [
        (f"{_MEAN}    return signal.mean()", "where is sin β"),
        (f"{_MEAN}    return (signal.mean(1) * beta.sin()).mean()", "do not add up to one"),
        (f"{_MEAN}    return (signal * beta.sin()[:, None]).sum()", "A sum grows with the grid"),
        (
            f"{_MEAN}    return (signal.mean(1) * beta.cos().abs()).sum() / beta.cos().abs().sum()",
            "cos β is largest at the poles",
        ),
    ],
    "first_layer": [
        (f"{_FIRST}    return w @ (kappa(x @ R.T) * f(x))", "the convolution at R⁻¹"),
        (f"{_FIRST}    return (kappa(x @ R) * f(x)).mean()", "where is w, the area"),
        (f"{_FIRST}    return (kappa(x @ R) * f(x)).sum()", "A sum without weights"),
        (f"{_FIRST}    return w @ (kappa(x @ R) * f(x @ R))", "R drops out"),
    ],
    "coefficients": [
        (f"{_OUTER}    return torch.outer(kappa_l, f_l)", "That is the slide's line"),
        (f"{_OUTER}    return torch.outer(f_l, kappa_l)", "one factor still has to be conjugated"),
        (f"{_OUTER}    return torch.outer(kappa_l.conj(), f_l)", "The conjugate is right"),
        (f"{_OUTER}    return torch.outer(f_l.conj(), kappa_l)", "These belong to D"),
    ],
    "second_layer": [
        (f"{_SECOND}    return F_l @ psi_l", "√(2l+1) is missing"),
        (f"{_SECOND}    return psi_l @ F_l / len(F_l) ** 0.5", "The other order"),
        (f"{_SECOND}    return F_l @ psi_l.T / len(F_l) ** 0.5", "ψ is transposed"),
        (f"{_SECOND}    return F_l @ psi_l / len(F_l)", "one root is left over"),
    ],
    "size": [
        ("def answer(L):\n    return sum((2 * k + 1) ** 2 for k in range(L + 1))", "bandlimit L means"),
        ("def answer(L):\n    return L**2", "That is the sphere's"),
        ("def answer(L):\n    return sum((2 * k + 1) ** 2 for k in range(L - 1))", "a degree too early"),
        ("def answer(L):\n    return (2 * L) ** 3", "That is a grid"),
    ],
}
