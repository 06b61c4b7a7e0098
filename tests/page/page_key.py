"""The key that the locked server of these tests wants."""

KEY = "page-test-key-31f0"
