"""Hosted pages: what a person needs around signing in, rendered here and working without JavaScript."""

from doorward.pages.site import Pages

__all__ = ["Pages"]
