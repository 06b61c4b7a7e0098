"""Checks of arguments, names and third-party code; each error says how to mend the call."""
