"""A bookshop whose sign-in pages look like the rest of it."""  # noqa: INP001 (a program by itself)

from flask import Flask, render_template

from bienvenue import Bienvenue

app = Flask(__name__)
Bienvenue(app)


@app.context_processor
def navigation() -> dict[str, list[tuple[str, str]]]:
    """Give every template the pages of the shop."""
    return {"shop": [("/", "Books"), ("/account/profile", "Account")]}


@app.get("/")
def books() -> str:
    """Show the books."""
    return render_template("books.html")
