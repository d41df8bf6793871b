import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const run = (code: string) =>
  promisify(execFile)(process.execPath, ["--input-type=module", "--eval", code], { cwd: import.meta.dirname, timeout: 60_000 });

test("where a page is rendered on a server, nobody is signed in, nothing is asked, and the process may end", async () => {
  const { stdout, stderr } = await run(`
    import { createClient } from "../src/client.ts";
    globalThis.fetch = () => { throw new Error("asked") };
    const client = createClient({ base: "/auth" });
    const unknown = client.snapshot();
    console.log(unknown, await client.session(), await client.token());
  `);
  assert.equal(stdout, "undefined null null\n");
  assert.equal(stderr, "");
});

test("the React hook renders an unknown session on a server", async () => {
  const { stdout } = await run(`
    import { createElement } from "react";
    import { renderToString } from "react-dom/server";
    import { createClient } from "../src/client.ts";
    import { useSession } from "../react/index.ts";
    const client = createClient();
    await client.session();
    const Who = () => createElement("p", null, String(useSession(client)));
    console.log(renderToString(createElement(Who)));
  `);
  assert.equal(stdout, "<p>undefined</p>\n");
});
