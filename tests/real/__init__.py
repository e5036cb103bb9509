"""Real foreign programs, small enough to run beside the tests."""
