"""Wiring and foundations of Venom."""

VERSION = "0.1.0"
