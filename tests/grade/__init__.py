"""The grader: what it finds, what it lets pass, and what it survives."""
