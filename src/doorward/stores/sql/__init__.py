"""The store on SQL.

Statements are written once, as plain functions on SQLAlchemy Core (``accounts``, ``sessions``, ``rotation``, ``trail``,
``keys``, ``revocations``, ``housekeeping``); a runner decides in which thread and transaction they run.
"""
