"""Flask-Security with its refresh tokens, on PostgreSQL; tokens in bodies, as for a client that is no browser."""

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from flask_security import RefreshTrackerMixin, Security, SQLAlchemyUserDatastore, auth_required, current_user
from flask_security.models import fsqla_v4 as fsqla
from flask_security.tokens import new_refresh_tracker
from flask_sqlalchemy import SQLAlchemy
from seeds import DATABASE, EMAILS, OWNER, PASSWORD, SESSIONS, hand_over_tokens

app = Flask(__name__)
app.config |= {
    "SECRET_KEY": "a key for benchmarks alone, of no use to anybody",
    "SECURITY_PASSWORD_SALT": "a salt for benchmarks alone",
    "SQLALCHEMY_DATABASE_URI": DATABASE.replace("postgresql://", "postgresql+psycopg://"),
    "SECURITY_REFRESH_TOKEN": True,
    "SECURITY_REFRESH_TOKEN_COOKIE_NAME": None,
    "SECURITY_CHANGEABLE": True,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    # Checking passwords is not what is compared.
    "SECURITY_PASSWORD_HASH": "plaintext",
    "SECURITY_PASSWORD_SCHEMES": ["plaintext"],
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    # Tokens alone, no cookies.
    "WTF_CSRF_ENABLED": False,
}
db = SQLAlchemy(app)
fsqla.FsModels.set_db_info(db)


class Role(db.Model, fsqla.FsRoleMixin):
    pass


class User(db.Model, fsqla.FsUserMixin):
    pass


class FsRefreshTracker(db.Model, fsqla.FsRefreshTrackerMixin):
    pass


assert issubclass(FsRefreshTracker, RefreshTrackerMixin)
users = SQLAlchemyUserDatastore(db, User, Role, refresh_tracker_model=FsRefreshTracker)
security = Security(app, users)


@app.get("/")
def home() -> ResponseReturnValue:
    return jsonify(hello="world")


@app.get("/me")
@auth_required("token")
def me() -> ResponseReturnValue:
    return jsonify(account=str(current_user.id))


@app.post("/everywhere")
@auth_required("token")
def everywhere() -> ResponseReturnValue:
    """Its helper for ending all access of a user."""
    users.reset_user_access(current_user)
    users.commit()
    return jsonify({})


with app.app_context():
    db.create_all()
    for email in (OWNER, *EMAILS):
        # Hashed, where "hashed" is as it is.
        users.create_user(email=email, password=PASSWORD)
    users.commit()
    owner = users.find_user(email=OWNER)
    with app.test_request_context():
        hand_over_tokens([new_refresh_tracker(owner, name="default")[1] for _ in range(SESSIONS)])
    users.commit()
