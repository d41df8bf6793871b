from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from flask import Blueprint, Flask, Response, redirect, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from doorward import errors
from doorward.accounts.model import AccountChange
from doorward.audit.model import Actor
from doorward.blocking import run_blocking
from doorward.clocks import system_clock
from doorward.errors import ConfigurationError, DoorwardError
from doorward.options import Strategy
from doorward.web.flask import Doorward, current_principal, doorward_of, login_required, next_page, requires
from tests.web.gunicorn import a_gunicorn
from tests.web.misconfigured import MISCONFIGURED, NOT_TO_BE_ASKED_FOR, WITHOUT_A_SECRET

EXAMPLE = Path(__file__).parents[2] / "examples" / "flask_app.py"
PERSON = {"email": "ada@example.com", "password": "a walrus in seven teapots"}
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@contextmanager
def serving(app: Flask) -> Iterator[FlaskClient]:
    yield app.test_client()
    run_blocking(doorward_of(app).close())


def in_memory(app: Flask, **settings: Any) -> Flask:
    app.config.from_mapping(
        {
            "DOORWARD_DATABASE": "memory:",
            "DOORWARD_INSECURE_FAST_HASHING": True,
            "DOORWARD_RATE_LIMITS": False,
            **settings,
        }
    )
    return app


def example(strategy: str) -> Flask:
    spec = importlib.util.spec_from_file_location("flask_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Nothing of the example is changed: the settings come as a deployment gives them.
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FLASK_DOORWARD_DATABASE", "memory:")
        patched.setenv("FLASK_DOORWARD_STRATEGY", strategy)
        patched.setenv("FLASK_DOORWARD_INSECURE_FAST_HASHING", "true")
        app: Flask = module.create_app()
    return app


@pytest.fixture
def pages() -> Iterator[FlaskClient]:
    """An app that renders its pages itself."""
    auth = Doorward(strategy="session", sign_in_view="sign_in")
    app = in_memory(Flask(__name__))
    auth.init_app(app)

    @app.route("/sign-in", methods=["GET", "POST"])
    def sign_in() -> ResponseReturnValue:
        if request.method == "GET":
            return "<form method=post>"
        try:
            signed_in = auth.sign_in(
                email=request.form["email"],
                password=request.form["password"],
                remember="remember" in request.form,
            )
        except DoorwardError as refused:
            return refused.public, 401
        assert current_principal.session_id == signed_in.session.id
        return redirect(next_page("/mine"))

    @app.post("/sign-out")
    def sign_out() -> ResponseReturnValue:
        auth.sign_out()
        assert not current_principal
        return redirect("/sign-in")

    @app.get("/mine")
    @login_required
    def mine() -> str:
        account = auth.run(lambda doorward: doorward.account(current_principal.subject))
        return account.email

    @app.post("/mine")
    @login_required
    def change() -> str:
        return "changed"

    with serving(app) as browser:
        assert browser.post("/auth/v1/accounts", json=PERSON).status_code == 201
        yield browser


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_the_example_is_the_same_application_under_every_strategy(strategy: str) -> None:
    app = example(strategy)
    with serving(app) as browser:
        assert browser.post("/auth/v1/accounts", json=PERSON).status_code == 201
        refused = browser.get("/me")
        assert (refused.status_code, refused.get_json()["code"]) == (401, "not_authenticated")
        assert (refused.content_type, refused.headers["www-authenticate"]) == ("application/problem+json", "Bearer")
        signed_in = browser.post("/auth/v1/sessions", json=PERSON).get_json()
        token = signed_in.get("access_token")
        bearer = {"authorization": f"Bearer {token}"} if token else {}
        account, session = signed_in["account"]["id"], signed_in["session"]["id"]
        assert browser.get("/", headers=bearer).get_json() == {"signed_in": True}
        assert browser.get("/me", headers=bearer).get_json() == {"account": account, "session": session}
        refused = browser.get("/reports", headers=bearer)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "not_permitted")
        with app.app_context():
            auth = doorward_of(app)
            run_blocking(auth.change_account(account, AccountChange(roles=("analyst",)), actor=Actor()))
        signed_in = browser.post("/auth/v1/sessions", json=PERSON).get_json()
        bearer = {"authorization": f"Bearer {signed_in['access_token']}"} if token else {}
        assert browser.get("/reports", headers=bearer).status_code == 200
        same_site = {"sec-fetch-site": "same-origin", **bearer}
        assert browser.delete("/auth/v1/sessions/current", headers=same_site).status_code == 204
        assert browser.get("/me", headers=bearer).status_code == 401
        assert browser.get("/", headers=bearer).get_json() == {"signed_in": False}


