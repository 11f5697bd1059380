"""The book: every chapter is executed once, then laid out as pages whose widgets need neither kernel nor network.

`build` does it all: `javascript` collects the scripts that the pages carry along, `execute` runs a chapter (or finds
that nothing has changed since it last ran), `assemble` lays out what Sphinx reads, and Sphinx writes the pages, any
warning of its being an error.
"""

from gdl_lab.book.checkout import BookError, chapters, find_root
from gdl_lab.book.layout import anchor, assemble
from gdl_lab.book.publishing import build
from gdl_lab.book.running import execute, ingredients
from gdl_lab.book.scripts import javascript

__all__ = [
    "BookError",
    "anchor",
    "assemble",
    "build",
    "chapters",
    "execute",
    "find_root",
    "ingredients",
    "javascript",
]
