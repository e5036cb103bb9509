"""Thousands of requests, some of each fault: what is answered, kept and given away."""
