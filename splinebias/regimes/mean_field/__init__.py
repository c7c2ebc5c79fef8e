"""Infinitely wide networks that learn features: their limit, and how far networks of finite width are from it."""
