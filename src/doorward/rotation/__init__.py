"""Rotation: a refresh token is spent once, and losing a reply signs nobody out (docs/concepts/rotation.md)."""
