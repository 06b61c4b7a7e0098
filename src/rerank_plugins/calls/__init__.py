"""What is common to every call, written once: checks, deadline, layers, observers, usage, sync and async."""
