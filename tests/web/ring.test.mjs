// Whatever frames the samples come in, the ring holds the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ring } from "../../clients/cortexcast_web/site/ring.js";

const [CHANNELS, RATE] = [3, 10];

/** Sample `index` of `channel` is `1000 · channel + index`. */
function frame(first, n, t0 = first / RATE) {
  const data = Float32Array.from({ length: CHANNELS * n }, (_, at) => 1000 * Math.floor(at / n) + first + (at % n));
  return { firstSample: first, nSamples: n, nChannels: CHANNELS, data, t0 };
}

function content(ring) {
  const indices = Array.from({ length: ring.end - ring.begin }, (_, at) => ring.begin + at);
  return indices.map((index) => Array.from({ length: CHANNELS }, (_, channel) => ring.at(channel, index)));
}

/** A generator that a failure can be repeated with (Park & Miller, Commun. ACM 31, 1988). */
function random(seed) {
  let state = seed + 1;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

test("any frames give the same ring", () => {
  for (let seed = 0; seed < 200; seed++) {
    const draw = random(seed);
    const seconds = 1 + draw(4);
    const [begin, n] = [draw(100), 1 + draw(80)];
    const whole = new Ring(CHANNELS, RATE, seconds);
    for (let index = begin; index < begin + n; index++) whole.push(frame(index, 1));
    const parts = new Ring(CHANNELS, RATE, seconds);
    for (let index = begin; index < begin + n; ) {
      const length = 1 + draw(Math.min(whole.capacity, begin + n - index));
      parts.push(frame(index, length));
      index += length;
    }
    assert.deepEqual(content(parts), content(whole), `seed ${seed}`);
    assert.equal(parts.end, begin + n);
    assert.equal(parts.end - parts.begin, Math.min(n, parts.capacity));
    assert.equal(parts.at(2, parts.end - 1), 2000 + begin + n - 1);
  }
});

test("frames that did not come are NaN", () => {
  const ring = new Ring(CHANNELS, RATE, 3);
  ring.push(frame(5, 4));
  ring.push(frame(12, 4));
  const row = content(ring).map(([first]) => first);
  assert.deepEqual(row, [5, 6, 7, 8, NaN, NaN, NaN, 12, 13, 14, 15]);
});

test("it begins anew after a jump back, or one that is longer than it", () => {
  for (const first of [0, 4, 1000]) {
    const ring = new Ring(CHANNELS, RATE, 2);
    ring.push(frame(5, 4));
    ring.push(frame(first, 4));
    assert.deepEqual([ring.begin, ring.end], [first, first + 4]);
  }
});

test("a time is found where its sample is", () => {
  const ring = new Ring(CHANNELS, RATE, 5);
  ring.push(frame(0, 30, 100));
  assert.equal(ring.indexAt(100), 0);
  assert.equal(ring.indexAt(102.9), 29);
  assert.equal(ring.indexAt(103.5), 35);
});

test("the spread is the standard deviation of what is there", () => {
  const ring = new Ring(2, RATE, 5);
  const data = Float32Array.of(1, 3, NaN, 5, 0, 0, 0, 0);
  ring.push({ firstSample: 0, nSamples: 4, nChannels: 2, data, t0: 0 });
  const [first, second] = ring.spread(10);
  assert.ok(Math.abs(first - Math.sqrt(8 / 3)) < 1e-6);
  assert.equal(second, 0);
  assert.ok(Number.isNaN(new Ring(1, RATE, 1).spread(1)[0]));
});

test("a copy stays as it was", () => {
  const ring = new Ring(CHANNELS, RATE, 2);
  ring.push(frame(0, 5));
  const copy = ring.copy();
  const before = content(copy);
  ring.push(frame(5, 15));
  assert.deepEqual(content(copy), before);
});
