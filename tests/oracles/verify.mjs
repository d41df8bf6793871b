// Reads a list of {token, jwk, issuer, audience, now} from standard input; answers with a list of {claims} or {error}.
import { stdin, stdout } from "node:process";
import { text } from "node:stream/consumers";
import { importJWK, jwtVerify } from "jose";

const verify = async ({ token, jwk, issuer, audience, now }) => {
  const options = { algorithms: [jwk.alg], issuer, audience, typ: "at+jwt", currentDate: new Date(now * 1000) };
  try {
    return { claims: (await jwtVerify(token, await importJWK(jwk), options)).payload };
  } catch (error) {
    return { error: String(error) };
  }
};

stdout.write(JSON.stringify(await Promise.all(JSON.parse(await text(stdin)).map(verify))));
