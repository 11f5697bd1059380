"""Sphinx reads this file; the settings are in book.yml, one folder up."""

from pathlib import Path

import yaml

here = Path(__file__).resolve().parent
globals().update(yaml.safe_load((here.parent / "book.yml").read_text(encoding="utf-8")))

# Ours, and the scripts that gdl_lab.book.javascript collects.
html_static_path = [str(here / "_static"), str(here.parent / "_build" / "static")]
