"""The commands of developers."""
