"""Signing in and out."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import login_user, logout_user
from werkzeug.wrappers import Response

from library.models import User

blueprint = Blueprint("auth", __name__)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Response | str:
    """Sign a reader in, who goes on to the page that was wanted."""
    if request.method == "POST":
        user = User.by_email(request.form["email"])
        if user and user.has_password(request.form["password"]):
            login_user(user)
            return redirect(request.args.get("next") or url_for("shelf.index"))
        flash("Wrong email or password.")
    return render_template("login.html")


@blueprint.post("/logout")
def logout() -> Response:
    """Sign the reader out."""
    logout_user()
    return redirect(url_for("auth.login"))