def test_several_apps_of_one_factory_have_a_deployment_each() -> None:
    auth = Doorward(strategy="session")
    one, other = in_memory(Flask("one")), in_memory(Flask("other"), DOORWARD_STRATEGY="jwt")
    for app in (one, other):
        auth.init_app(app)
    with serving(one) as here, serving(other) as there:
        here.post("/auth/v1/accounts", json=PERSON)
        there.post("/auth/v1/accounts", json=PERSON)
        assert "access_token" not in here.post("/auth/v1/sessions", json=PERSON).get_json()
        assert "access_token" in there.post("/auth/v1/sessions", json=PERSON).get_json()
    with pytest.raises(RuntimeError, match="has no Doorward"):
        doorward_of(Flask("none"))


def test_a_page_that_needs_signing_in_leads_there_and_back(pages: FlaskClient) -> None:
    asked = pages.get("/mine?tab=2", headers=PAGE)
    assert (asked.status_code, asked.location) == (303, "/sign-in?next=/mine?tab%3D2")
    form = {"data": PERSON, "headers": {"sec-fetch-site": "same-origin"}}
    answer = pages.post(str(asked.location), **form)
    assert answer.location == "/mine?tab=2"
    assert re.search(r"^doorward_session=\S+; Path=/; HttpOnly; Secure; SameSite=Lax$", answer.headers["set-cookie"])
    assert answer.headers["cache-control"] == "no-store"
    assert pages.get("/mine").text == "ada@example.com"
    assert pages.post("/sign-out", headers={"sec-fetch-site": "same-origin"}).status_code == 302
    assert pages.get("/mine", headers=PAGE).status_code == 303
    assert pages.get("/mine").get_json()["code"] == "not_authenticated"  # who asks for no page is told
    assert pages.post("/mine", headers=PAGE).status_code == 401  # what was sent would be lost on the way


def test_whoever_asks_to_stay_signed_in_has_a_cookie_that_is_kept(pages: FlaskClient) -> None:
    data = {**PERSON, "remember": "on"}
    answer = pages.post("/sign-in", data=data, headers={"sec-fetch-site": "same-origin"})
    assert re.search(r"; Max-Age=\d+; ", answer.headers["set-cookie"])


def test_signing_in_by_form_ends_what_was_in_the_browser_before(pages: FlaskClient) -> None:
    form = {"data": PERSON, "headers": {"sec-fetch-site": "same-origin"}}
    pages.post("/sign-in", **form)
    planted = pages.get_cookie("doorward_session")
    assert planted is not None
    pages.post("/sign-in", **form)
    assert pages.get_cookie("doorward_session") != planted
    pages.set_cookie("doorward_session", planted.value)
    assert pages.get("/mine").get_json()["code"] in {"session_ended", "not_authenticated"}


def test_a_foreign_page_signs_nobody_in_or_out_and_changes_nothing(pages: FlaskClient) -> None:
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    refused = pages.post("/sign-in", data=PERSON, headers=foreign)
    assert (refused.status_code, refused.headers.get("set-cookie")) == (401, None)
    pages.post("/sign-in", data=PERSON, headers={"sec-fetch-site": "same-origin"})
    for path in ("/sign-out", "/mine"):
        refused = pages.post(path, headers=foreign)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "csrf_failed")
    assert pages.post("/mine", headers={"sec-fetch-site": "same-origin"}).text == "changed"


