"""The server of ``doorward serve``: settings, logs, metrics, and the ASGI app around ``doorward.web.asgi``."""
