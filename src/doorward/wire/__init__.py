"""Bytes and text that leave the process: formats, each parsed strictly and made in one place."""
