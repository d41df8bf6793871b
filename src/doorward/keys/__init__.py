"""Signing keys: what they are (model), when they do what (rules), how they are kept (wrapping)."""
