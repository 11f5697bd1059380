"""Data sets by name: ``load("digits8")``, ``load("mnist", "test")``, ``load("two_moons", n=200)``.

Embedded and drawn sets need no network. MNIST is read from this machine when it is there and never downloaded behind
the reader's back: ``gdl-lab data fetch mnist`` does that. CelebA and Mall are never downloaded: their owners hand them
out.
"""

from gdl_lab.data.catalogue import CARDS, Card, Dataset, count, fetch, load, on_this_machine
from gdl_lab.data.files import DataError, cache_dir

__all__ = ["CARDS", "Card", "DataError", "Dataset", "cache_dir", "count", "fetch", "load", "on_this_machine"]
