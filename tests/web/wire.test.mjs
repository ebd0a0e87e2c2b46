// The golden bytes are read as every client reads them, and nothing else is.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { decode, FLAGS, WireError } from "../../clients/cortexcast_web/site/wire.js";

const GOLDEN = new URL("../golden/", import.meta.url);
const NAMES = readdirSync(GOLDEN)
  .filter((file) => file.endsWith(".bin"))
  .map((file) => file.slice(0, -4));

/** @param {string} name */
function bytes(name) {
  return Uint8Array.from(readFileSync(new URL(`${name}.bin`, GOLDEN))).buffer;
}

assert.ok(NAMES.length >= 3);
for (const name of NAMES) {
  test(`${name} is read`, () => {
    const { product_index: index, frame: expected } = JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN)));
    const frame = decode(bytes(name));
    const flags = Object.keys(FLAGS).filter((flag) => frame.flags & FLAGS[flag]);
    const rows = Array.from({ length: frame.nChannels }, (_, channel) =>
      [...frame.data.subarray(channel * frame.nSamples, (channel + 1) * frame.nSamples)].map(nullable),
    );
    assert.deepEqual(
      {
        index: frame.index,
        sequence: frame.sequence,
        first_sample: frame.firstSample,
        t0: frame.t0,
        flags,
        dropped: frame.dropped,
        data: rows,
        std: frame.std && [...frame.std],
      },
      {
        index,
        sequence: expected.sequence,
        first_sample: expected.first_sample,
        t0: expected.t0,
        flags: expected.flags,
        dropped: expected.dropped,
        data: expected.data.map((row) => row.map((value) => (value === null ? null : Math.fround(value)))),
        std: expected.std && expected.std.map(Math.fround),
      },
    );
  });

  test(`${name}, cut or longer, is refused`, () => {
    const whole = bytes(name);
    for (let length = 0; length < whole.byteLength; length++) {
      assert.throws(() => decode(whole.slice(0, length)), WireError);
    }
    assert.throws(() => decode(Uint8Array.of(...new Uint8Array(whole), 0).buffer), WireError);
  });

  for (const [field, at] of [
    ["kind", 0],
    ["version", 1],
  ]) {
    test(`${name} of another ${field} is refused`, () => {
      const changed = new Uint8Array(bytes(name));
      changed[at] = 2;
      assert.throws(() => decode(changed.buffer), new RegExp(`${field} 2`));
    });
  }
}

/** @param {number} value */
function nullable(value) {
  return Number.isNaN(value) ? null : value;
}
