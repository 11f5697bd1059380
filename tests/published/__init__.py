"""Tests of CelebA and Mall, on tiny copies of their published layout."""
