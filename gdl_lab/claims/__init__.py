"""The ledger of claims and the map of the talk.

In a notebook ``claims.ch01.hand_gradient()`` measures one statement; ``gdl-lab claims`` measures them all.
"""

from gdl_lab.claims import ch00, ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, chA1, chA2
from gdl_lab.claims.dictionary import Entry, dictionary
from gdl_lab.claims.ledger import (
    Bound,
    Claim,
    ClaimFailed,
    Measured,
    at_least,
    at_most,
    claim,
    registered,
    reported,
    within,
)
from gdl_lab.claims.overview import show_dictionary, show_map
from gdl_lab.claims.talk_map import Section, section, talk_map

__all__ = [
    "Bound",
    "Claim",
    "ClaimFailed",
    "Entry",
    "Measured",
    "Section",
    "at_least",
    "at_most",
    "ch00",
    "ch01",
    "ch02",
    "ch03",
    "ch04",
    "ch05",
    "ch06",
    "ch07",
    "ch08",
    "ch09",
    "ch10",
    "chA1",
    "chA2",
    "claim",
    "dictionary",
    "registered",
    "reported",
    "section",
    "show_dictionary",
    "show_map",
    "talk_map",
    "within",
]
