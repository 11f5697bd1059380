"""Typical wrong answers to the exercises of chapter 00, each with a fragment of the hint it must get."""

WRONG: dict[str, list[tuple[str, str]]] = {
    "relu": [
        ("def answer(x):\n    return x.abs()", "that is |x|"),
        ("def answer(x):\n    return x.clamp(max=0)", "The negative entries survived"),
        ("def answer(x):\n    return (x > 0).float()", "but not what x is there"),
        ("def answer(x):\n    return max(x, 0)", "compares whole tensors"),
    ],
}
