"""Flask, without authentication or with Doorward's extension."""

from __future__ import annotations

from credential import WAY, WHO
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from doorward.web.flask import Doorward, current_principal, login_required

app = Flask(__name__)


@app.get("/")
def home() -> ResponseReturnValue:
    return jsonify(hello="world")


if WAY == "none":

    @app.get("/me")
    def anyone() -> ResponseReturnValue:
        return jsonify(WHO)

else:
    from deployment import DATABASE, OPTIONS, SECRET, sign_in

    sign_in()
    Doorward(DATABASE, secret=SECRET, **OPTIONS).init_app(app)

    @app.get("/me")
    @login_required
    def me() -> ResponseReturnValue:
        return jsonify(account=current_principal.subject, session=current_principal.session_id)
