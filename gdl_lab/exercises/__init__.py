"""Checkers for the exercises, chapter by chapter.

In a notebook: ``from gdl_lab.exercises import check``, then ``check.ch01.layer(my_layer)`` says ✓ or names the mistake.
"""

from types import SimpleNamespace

from gdl_lab.exercises import ch00, ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, chA1, chA2
from gdl_lab.exercises.verdict import Verdict

__all__ = ["Verdict", "check"]

check = SimpleNamespace(
    ch00=ch00,
    ch01=ch01,
    ch02=ch02,
    ch03=ch03,
    ch04=ch04,
    ch05=ch05,
    ch06=ch06,
    ch07=ch07,
    ch08=ch08,
    ch09=ch09,
    ch10=ch10,
    chA1=chA1,
    chA2=chA2,
)
