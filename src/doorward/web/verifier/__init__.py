"""A service that takes access tokens of a Doorward elsewhere: bare ASGI, Starlette, FastAPI, Litestar, Flask.

The base install does.
"""