@pytest.mark.parametrize(
    ("asked", "goes_to"),
    [
        ("/inbox?page=2", "/inbox?page=2"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\/evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("inbox", "/"),
    ],
)
def test_after_signing_in_nobody_is_led_to_another_site(asked: str, goes_to: str) -> None:
    with Flask(__name__).test_request_context("/sign-in", query_string={"next": asked}):
        assert next_page() == goes_to


def test_a_view_may_want_a_recent_proof_or_fresh_knowledge_and_may_be_asynchronous() -> None:
    app = in_memory(Flask(__name__), DOORWARD_STRATEGY="session")
    Doorward().init_app(app)

    @app.get("/secret")
    @requires(fresh=timedelta(minutes=5), revocation="immediate")
    async def secret() -> str:
        return "told"

    auth = doorward_of(app)
    auth._clock = lambda: system_clock() + passed
    passed = timedelta(0)
    with serving(app) as browser:
        browser.post("/auth/v1/accounts", json=PERSON)
        browser.post("/auth/v1/sessions", json=PERSON)
        assert browser.get("/secret").text == "told"
        passed = timedelta(minutes=5, seconds=1)
        refused = browser.get("/secret")
        assert (refused.status_code, refused.get_json()["max_age"]) == (401, 300)


def test_what_is_required_is_spelt_out_where_the_view_is_declared() -> None:
    for wrong in ("admin", "roles:admin", ""):
        with pytest.raises(ValueError, match='say "role:admin"'):
            requires(wrong)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"DOORWARD_STRATEGEY": "jwt"}, r"DW060: DOORWARD_STRATEGEY .* Did you mean DOORWARD_STRATEGY\?"),
        ({"DOORWARD_RATE_LIMITS": "off"}, r"DW061: DOORWARD_RATE_LIMITS cannot be read\. Give a bool"),
        ({"DOORWARD_ACCESS_LIFETIME": "an hour"}, r"DW061: DOORWARD_ACCESS_LIFETIME cannot be read\. Give a timedelta"),
        ({"DOORWARD_CORS_ORIGINS": "https://a.example"}, "DW061: DOORWARD_CORS_ORIGINS"),
        ({"DOORWARD_SIGNING_ALGORITHM": "none"}, "DW061: DOORWARD_SIGNING_ALGORITHM"),
        ({"DOORWARD_ACCESS_LIFETIME": 86_400}, "DW010"),
        ({"DOORWARD_SIGN_IN_VIEW": "sign_in", "DOORWARD_STRATEGY": "hybrid"}, "DW101"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_when_the_app_is_made(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Doorward().init_app(in_memory(Flask(__name__), **settings))


@pytest.mark.parametrize(("options", "told"), MISCONFIGURED)
def test_no_app_is_made_of_what_would_be_unsafe(options: dict[str, Any], told: str) -> None:
    settings = {f"DOORWARD_{name.upper()}": value for name, value in options.items()}
    with pytest.raises(ConfigurationError, match=told):
        Doorward().init_app(in_memory(Flask(__name__), **settings))


def test_a_server_in_production_has_a_secret_and_nothing_lets_a_cookie_go_further() -> None:
    with pytest.raises(ConfigurationError, match=r"DW053: .* Give all servers the same in DOORWARD_SECRET"):
        Doorward(WITHOUT_A_SECRET).init_app(Flask(__name__))
    for name in NOT_TO_BE_ASKED_FOR:
        with pytest.raises(ConfigurationError, match=f"DW060: DOORWARD_{name.upper()}"):
            Doorward().init_app(in_memory(Flask(__name__), **{f"DOORWARD_{name.upper()}": "None"}))


def test_the_variables_of_a_kubernetes_service_are_no_settings() -> None:
    app = in_memory(Flask(__name__), DOORWARD_SERVICE_HOST="10.0.0.1", DOORWARD_PORT="tcp://10.0.0.1:80")
    Doorward().init_app(app)
    assert doorward_of(app).options.strategy == "hybrid"


def test_settings_are_read_as_they_are_written_in_python_and_in_an_environment() -> None:
    app = in_memory(
        Flask(__name__),
        DOORWARD_ACCESS_LIFETIME=120,
        DOORWARD_SESSION_IDLE=timedelta(hours=1),
        DOORWARD_SECRET=["the newer secret of this deployment", "the older secret of this deployment"],
        DOORWARD_ADMIN_KEY="an-admin-key-that-nobody-guesses",
        DOORWARD_CORS_ORIGINS=["https://a.example"],
        DOORWARD_SIGNING_ALGORITHM="EdDSA",
    )
    Doorward().init_app(app)
    options = doorward_of(app).options
    assert (options.access_lifetime, options.session_idle) == (timedelta(minutes=2), timedelta(hours=1))
    assert options.cors_origins == ("https://a.example",)
    assert "nobody-guesses" not in repr(options)


def test_the_commands_work_on_the_apps_own_deployment(tmp_path: Path) -> None:
    app = in_memory(Flask(__name__), DOORWARD_DATABASE=f"sqlite:///{tmp_path}/app.db")
    Doorward().init_app(app)
    runner = app.test_cli_runner()

    def command(*arguments: str, **options: Any) -> Any:
        from doorward.cli.flask_command import command as doorward

        return runner.invoke(doorward, arguments, **options)

    assert "Migrated from nothing" in command("migrate").output
    created = command(
        "accounts", "create", PERSON["email"], "--role", "admin", "--password-stdin", input=PERSON["password"]
    )
    assert (created.exit_code, "ada@example.com is open" in created.output) == (0, True)
    assert "ada@example.com" in command("accounts", "list").output
    assert command("accounts", "disable", "nobody@example.com").exit_code == 1
    other = command("accounts", "list", "--database", "sqlite:///other.db")
    assert (other.exit_code, "DW102" in other.output) == (2, True)
    helped = command("--help").output
    assert "Usage: flask doorward" in helped
    assert "serve" not in helped


def test_a_real_server_with_forked_workers_serves_the_example(tmp_path: Path) -> None:
    import httpx

    environment = {"FLASK_DOORWARD_INSECURE_FAST_HASHING": "true", "FLASK_DOORWARD_STRATEGY": "session"}
    with (
        a_gunicorn("flask_app:create_app()", tmp_path, ready="/auth/readyz", **environment) as address,
        httpx.Client(base_url=address, timeout=30) as browser,
    ):
        assert browser.post("/auth/v1/accounts", json=PERSON).status_code == 201
        signed_in = browser.post("/auth/v1/sessions", json=PERSON)
        # The cookie is Secure, and loopback is as good as HTTPS to browsers alone.
        cookie = {"cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        for _ in range(4):
            answer = browser.get("/me", headers={**cookie, "connection": "close"})
            assert answer.json()["session"] == signed_in.json()["session"]["id"]


class ApiOfAnExtension(Blueprint):
    """Answers the exceptions of its views itself, as Flask-RESTful does: 500 to what is no ``HTTPException``."""

    def register(self, app: Any, options: dict[str, Any]) -> None:
        super().register(app, options)
        of_the_app = app.handle_user_exception

        def handle(error: Exception) -> Any:
            if request.blueprint != self.name:
                return of_the_app(error)
            if isinstance(error, HTTPException) and error.response is not None:
                return error.get_response()
            return {"message": "Internal Server Error"}, 500

        app.handle_user_exception = handle


@contextmanager
def an_app_with_an_api(**handlers: Any) -> Iterator[FlaskClient]:
    app = in_memory(Flask(__name__))
    Doorward(strategy="session").init_app(app)
    api = ApiOfAnExtension("api", __name__, url_prefix="/api")

    @api.get("/mine")
    @login_required
    def mine() -> str:
        return "mine"

    @api.get("/reports")
    @requires("role:analyst")
    def reports() -> str:
        return "reports"

    @app.get("/mine")
    @login_required
    def page() -> Response:
        return Response("mine", headers={"Vary": "Accept"})

    @app.get("/greeting")
    def greeting() -> str:
        return f"hello {bool(current_principal)}"

    @app.get("/public")
    def public() -> Response:
        return Response("hello", headers={"Vary": "Accept"})

    app.register_blueprint(api)
    for name, handler in handlers.items():
        app.register_error_handler(getattr(errors, name), handler)
    with serving(app) as browser:
        browser.post("/auth/v1/accounts", json=PERSON)
        yield browser


def test_an_extension_that_answers_exceptions_itself_passes_a_refusal_on() -> None:
    with an_app_with_an_api() as browser:
        refused = browser.get("/api/mine")
        assert (refused.status_code, refused.content_type) == (401, "application/problem+json")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.get_json()["code"] == "not_authenticated"
        browser.post("/auth/v1/sessions", json=PERSON)
        assert browser.get("/api/mine").status_code == 200
        refused = browser.get("/api/reports")
        assert (refused.status_code, refused.get_json()["code"]) == (403, "not_permitted")


def test_a_handler_of_the_applications_own_answers_a_refusal() -> None:
    with an_app_with_an_api(NotAuthenticated=lambda error: (f"no: {error.code}", 401)) as browser:
        refused = browser.get("/mine")
        assert (refused.status_code, refused.text) == (401, "no: not_authenticated")


@pytest.mark.rfc("9110", "12.5.5")
def test_an_answer_varies_where_the_view_has_looked_at_who_asks_and_nowhere_else() -> None:
    with an_app_with_an_api() as browser:
        for _ in ("a visitor", "somebody"):
            assert browser.get("/greeting").headers["vary"] == "Cookie, Authorization"
            assert browser.get("/public").headers["vary"] == "Accept"
            browser.post("/auth/v1/sessions", json=PERSON)
        assert browser.get("/mine").headers["vary"] == "Accept, Cookie, Authorization"
        browser.delete_cookie("doorward_session")
        assert browser.get("/mine").headers["vary"] == "Cookie, Authorization"
