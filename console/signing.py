"""Signing in by the token, and out again."""

from starlette.responses import RedirectResponse, Response

from console.access import COOKIE, SESSION_SECONDS
from console.site import Asked, Site


def sign_in_page(site: Site, asked: Asked) -> Response:
    """The form; where a proxy should have named the user, what is missing."""
    return site.page("sign_in.html", asked, wrong=False, onward=_onward(asked.query.get("to", "/")))


def sign_in(site: Site, asked: Asked) -> Response:
    """A cookie for the right token and a name; the form again for a wrong one."""
    name, onward = asked.one("name"), _onward(asked.one("to"))
    cookie = site.access.sign_in(name, asked.one("token")) if name else None
    if cookie is None:
        return site.page("sign_in.html", asked, status=403, wrong=True, onward=onward)
    response = RedirectResponse(onward, 303)
    secure = asked.headers.get("x-forwarded-proto", "") == "https"
    response.set_cookie(COOKIE, cookie, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return response


def sign_out(_: Site, __: Asked) -> Response:
    """Forget the cookie."""
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _onward(path: str) -> str:
    """Only an address of this console."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
