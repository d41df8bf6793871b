import os

from flask import Flask, g

from doorward.web.verifier.flask import Verifier

verifier = Verifier(
    issuer=os.environ.get("ISSUER", "https://auth.example.com"),
    audience="payments",
    insecure_http="ISSUER" in os.environ,  # for trying it on one machine
)
app = Flask(__name__)
verifier.init_app(app)


@app.get("/payments")
@verifier.requires()
def payments() -> dict[str, str]:
    return {"account": g.principal.subject}


@app.post("/payments")
@verifier.requires(scopes={"payments:write"}, revocation="immediate")
def pay() -> dict[str, str]:
    # Nobody who has signed out gets here: within max_staleness of it, whatever happens to the network.
    return {"paid_by": g.principal.subject}
