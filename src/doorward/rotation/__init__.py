"""Rotation: a refresh token is spent once, and losing a reply signs nobody out (PROTOCOLS.md section 1)."""
