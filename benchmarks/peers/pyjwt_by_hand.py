"""FastAPI with PyJWT by hand, as its tutorial has it, but ES256 and no look-up of a user."""

import time
from typing import Annotated

import jwt
from credential import hand_over
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer

ISSUER = "http://127.0.0.1:8000"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = PRIVATE.public_key()

app = FastAPI()
scheme = OAuth2PasswordBearer(tokenUrl="token")


def who(token: Annotated[str, Depends(scheme)]) -> dict[str, str]:
    try:
        claims = jwt.decode(token, PUBLIC, algorithms=["ES256"], issuer=ISSUER, audience=ISSUER)
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    return {"account": claims["sub"], "session": claims["sid"]}


async def awho(token: Annotated[str, Depends(scheme)]) -> dict[str, str]:
    """In the event loop: a dependency by ``def`` would cost a thread."""
    return who(token)


@app.get("/")
async def home() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/me")
async def me(caller: Annotated[dict[str, str], Depends(awho)]) -> dict[str, str]:
    return caller


NOW = int(time.time())
CLAIMS = {"iss": ISSUER, "aud": ISSUER, "sub": "acc_0123456789abcdefghij", "sid": "ses_0123456789abcdefghij"}
hand_over("Authorization: Bearer " + jwt.encode({**CLAIMS, "iat": NOW, "exp": NOW + 3600}, PRIVATE, algorithm="ES256"))
