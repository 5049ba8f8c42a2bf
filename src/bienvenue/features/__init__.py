"""The features, one file each; `bienvenue.auth` opens them in order."""
