"""What the service costs, measured beside what it stands on: `make bench`."""
