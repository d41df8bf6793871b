"""The strategy lab: three deployments in memory, side by side, and a page that shows what travels and what is asked.

``doorward serve --lab``, on loopback alone: it tells everybody everything, credentials included.
"""
