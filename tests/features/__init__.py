"""Every feature: its operations, refusals, events and pages."""
