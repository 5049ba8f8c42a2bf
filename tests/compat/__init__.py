"""The names of other packages, tested as their own applications use them."""
