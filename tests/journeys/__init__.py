"""Whole journeys against the service as it is run: processes, ports, signals."""
