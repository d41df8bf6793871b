"""Flask-JWT-Extended by its defaults: HS256, no look-up of a user, no revocation."""

from credential import hand_over
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, create_access_token, get_jwt, get_jwt_identity, jwt_required

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = "the secret of a peer in benchmarks, thirty-two bytes long"
JWTManager(app)


@app.get("/")
def home() -> ResponseReturnValue:
    return jsonify(hello="world")


@app.get("/me")
@jwt_required()
def me() -> ResponseReturnValue:
    return jsonify(account=get_jwt_identity(), session=get_jwt()["jti"])


with app.app_context():
    hand_over("Authorization: Bearer " + create_access_token(identity="acc_0123456789abcdefghij"))
