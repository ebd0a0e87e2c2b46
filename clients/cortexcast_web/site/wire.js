/**
 * Frames of subprotocol `cortexcast.v1` from bytes. `docs/protocol.md` describes the layout.
 *
 * Pure, for browsers and Node. Values are SI units, as the product's channels name them.
 */

export const SUBPROTOCOL = "cortexcast.v1";

/** Bits of a frame's `flags`; `docs/protocol.md` tells what each means. */
export const FLAGS = Object.freeze({
  GAP: 1 << 0,
  RESET: 1 << 1,
  INTERPOLATED: 1 << 2,
  BAD_CHANNELS: 1 << 3,
  NO_SIGNAL: 1 << 4,
  OUT_OF_DISTRIBUTION: 1 << 5,
  REPLAYED: 1 << 6,
  RESTAMPED: 1 << 7,
  TRAINED_ON_SIMULATION: 1 << 8,
  STD: 1 << 9,
});

const KIND_DATA = 1;
const VERSION = 1;
const HEADER_BYTES = 40;

/**
 * One hop of one product.
 *
 * @typedef {object} Frame
 * @property {number} index the product's, as `hello` and `products` messages give it
 * @property {number} flags see `FLAGS`
 * @property {number} sequence counts the product's frames in its session, from 0
 * @property {number} t0 seconds of the LSL clock, of the first sample
 * @property {number} firstSample counts at the product's rate
 * @property {number} dropped frames of this product that this subscriber did not get, so far
 * @property {number} nChannels
 * @property {number} nSamples
 * @property {Float32Array} data channel after channel: sample `s` of channel `c` is `data[c * nSamples + s]`
 * @property {Float32Array | null} std of each channel's estimate, in the channel's unit, where the model tells
 */

/** The bytes are not a frame of this protocol version. */
export class WireError extends Error {
  name = "WireError";
}

/**
 * Lays a frame over a binary WebSocket message; nothing is copied.
 *
 * @param {ArrayBuffer} message
 * @returns {Frame}
 * @throws {WireError} too short, of another kind or version, or of a length that its header does not imply
 */
export function decode(message) {
  if (message.byteLength < HEADER_BYTES) {
    throw new WireError(`a data frame has at least ${HEADER_BYTES} bytes, this message has ${message.byteLength}`);
  }
  const header = new DataView(message);
  const kind = header.getUint8(0);
  const version = header.getUint8(1);
  if (kind !== KIND_DATA || version !== VERSION) {
    const read = `kind ${KIND_DATA}, version ${VERSION}`;
    throw new WireError(`frame of kind ${kind}, version ${version}; this client reads ${read}`);
  }
  const flags = header.getUint32(4, true);
  const nChannels = header.getUint16(36, true);
  const nSamples = header.getUint16(38, true);
  const nValues = nChannels * nSamples;
  const hasStd = (flags & FLAGS.STD) !== 0;
  const expected = HEADER_BYTES + 4 * (nValues + (hasStd ? nChannels : 0));
  if (message.byteLength !== expected) {
    const found = `this message has ${message.byteLength}`;
    throw new WireError(`${nChannels} channels × ${nSamples} samples make ${expected} bytes, ${found}`);
  }
  return {
    index: header.getUint16(2, true),
    flags,
    // Exact up to 2^53: at 25 frames a second that is ten million years.
    sequence: Number(header.getBigUint64(8, true)),
    t0: header.getFloat64(16, true),
    firstSample: Number(header.getBigUint64(24, true)),
    dropped: header.getUint32(32, true),
    nChannels,
    nSamples,
    data: new Float32Array(message, HEADER_BYTES, nValues),
    std: hasStd ? new Float32Array(message, HEADER_BYTES + 4 * nValues, nChannels) : null,
  };
}
