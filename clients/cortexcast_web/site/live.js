/** What is known of one session: its products, their last seconds, its markers and its health. Pure. */

import { Ring } from "./ring.js";
import { FLAGS } from "./wire.js";

/**
 * @typedef {import("./client.js").Product} Product
 * @typedef {import("./client.js").Status} Status
 * @typedef {Pick<import("./client.js").Marker, "label" | "time">} Mark
 * @typedef {import("./wire.js").Frame} Frame
 */

/** Seconds that are kept: of what is drawn as traces, and of what comes a few times a second. */
const FAST_S = 22;
const SLOW_S = 120;
const SLOW_HZ = 20;

const MARKS = 200;
const LATENCIES = 500;

/** Later than this it is no latency: the clocks of two machines differ, or a replay does not run at its own speed. */
const LATEST_S = 30;

export class Live {
  /** @type {Map<string, Product>} by name */
  products;
  /** @type {Map<string, Ring>} by product's name */
  rings = new Map();
  /** @type {Map<string, Frame>} the newest, by product's name */
  latest = new Map();
  /** @type {Mark[]} markers and gaps in time, as they came */
  marks = [];
  #isConnected = true;
  /** @type {Status | null} */
  status = null;
  /** Frames that this page did not get, over all connections. */
  dropped = 0;
  /** Of them, those of connections before. */
  #droppedBefore = 0;
  /** Name of the product whose frames come most often, the first of them. */
  #fastest;
  /** @type {number[]} of the last frames, in seconds */
  #latencies = [];

  /** @param {Product[]} products of one session */
  constructor(products) {
    this.session = products[0].session;
    this.products = new Map(products.map((product) => [product.product, product]));
    this.#fastest = products.reduce((one, other) =>
      other.rate_hz / other.hop > one.rate_hz / one.hop ? other : one,
    ).product;
    for (const { product, channels, rate_hz } of products) {
      this.rings.set(product, new Ring(channels.length, rate_hz, rate_hz < SLOW_HZ ? SLOW_S : FAST_S));
    }
  }

  /**
   * @param {Frame} frame
   * @param {Product} product of this session
   * @param {number} clock LSL time now, as far as this machine knows it
   */
  push(frame, product, clock) {
    this.rings.get(product.product)?.push(frame);
    this.latest.set(product.product, frame);
    // First samples go on across a gap in time: without a mark nobody would see it.
    if (product.product === this.#fastest && frame.flags & FLAGS.GAP) {
      this.mark({ label: "gap", time: frame.t0 });
    }
    const newestNeeded = frame.t0 + (frame.nSamples - 1) / product.rate_hz + product.delay_s;
    this.#latencies.push(clock - newestNeeded);
    if (this.#latencies.length > LATENCIES) this.#latencies.shift();
  }

  /** @param {Mark} mark */
  mark(mark) {
    this.marks.push(mark);
    if (this.marks.length > MARKS) this.marks.shift();
  }

  /**
   * From the newest EEG sample that a frame needed to its arrival here, in seconds; null where clocks cannot tell.
   *
   * @param {number} share of frames that were not later
   */
  latency(share) {
    const ordered = this.#latencies.toSorted((one, other) => one - other);
    const found = ordered[Math.ceil(share * ordered.length) - 1];
    return found > 0 && found < LATEST_S ? found : null;
  }

  /** Whether what is known is of now: the daemon is there, and samples come. */
  get isCurrent() {
    return this.#isConnected && (this.status === null || this.status.state === "live");
  }

  /** @param {boolean} isConnected whether the daemon is there */
  connect(isConnected) {
    // It counts losses anew on each connection.
    if (isConnected && !this.#isConnected) this.#droppedBefore = this.dropped;
    this.#isConnected = isConnected;
  }

  get isConnected() {
    return this.#isConnected;
  }

  /** @param {Status} status of this session */
  hear(status) {
    this.status = status;
    const now = Object.values(status.dropped).reduce((sum, n) => sum + n, 0);
    this.dropped = this.#droppedBefore + now;
  }
}
