"""Venom, the control room for LLM runtimes. Importable without any package."""
