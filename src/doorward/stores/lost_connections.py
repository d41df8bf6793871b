"""How event loops report that a peer has reset a connection.

asyncio raises an OSError, or discards what is written and reports the loss to the protocol.  uvloop raises a bare
RuntimeError as soon as somebody writes to the transport, and drivers pass it on.
"""

from __future__ import annotations


def is_closed_transport(error: BaseException) -> bool:
    """Whether uvloop refused to write because the connection was lost before: nothing of it was sent."""
    return isinstance(error, RuntimeError) and str(error).endswith("the handler is closed")
