"""The application on Flask."""

from __future__ import annotations

from typing import Any

from flask import Flask

from doorward.web.flask import Doorward, current_principal, doorward_of, requires
from tests.frameworks.applications.demands import WANTED
from tests.frameworks.options import go_by


def build(*, clock: Any, ticks: Any, **settings: Any) -> Flask:
    app = Flask("application")
    for name, value in settings.items():
        app.config[f"DOORWARD_{name.upper()}"] = value
    Doorward().init_app(app)
    go_by(clock, doorward_of(app))

    def greeting() -> dict[str, bool]:
        return {"known": bool(current_principal)}

    def whoever() -> dict[str, str]:
        return {"account": current_principal.subject, "session": current_principal.session_id}

    app.add_url_rule("/greeting", view_func=greeting)
    for (method, path), wanted in WANTED.items():
        app.add_url_rule(path, path, requires(**wanted)(whoever), methods=[method])
    return app
