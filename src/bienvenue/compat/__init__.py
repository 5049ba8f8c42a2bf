"""Names of other packages, for applications that move from them."""
