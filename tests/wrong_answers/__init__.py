"""Typical wrong answers, by chapter: ``WRONG`` maps a checker to pairs (source that defines ``answer``, hint)."""
