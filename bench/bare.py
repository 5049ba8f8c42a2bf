"""A constant by Flask and nothing else: what the frame itself costs."""

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/profile")
def constant() -> Response:
    """Answer always the same."""
    return jsonify(email="me@example.com", message="constant")
