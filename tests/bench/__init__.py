"""The benchmark works; what it finds out is nobody's test."""
