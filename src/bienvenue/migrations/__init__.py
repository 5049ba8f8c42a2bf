"""The migrations, one file a feature, run by `bienvenue.schema`."""
