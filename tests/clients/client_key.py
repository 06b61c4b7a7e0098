"""The key that the server of these tests wants."""

KEY = "client-test-key"
