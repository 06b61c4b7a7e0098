"""What the adapters of every framework have in common: options, checks, copying, fallbacks, metadata, saved retrievers.

An adapter is a thin reading of this: its classes inherit the options and say how texts come out of the framework's
documents and scores go back in. Imports no framework; the options need pydantic, which both frameworks bring.
"""
