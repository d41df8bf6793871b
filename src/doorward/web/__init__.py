"""Servers and frameworks: each module converts, mounts and gives the principal, and none imports another."""
