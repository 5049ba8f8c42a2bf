"""A bookshelf in FastAPI whose users sign in at a running service."""  # noqa: INP001 (a program by itself)

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request

from bienvenue.client import ASGIMiddleware, Client, SignedInUser

service = Client(os.environ.get("SERVICE_URL", "http://localhost:5000"))


def signed_in(request: Request) -> SignedInUser:
    """Return the user of a request; a browser without one goes to sign in and comes back."""
    user = request.scope["bienvenue.user"]
    if user is not None:
        return user
    if "text/html" in request.headers.get("Accept", ""):
        raise HTTPException(303, headers={"Location": service.sign_in_url(str(request.url))})
    raise HTTPException(401, "Sign in first.")


User = Annotated[SignedInUser, Depends(signed_in)]
shelf = FastAPI()


@shelf.get("/")
async def home(request: Request) -> dict[str, str]:
    """Greet everybody."""
    user = request.scope["bienvenue.user"]
    return {"hello": "reader" if user is None else user.email}


@shelf.get("/shelf")
async def books(user: User) -> dict[str, str]:
    """Show the user's books."""
    return {"shelf of": user.email}


@shelf.get("/desk")
async def desk(user: User) -> dict[str, str]:
    """Let the staff in."""
    if "staff" not in user.groups:
        raise HTTPException(403, "Your account doesn't have access to this page.")
    return {"desk of": user.email}


app = ASGIMiddleware(shelf, service)
