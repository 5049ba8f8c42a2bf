"""The commands on sessions."""

from bienvenue.features.sessions.operations import Sessions
