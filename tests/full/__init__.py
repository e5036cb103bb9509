"""The full deployment proven by hand: its roles on a real PostgreSQL and Redis."""
