// What the applications in Express have in common: a page for anybody, and a signed-in caller to be asked with.
import { writeFileSync } from "node:fs";
import express from "express";

const { WAY, CREDENTIAL, PORT } = process.env;
export const way = WAY;
export const origin = `http://127.0.0.1:${PORT}`;

export function application() {
  const app = express();
  app.get("/", (_, response) => {
    response.json({ hello: "world" });
  });
  return app;
}

// Before the application listens: who finds it there may sign in with this at once.
export function handOver(response) {
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";", 1)[0]);
  writeFileSync(CREDENTIAL, `Cookie: ${cookies.join("; ")}`);
}

export const serve = (app) => app.listen(Number(PORT), "127.0.0.1");
