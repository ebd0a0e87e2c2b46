/** Elements, tersely. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties] of the element; `class`, `role`, `for` and `aria-` are attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(class|role|for|aria-.*|data-.*)$/.test(name)) element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/**
 * A choice whose options tell by themselves what they are of.
 *
 * @param {string} name
 * @param {[string, string][]} options value and text
 * @param {(value: string) => void} onChange
 */
export function choice(name, options, onChange) {
  const select = el("select", { "aria-label": name, title: name, onchange: () => onChange(select.value) });
  setOptions(select, options);
  return select;
}

/**
 * Other options, and still the chosen one where it is among them. Where they are the same, nothing is touched: the list may
 * be open.
 *
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options value and text
 */
export function setOptions(select, options) {
  const now = [...select.options].map(({ value, text }) => [value, text]);
  if (JSON.stringify(now) === JSON.stringify(options)) return;
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value, textContent: text })));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/**
 * Writes only what changed, so that nothing is laid out anew for nothing.
 *
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A panel of the live page: a heading, controls, what it shows, and a line below.
 *
 * @param {string} id
 * @param {string} title
 * @param {Node[]} controls
 * @param {...Node} body
 */
export function panel(id, title, controls, ...body) {
  const note = el("p", { class: "note" });
  const enlarge = el("button", {
    type: "button",
    class: "enlarge",
    textContent: "⤢",
    title: "Enlarge, or make small again",
    "aria-label": `Enlarge ${title}`,
    "aria-pressed": "false",
    onclick: () => {
      const large = element.classList.toggle("large");
      enlarge.setAttribute("aria-pressed", String(large));
    },
  });
  const head = el("div", { class: "panel-head" }, el("h2", { textContent: title }), ...controls, enlarge);
  const element = el("section", { id, class: "panel", "aria-label": title }, head, ...body, note);
  return { element, note };
}

/**
 * A canvas as large as it is shown, in pixels of the screen.
 *
 * @param {string} label what it shows, for who cannot see it
 */
export function picture(label) {
  const canvas = el("canvas", { role: "img", "aria-label": label });
  const frame = el("div", { class: "picture" }, canvas);
  let stale = true;
  new ResizeObserver(() => {
    stale = true;
  }).observe(frame);
  return {
    frame,
    canvas,
    /** Fits the canvas to its frame; true where it is now empty. */
    fit() {
      if (!stale) return false;
      stale = false;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = Math.max(1, Math.round(frame.clientWidth * ratio));
      canvas.height = Math.max(1, Math.round(frame.clientHeight * ratio));
      return true;
    },
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function context(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** @type {Map<string, string>} by name */
const colours = new Map();

/**
 * A colour of the theme, as a canvas takes it.
 *
 * @param {string} name as `--text`
 */
export function themed(name) {
  const known = colours.get(name);
  if (known) return known;
  const probe = el("i", { hidden: true });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  colours.set(name, colour);
  return colour;
}

/** After a change of the theme. */
export function forgetColours() {
  colours.clear();
}

/**
 * Of text on canvases.
 *
 * @param {number} size in pixels
 */
export function font(size) {
  return `${size}px ${getComputedStyle(document.body).fontFamily}`;
}

/**
 * What went wrong, in words.
 *
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
