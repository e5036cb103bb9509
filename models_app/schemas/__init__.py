"""The shapes of the middle floor, one module per noun."""
