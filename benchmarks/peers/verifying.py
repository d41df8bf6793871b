"""Authlib's JWTs.  Reads what to verify from standard input, then seconds, line by line; answers each with a rate."""

import json
import sys
import time
from itertools import cycle

from authlib.jose import JsonWebKey, JsonWebToken

AT_ONCE = 50

job = json.loads(sys.stdin.readline())
tokens, key = cycle(job["tokens"]), JsonWebKey.import_key(job["jwk"])
jwt = JsonWebToken([job["algorithm"]])
options = {name: {"essential": True} for name in job["required"]}
options["iss"]["value"], options["aud"]["value"] = job["issuer"], job["audience"]

for line in sys.stdin:
    seconds = float(line)
    done, begun = 0, time.thread_time()
    while (passed := time.thread_time() - begun) < seconds:
        for _ in range(AT_ONCE):
            jwt.decode(next(tokens), key, claims_options=options).validate()
        done += AT_ONCE
    print(done / passed, flush=True)
