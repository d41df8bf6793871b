"""The credentials of those who read the revocation feed and ask about tokens."""
