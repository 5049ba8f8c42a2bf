"""The contract of HTTP: media, headers, cookies, other sites and whatever is sent."""
