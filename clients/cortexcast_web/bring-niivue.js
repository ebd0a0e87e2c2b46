// Puts NiiVue, and the licences of all that is in it, beside the dashboard's own files. Run by npm after an install.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const TO = "site/vendor";

/** @param {string} name of a package */
function licence(name) {
  const folder = `node_modules/${name}`;
  const { version, license, author, repository } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[sc]e/i.test(each));
  const by = typeof author === "string" ? author : (author?.name ?? "");
  const text = file
    ? readFileSync(`${folder}/${file}`, "utf8")
    : `By ${by || "its authors"}: ${repository?.url ?? repository}`;
  return `${name} ${version}, ${license}\n\n${text.trim()}\n`;
}

/**
 * @param {string} name of a package
 * @returns {string[]} it and all that it needs
 */
function withDependencies(name) {
  const { dependencies = {} } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  return [name, ...Object.keys(dependencies).flatMap(withDependencies)];
}

mkdirSync(TO, { recursive: true });
copyFileSync("node_modules/@niivue/niivue/dist/index.js", `${TO}/niivue.js`);
const names = [...new Set(withDependencies("@niivue/niivue"))].filter((name) => existsSync(`node_modules/${name}`));
writeFileSync(`${TO}/LICENCES.txt`, names.map(licence).join(`\n${"-".repeat(78)}\n\n`));
