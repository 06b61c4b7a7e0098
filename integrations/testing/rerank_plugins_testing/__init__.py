"""Conformance suites for other people's adapters: one module for each framework, with classes to inherit."""
