/** The parts of a browser that the client uses. */

import { makeClock } from "./clock.ts";

/** What a test can replace. */
export interface Environment {
  fetch: typeof fetch;
  /** Milliseconds of a clock that is never set back. */
  now: () => number;
  sleep: (milliseconds: number) => Promise<void>;
  /** Ends a call that takes too long. */
  timeout: (milliseconds: number) => AbortSignal;
  /** From 0 to 1. */
  random: () => number;
  locks: Pick<LockManager, "request"> | undefined;
  channel: ((name: string) => BroadcastChannel) | undefined;
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined;
}

/** Settle as `work` does, or reject as soon as the signal is aborted. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return work;
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
  return Promise.race([aborted, work]).finally(() => signal.removeEventListener("abort", stop));
}

/** Nothing is shared with other tabs. */
export const ALONE = { locks: undefined, channel: undefined, storage: undefined };

/** What a page or a worker finds.  Elsewhere there are no tabs, and an open channel would keep a Node process alive. */
export function browser(): Environment {
  return {
    fetch: (input, init) => fetch(input, init),
    now: makeClock(),
    sleep: (milliseconds) => new Promise((done) => setTimeout(done, milliseconds)),
    timeout: (milliseconds) => AbortSignal.timeout(milliseconds),
    random: Math.random,
    ...(globalThis.location ? shared() : ALONE),
  };
}

function shared(): Pick<Environment, keyof typeof ALONE> {
  let storage: Environment["storage"];
  try {
    storage = globalThis.localStorage;
  } catch {
    // A page that may keep nothing.
  }
  return {
    locks: globalThis.navigator?.locks,
    channel: globalThis.BroadcastChannel && ((name) => new BroadcastChannel(name)),
    storage,
  };
}
