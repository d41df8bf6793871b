"""The history of the one table that is Django's."""
