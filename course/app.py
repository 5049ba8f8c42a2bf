"""The pages of the exercise.

It is as weak as the exercise is: good to learn from, and not for real people's passwords.
"""

# A missing field is None. A type checker warns of it, and the exercise does not look.
# mypy: disable-error-code=arg-type

import os

from flask import Flask, Response, abort, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from auth import Auth

AUTH = Auth()

app = Flask(__name__)


@app.get("/")
def index() -> Response:
    """Say welcome."""
    return jsonify({"message": "Bienvenue"})


@app.post("/users")
def users() -> ResponseReturnValue:
    """Register a user."""
    email = request.form.get("email")
    password = request.form.get("password")
    try:
        AUTH.register_user(email, password)
    except ValueError:
        return jsonify({"message": "email already registered"}), 400
    return jsonify({"email": email, "message": "user created"})


@app.post("/sessions")
def login() -> Response:
    """Log in: open a session and put its id into a cookie."""
    email = request.form.get("email")
    password = request.form.get("password")
    if not AUTH.valid_login(email, password):
        abort(401)
    response = jsonify({"email": email, "message": "logged in"})
    response.set_cookie("session_id", AUTH.create_session(email))
    return response


@app.delete("/sessions")
def logout() -> ResponseReturnValue:
    """Log out: end the session and go back to the start."""
    user = AUTH.get_user_from_session_id(request.cookies.get("session_id"))
    if user is None:
        abort(403)
    AUTH.destroy_session(user.id)
    return redirect("/")


@app.get("/profile")
def profile() -> Response:
    """Say who is logged in."""
    user = AUTH.get_user_from_session_id(request.cookies.get("session_id"))
    if user is None:
        abort(403)
    return jsonify({"email": user.email})


@app.post("/reset_password")
def get_reset_password_token() -> Response:
    """Give out a token for a new password."""
    email = request.form.get("email")
    try:
        reset_token = AUTH.get_reset_password_token(email)
    except ValueError:
        abort(403)
    return jsonify({"email": email, "reset_token": reset_token})


@app.put("/reset_password")
def update_password() -> Response:
    """Set a new password in exchange for the token."""
    email = request.form.get("email")
    reset_token = request.form.get("reset_token")
    new_password = request.form.get("new_password")
    try:
        AUTH.update_password(reset_token, new_password)
    except ValueError:
        abort(403)
    return jsonify({"email": email, "message": "Password updated"})


if __name__ == "__main__":
    app.run(host="localhost", port=int(os.environ.get("PORT", "5000")))
