"""Tests that drive the widgets, JupyterLab and the book in a real Chromium."""
