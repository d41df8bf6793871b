"""Authenticators: what proves that somebody is the owner of an account."""
