"""A Flask application with a feature of its own in the service."""  # noqa: INP001 (a program by itself)

from display_name import DisplayNames
from flask import Flask

from bienvenue import Bienvenue

app = Flask(__name__)
Bienvenue(app, features=[DisplayNames])
