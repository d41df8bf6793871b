"""Revocation: what was issued, has not expired, and is not accepted any more."""
