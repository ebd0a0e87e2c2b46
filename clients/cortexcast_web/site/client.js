/**
 * A subscription to a cortexcast daemon that survives lost connections. For browsers, and for Node from 22 on; older
 * ones need a WebSocket class, as of the package `ws`, in `options.WebSocket`.
 *
 *     import { Client } from "./client.js";
 *
 *     const client = new Client("ws://127.0.0.1:8765/ws", ["meg"], {
 *       frame: (frame, product) => console.log(product.channels[0].name, frame.data[0]),
 *     });
 */

import { decode, SUBPROTOCOL, WireError } from "./wire.js";

/**
 * @typedef {import("./wire.js").Frame} Frame
 *
 * @typedef {object} Channel
 * @property {string} name
 * @property {string} type `eeg`, `mag`, `grad`, `bold`, `embedding` or `label`
 * @property {string} unit `V`, `T`, `T/m`, `%`, or `1` of what has none
 * @property {number[]} location in metres: 3 numbers (head coordinates; of `bold` MNI's), FIFF's 12, or none
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {string} version
 * @property {string} digest
 * @property {string} trained_on `physics`, `simulated` or `recorded`
 *
 * @typedef {object} Product
 * @property {number} index
 * @property {string} session
 * @property {string} stream
 * @property {string} product `eeg`, `meg`, `fmri`, `stimulus` or `meg_recorded`
 * @property {number} rate_hz
 * @property {number} hop samples a frame
 * @property {number} delay_s the newest EEG sample that a frame needed is this much younger than its last sample
 * @property {Channel[]} channels in the order of the frames' rows
 * @property {Model | null} model
 * @property {boolean} replayed
 * @property {boolean} simulated no brain was measured: the source says so
 *
 * @typedef {object} Agreement
 * @property {number} seconds
 * @property {Record<string, number>} explained_variance
 * @property {Record<string, number>} median_r
 *
 * @typedef {object} Status
 * @property {string} session
 * @property {"live" | "stalled" | "lost" | "failed" | "ended"} state
 * @property {string | null} error
 * @property {number} samples_in
 * @property {number} samples_out
 * @property {number} gaps
 * @property {number} missing_s
 * @property {number} restarts
 * @property {number | null} rate_hz
 * @property {number | null} sample_age_s
 * @property {number} clock_offset seconds to add to the LSL clock to get Unix time, now
 * @property {Record<string, number> | null} latency_ms
 * @property {string[]} bad_channels
 * @property {string[]} interpolated
 * @property {string[]} notes
 * @property {Agreement | null} agreement
 * @property {Record<string, number>} dropped by product index
 *
 * @typedef {object} Marker
 * @property {string} session
 * @property {string} stream
 * @property {string} label
 * @property {number} time seconds of the LSL clock
 * @property {number} clock_offset
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} State `waiting`: lost, to be tried again
 *
 * @typedef {object} Handlers What to call; each is optional.
 * @property {(frame: Frame, product: Product) => void} [frame]
 * @property {(products: Product[]) => void} [products] whenever the list changed
 * @property {(status: Status) => void} [status]
 * @property {(marker: Marker) => void} [marker]
 * @property {(state: State, reason: string) => void} [state]
 * @property {(error: {code: string, message: string}) => void} [error] the daemon refused what was asked for
 *
 * @typedef {object} Options
 * @property {string} [session] the id of one session; else every one, those to come as well
 * @property {any} [WebSocket] the class to use
 */

/** Seconds of data between two acknowledgements: a twentieth of what a daemon lets be under way. */
const ACK_S = 0.1;

/** Of a session that runs a daemon tells the status every second: after so long without a word the connection is dead. */
const SILENCE_MS = 5_000;
const WATCH_MS = 1_000;

const FIRST_WAIT_MS = 250;

/** With what chance adds, much less than what a daemon keeps for who was away: 10 s, unless it is told otherwise. */
const LONGEST_WAIT_MS = 1_000;

