// What views are made of: which channels, how late, how often, how good.

import assert from "node:assert/strict";
import { test } from "node:test";
import { groups, select } from "../../clients/cortexcast_web/site/channels.js";
import { level, signed, unsigned } from "../../clients/cortexcast_web/site/colours.js";
import { Live } from "../../clients/cortexcast_web/site/live.js";
import { cropped } from "../../clients/cortexcast_web/site/nifti.js";
import { Pace } from "../../clients/cortexcast_web/site/pace.js";
import { display, short } from "../../clients/cortexcast_web/site/units.js";
import { FLAGS } from "../../clients/cortexcast_web/site/wire.js";

const EEG = [
  ["Fp1", -0.03, 0.08],
  ["Fp2", 0.03, 0.08],
  ["Cz", 0, 0],
  ["O1", -0.03, -0.09],
  ["Oz", 0, -0.1],
].map(([name, x, y]) => ({ name, type: "eeg", unit: "V", location: [x, y, 0.1] }));
const MEG = Array.from({ length: 12 }, (_, at) => ({
  name: `MEG 01${at + 10}`,
  type: at % 3 === 2 ? "mag" : "grad",
  unit: "T",
  location: [0.05, 0.05, 0.1],
}));

test("groups are parts of what there is", () => {
  assert.deepEqual(groups(EEG), ["all", "left", "right", "front", "back"]);
  assert.deepEqual(groups(MEG), ["some magnetometers", "all", "magnetometers", "gradiometers"]);
});

test("channels are chosen by group and name", () => {
  assert.deepEqual(select(EEG, "all", ""), [0, 1, 2, 3, 4]);
  assert.deepEqual(select(EEG, "left", ""), [0, 3]);
  assert.deepEqual(select(EEG, "all", "o*, CZ"), [2, 3, 4]);
  assert.deepEqual(select(EEG, "left", "o?"), [3]);
  assert.deepEqual(select(EEG, "all", "Pz"), []);
  assert.deepEqual(select(EEG, "all", "(."), []);
  assert.deepEqual(select(MEG, "magnetometers", ""), [2, 5, 8, 11]);
  assert.deepEqual(select(MEG, "some magnetometers", ""), [2, 11]);
  assert.deepEqual(select(MEG, "all", "MEG0112"), [2]);
});

const PRODUCT = { index: 1, session: "s", product: "eeg", rate_hz: 10, hop: 2, delay_s: 0.5, channels: EEG };

test("latency is from the newest sample that a frame needed, and unknown where clocks differ", () => {
  const live = new Live([PRODUCT]);
  assert.equal(live.latency(0.5), null);
  for (let n = 0; n < 100; n++) {
    const frame = { firstSample: 2 * n, nSamples: 2, nChannels: 5, data: new Float32Array(10), t0: 0.2 * n };
    live.push(frame, PRODUCT, 0.2 * n + 0.1 + 0.5 + 0.001 * (n + 1));
  }
  assert.ok(Math.abs(live.latency(0.5) - 0.05) < 1e-9);
  assert.ok(Math.abs(live.latency(0.95) - 0.095) < 1e-9);
  for (let n = 100; n < 700; n++) {
    const frame = { firstSample: 2 * n, nSamples: 2, nChannels: 5, data: new Float32Array(10), t0: 0.2 * n };
    live.push(frame, PRODUCT, 0.2 * n - 1000);
  }
  assert.equal(live.latency(0.5), null);
});

test("only the last marks are kept", () => {
  const live = new Live([PRODUCT]);
  for (let n = 0; n < 1000; n++) live.mark({ label: `${n}`, time: n });
  assert.equal(live.marks.at(-1)?.label, "999");
  assert.ok(live.marks.length < 1000);
});

test("losses are counted on over connections, on each of which the daemon begins anew", () => {
  const live = new Live([PRODUCT]);
  const told = (n) => live.hear({ state: "live", dropped: { 0: n, 1: 1 } });
  told(0);
  told(4);
  assert.equal(live.dropped, 5);
  live.connect(false);
  live.connect(true);
  told(7);
  assert.equal(live.dropped, 13);
});

