"""Coalescing: requests that ask for the same answer are answered once."""
