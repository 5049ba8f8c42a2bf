"""The benchmark works; what it finds out is no one's test."""
