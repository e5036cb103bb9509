"""Venom, the control room for LLM runtimes. Importable without any package."""

VERSION = "0.1.0"