export class Client {
  /** @type {Product[]} what the daemon offers now */
  products = [];
  /** Seconds to add to the daemon's LSL clock, in which `frame.t0` is, to get Unix time. */
  clockOffset = 0;
  /** The daemon's version, once it is known. */
  daemonVersion = "";
  /** @type {State} */
  state = "connecting";
  /** When an acknowledgement was last sent, by `Date.now()`; 0 before the first. */
  acknowledged = 0;
  /** Bytes of frames that arrived, over all connections. */
  bytes = 0;

  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<number, Product>} those announced on this connection: a frame may follow its product's end */
  #announced = new Map();
  /** @type {Map<string, number>} by session and product, the last sequence number handled */
  #last = new Map();
  /** @type {Map<number, number>} by product index */
  #unacknowledged = new Map();
  /** @type {Map<string, Status["state"]>} by session, as told on this connection */
  #states = new Map();
  #closed = false;
  #waitMs = FIRST_WAIT_MS;
  #heard = 0;
  #looked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval>} */
  #watch;
  /** @type {string} */
  #reason = "";

  /**
   * @param {string} url the daemon's, `ws://HOST:PORT/ws`
   * @param {string[]} names of products
   * @param {Handlers} handlers
   * @param {Options} [options]
   */
  constructor(url, names, handlers, options = {}) {
    this.url = url;
    this.names = names;
    this.handlers = handlers;
    this.session = options.session;
    this.WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.WebSocket) throw new TypeError("there is no WebSocket here: give one, as of the package ws");
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    // Not before whoever makes it has it.
    queueMicrotask(() => this.#closed || this.#connect());
  }

  /**
   * Asks for other products from here on.
   *
   * @param {string[]} names none, to get nothing
   * @param {string} [session]
   */
  subscribe(names, session) {
    this.names = names;
    this.session = session;
    // What is not wanted now is not missed when it is wanted again.
    for (const each of this.#last.keys()) {
      const [of, name] = each.split("/");
      if (!names.includes(name) || (session !== undefined && session !== of)) this.#last.delete(each);
    }
    if (this.state === "open") this.#subscribe();
  }

  /** Ends it for good. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#leave();
    this.#become("closed", "");
  }

  #connect() {
    this.#become("connecting", this.#reason);
    // Whoever heard that may have closed it.
    if (this.#closed) return;
    const socket = new this.WebSocket(this.url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heard = this.#looked = Date.now();
    // What an abandoned socket still says is not of this connection.
    /** @param {MessageEvent} event */
    socket.onmessage = (event) => this.#socket === socket && this.#receive(event.data);
    /** @param {CloseEvent} event */
    socket.onclose = (event) => this.#socket === socket && this.#lost(event.reason);
    socket.onerror = () => undefined; // a close follows
  }

  #leave() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** @param {string} reason */
  #lost(reason) {
    this.#leave();
    this.#reason = reason || this.#reason || "no daemon answers";
    this.#become("waiting", this.#reason);
    if (this.#closed) return;
    // Many clients of one daemon shall not all come back at the same moment.
    this.#retry = setTimeout(() => this.#connect(), this.#waitMs * (0.5 + Math.random()));
    this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
  }

  /** @param {string} text */
  #say(text) {
    if (this.#socket?.readyState === 1) this.#socket.send(text);
  }

  #look() {
    const now = Date.now();
    // After sleep, what came meanwhile is read first.
    if (now - this.#looked > SILENCE_MS / 2) this.#heard = now;
    this.#looked = now;
    // A session that has failed says no more, and one that looks for its headset says little.
    const runs = [...this.#states.values()].some((state) => state === "live" || state === "stalled");
    const expected = this.state === "connecting" || (this.names.length > 0 && runs);
    if (this.#socket && expected && now - this.#heard > SILENCE_MS) this.#lost("the daemon went silent");
  }

  /** @param {string | ArrayBuffer} message */
  #receive(message) {
    this.#heard = Date.now();
    if (typeof message !== "string") {
      this.#receiveFrame(message);
      return;
    }
    const content = JSON.parse(message);
    switch (content.type) {
      case "hello":
        this.#greet(content);
        break;
      case "products":
        this.#announce(content.products);
        break;
      case "status":
        this.clockOffset = content.clock_offset;
        this.#states.set(content.session, content.state);
        this.handlers.status?.(content);
        break;
      case "marker":
        this.handlers.marker?.(content);
        break;
      case "error":
        this.handlers.error?.(content);
        break;
      case "bye":
        this.#reason = content.reason;
        break;
      default: // a newer daemon's: its loss does no harm
    }
  }

  /** @param {{version: string, clock_offset: number, products: Product[]}} hello */
  #greet(hello) {
    this.daemonVersion = hello.version;
    this.clockOffset = hello.clock_offset;
    this.#reason = "";
    this.#waitMs = FIRST_WAIT_MS;
    this.#announced.clear();
    this.#states.clear();
    const offered = new Set(hello.products.map(key));
    for (const each of this.#last.keys()) if (!offered.has(each)) this.#last.delete(each);
    this.state = "open";
    this.#subscribe();
    this.#become("open", "");
    this.#announce(hello.products);
  }

  #subscribe() {
    this.#unacknowledged.clear();
    if (!this.names.length) {
      this.#say(JSON.stringify({ type: "unsubscribe" }));
      return;
    }
    const resume = Object.fromEntries(this.#last);
    const session = this.session === undefined ? {} : { session: this.session };
    this.#say(JSON.stringify({ type: "subscribe", products: this.names, acks: true, resume, ...session }));
  }

  /** @param {Product[]} products */
  #announce(products) {
    this.products = products;
    for (const product of products) this.#announced.set(product.index, product);
    const sessions = new Set(products.map(({ session }) => session));
    for (const session of this.#states.keys()) if (!sessions.has(session)) this.#states.delete(session);
    this.handlers.products?.(products);
  }

  /** @param {ArrayBuffer} message */
  #receiveFrame(message) {
    const frame = this.#decoded(message);
    const product = frame && this.#announced.get(frame.index);
    if (!product) return;
    this.bytes += message.byteLength;
    try {
      this.handlers.frame?.(frame, product);
    } finally {
      this.#handled(frame, product);
    }
  }

  /**
   * @param {Frame} frame
   * @param {Product} product
   */
  #handled(frame, product) {
    this.#last.set(key(product), frame.sequence);
    const n = (this.#unacknowledged.get(frame.index) ?? 0) + 1;
    const due = n * product.hop >= ACK_S * product.rate_hz;
    this.#unacknowledged.set(frame.index, due ? 0 : n);
    if (due) {
      this.#say(JSON.stringify({ type: "ack", product: frame.index, sequence: frame.sequence }));
      this.acknowledged = this.#heard;
    }
  }

  /**
   * @param {ArrayBuffer} message
   * @returns {Frame | null} null, and an error told, of what cannot be read
   */
  #decoded(message) {
    try {
      const frame = decode(message);
      if (this.#announced.has(frame.index)) return frame;
      throw new WireError(`frame of product index ${frame.index}, which no message announced`);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.handlers.error?.({ code: "bad_frame", message: error.message });
      return null;
    }
  }

  /**
   * @param {State} state
   * @param {string} reason
   */
  #become(state, reason) {
    this.state = state;
    this.handlers.state?.(state, reason);
  }
}

/** @param {Product} product */
function key(product) {
  return `${product.session}/${product.product}`;
}
