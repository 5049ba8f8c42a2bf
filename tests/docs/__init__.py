"""What the documentation says is run, counted and compared with the product."""
