/** What the tabs of one browser share: who may talk to the server about cookies, the news, and the attempt's key. */

import type { Environment } from "./environment.ts";

/** How long to wait for news from the tab that was served before us. */
const NEWS_WITHIN = 250;

export class Tabs<Message> {
  readonly #name: string;
  readonly #env: Environment;
  #channel: BroadcastChannel | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #key: string | undefined;

  constructor(name: string, env: Environment, hear: (message: Message) => void) {
    this.#name = name;
    this.#env = env;
    // Same origin only, by the standard.
    this.#channel = env.channel?.(name);
    this.#channel?.addEventListener("message", (event: MessageEvent<Message>) => hear(event.data));
  }

  tell(message: Message): void {
    this.#channel?.postMessage(message);
  }

  /** Neither send nor hear anything from now on. */
  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }

  /**
   * Do what reads or writes a cookie: one tab at a time, so that no late answer overwrites a newer cookie.
   *
   * Where there are no Web Locks, one at a time in this tab, after a random pause in which another tab's news may
   * come; the server's protocol keeps those harmless that are sent at once all the same.
   *
   * @param isNews whether another tab has done the work already; then `work` is not called.
   */
  async alone<T>(work: () => Promise<T>, isNews: () => boolean = () => false): Promise<T | undefined> {
    const { locks, random, sleep } = this.#env;
    const unlessDone = async (pause: number) => {
      for (let waited = 0; waited < pause && !isNews(); waited += 10) await sleep(10);
      return isNews() ? undefined : work();
    };
    if (!locks) {
      const turn = this.#queue.then(() => unlessDone(random() * 200));
      this.#queue = turn.catch(() => undefined);
      return turn;
    }
    const free = await locks.request(this.#name, { ifAvailable: true }, async (lock) => lock && [await unlessDone(0)]);
    // A tab that was served before us has told; locks and messages travel separately, so the message may be later.
    return free ? free[0] : locks.request(this.#name, () => unlessDone(NEWS_WITHIN));
  }

  /**
   * The `Idempotency-Key` of the attempt that is under way, made if there is none.
   *
   * It is kept where a reload, or the next tab if this one is closed, finds it: with it, the server knows a repetition
   * from a theft at any time.  It opens nothing: without the refresh token, which no script can read, it is noise.
   */
  attempt(): string {
    const { storage } = this.#env;
    try {
      this.#key = storage?.getItem(this.#name) ?? this.#key;
      this.#key ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
      storage?.setItem(this.#name, this.#key);
    } catch {
      // Storage is full or forbidden: the key lives as long as this tab.
    }
    return this.#key as string;
  }

  /** The attempt has its answer. */
  settled(key: string): void {
    const { storage } = this.#env;
    this.#key = undefined;
    try {
      if (storage?.getItem(this.#name) === key) storage.removeItem(this.#name);
    } catch {
      // As above.
    }
  }
}
