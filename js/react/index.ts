/** The session in React. */

import { useEffect, useSyncExternalStore } from "react";
import type { Client, Session } from "../src/client.ts";

const unknown = () => undefined;

/**
 * Returns who is signed in: `null` where nobody is, `undefined` until the server has answered, which is also what a page
 * shows that is rendered on a server.  The component renders again when that changes, in whichever tab.
 */
export function useSession(client: Client): Session | null | undefined {
  useEffect(() => {
    // Where the server does not answer, the session stays unknown; `client.session()` asks again and says why.
    client.session().catch(unknown);
  }, [client]);
  return useSyncExternalStore(client.subscribe, client.snapshot, unknown);
}