test("what is known is of now only while daemon and headset are there", () => {
  const live = new Live([PRODUCT]);
  for (const [state, isConnected, isCurrent] of [["live", true, true], ["live", false, false], ["lost", true, false]]) {
    live.hear({ state, dropped: {} });
    live.connect(isConnected);
    assert.equal(live.isCurrent, isCurrent);
  }
});

test("a gap in time is marked once, however many products tell of it", () => {
  const products = ["eeg", "meg"].map((product, index) => ({ ...PRODUCT, product, index }));
  const live = new Live(products);
  for (const product of products) {
    for (const [n, flags] of [0, FLAGS.GAP, 0].entries()) {
      const frame = { firstSample: 2 * n, nSamples: 2, nChannels: 5, data: new Float32Array(10), t0: n + 0.5, flags };
      // Each list of products that a daemon tells is of new objects.
      live.push(frame, { ...product }, 0);
    }
  }
  assert.deepEqual(
    live.marks.map(({ label, time }) => [label, time]),
    [["gap", 1.5]],
  );
});

test("the pace is that of the last paints", () => {
  const pace = new Pace();
  assert.equal(pace.rate, 0);
  for (let n = 0; n < 1000; n++) pace.note(20 * n, 20 * n + (n % 10 === 0 ? 8 : 2));
  assert.ok(Math.abs(pace.rate - 50) < 1e-9);
  assert.equal(pace.paintMs(0.5), 2);
  assert.equal(pace.paintMs(0.95), 8);
  assert.equal(pace.count, 1000);
});

test("values are in the field's units", () => {
  assert.equal(short(2.5e-5 * display("eeg").factor), "25.0");
  assert.equal(short(3e-13 * display("mag").factor), "300");
  assert.equal(short(5e-12 * display("grad").factor), "50.0");
  assert.deepEqual([short(0), short(0.0123), short(NaN), short(1234.5)], ["0", "0.012", "–", "1235"]);
});

test("colours go from one end to the other and no farther", () => {
  assert.deepEqual([level(-2, -1, 1), level(0, -1, 1), level(1, -1, 1), level(9, -1, 1)], [0, 128, 255, 255]);
  const luminance = (map, at) => 0.2126 * map[3 * at] + 0.7152 * map[3 * at + 1] + 0.0722 * map[3 * at + 2];
  for (let at = 1; at < 256; at++) assert.ok(luminance(unsigned, at) >= luminance(unsigned, at - 1));
  for (let at = 1; at < 128; at++) assert.ok(luminance(signed, at) >= luminance(signed, at - 1));
  for (let at = 129; at < 256; at++) assert.ok(luminance(signed, at) <= luminance(signed, at - 1));
});

test("a volume is cropped to its labels, which stay where they are in space", () => {
  const [nx, ny, nz] = [6, 5, 4];
  const labels = new Int32Array(nx * ny * nz);
  const affine = [-2, 0, 0, 10, 0, 3, 0, -20, 0, 0, 4, 5];
  const place = ([x, y, z], a) => [0, 4, 8].map((i) => a[i] * x + a[i + 1] * y + a[i + 2] * z + a[i + 3]);
  const set = [[1, 2, 1], [4, 2, 1], [2, 3, 2]];
  set.forEach(([x, y, z], n) => {
    labels[x + nx * (y + ny * z)] = n + 1;
  });
  const small = cropped({ shape: [nx, ny, nz], affine, labels });
  assert.deepEqual(small.shape, [4, 2, 2]);
  assert.deepEqual([...small.labels].filter(Boolean).sort(), [1, 2, 3]);
  set.forEach(([x, y, z], n) => {
    const at = [x - 1, y - 2, z - 1];
    assert.equal(small.labels[at[0] + 4 * (at[1] + 2 * at[2])], n + 1);
    assert.deepEqual(place(at, small.affine), place([x, y, z], affine));
  });
});
