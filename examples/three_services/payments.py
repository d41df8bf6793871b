from flask import Flask, g

from doorward.web.verifier.flask import Verifier

verifier = Verifier(
    issuer="http://127.0.0.1:8000",
    audience="shop",
    insecure_http=True,  # on one machine; elsewhere the issuer has TLS
)
app = Flask(__name__)
verifier.init_app(app)


# Money moves here: while it is not known who has signed out within the last seconds, the answer is 503.
@app.post("/payments")
@verifier.requires(scopes={"payments:write"}, revocation="immediate")
def pay() -> dict[str, str]:
    return {"paid_by": g.principal.subject}
