"""How ``mini`` is made: see README.md."""
