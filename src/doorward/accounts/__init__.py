"""Accounts: who can sign in."""
