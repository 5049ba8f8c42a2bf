"""Where a request becomes plain values, and a value a page, a redirect or JSON."""
