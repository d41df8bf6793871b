from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from doorward.web.flask import Doorward, current_principal, login_required, requires

auth = Doorward("sqlite:///app.db", strategy="hybrid")


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()  # FLASK_DOORWARD_DATABASE=postgresql://...
    auth.init_app(app)
    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/me", view_func=me)
    app.add_url_rule("/reports", view_func=reports)
    return app


def home() -> ResponseReturnValue:
    return jsonify(signed_in=bool(current_principal))


@login_required
def me() -> ResponseReturnValue:
    return jsonify(account=current_principal.subject, session=current_principal.session_id)


@requires("role:analyst")
def reports() -> ResponseReturnValue:
    return jsonify(["for analysts only"])
