"""host: what the code and the templates of a host application use of the service."""
