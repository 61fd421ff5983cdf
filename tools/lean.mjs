// Takes out of the wasm and of wasm-bindgen's JavaScript what no page uses, and shortens the names that both share: a third of the
// JavaScript is names with hashes, and the wasm has them again. Run after wasm-opt and before terser, on cargo-leptos' files too.
//   node tools/lean.mjs FILE.js FILE.wasm
// Fails if wasm-bindgen's JavaScript has another form than that of the version in Cargo.toml.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const [script, wasm] = process.argv.slice(2);
let code = readFileSync(script, "utf8");

/** Replaces a part of the script, which must be there. */
const replace = (pattern, by) => {
  if (code.search(pattern) < 0) throw new Error(`${script} has no ${pattern}`);
  code = code.replace(pattern, by);
};

/** An unsigned LEB128 of the binary format. */
const leb = (number) => (number < 128 ? [number] : [(number & 127) | 128, ...leb(number >>> 7)]);

/** Reads the binary format from a place on. */
const reader = (bytes, at = 0) => ({
  get at() { return at; },
  byte: () => bytes[at++],
  number() {
    let [sum, shift] = [0, 0];
    for (;;) {
      const byte = bytes[at++];
      sum += (byte & 127) * 2 ** shift;
      if (byte < 128) return sum;
      shift += 7;
    }
  },
  text() { return this.take(this.number()).toString(); },
  take(length) {
    at += length;
    return bytes.subarray(at - length, at);
  },
});

/** Calls `change` with the content of each section; undefined takes the section away. Ids: 0 custom, 2 imports, 7 exports. */
const rewrite = (change) => {
  const bytes = readFileSync(wasm);
  const input = reader(bytes, 8);
  const parts = [bytes.subarray(0, 8)];
  while (input.at < bytes.length) {
    const id = input.byte();
    const content = change(id, input.take(input.number()));
    if (content) parts.push(Buffer.from([id, ...leb(content.length)]), content);
  }
  writeFileSync(wasm, Buffer.concat(parts));
};

const named = (name) => Buffer.from([...leb(Buffer.byteLength(name)), ...Buffer.from(name)]);

/** Calls `change` with the name of each export; undefined takes the export away. */
const exported = (content, change) => {
  const input = reader(content);
  const kept = [];
  for (let left = input.number(); left > 0; left--) {
    const name = change(input.text());
    const what = Buffer.from([input.byte(), ...leb(input.number())]);
    if (name !== undefined) kept.push(named(name), what);
  }
  return Buffer.concat([Buffer.from(leb(kept.length / 2)), ...kept]);
};

/** Calls `change` with the name of each import. All are functions of one module of JavaScript. */
const imported = (content, change) => {
  const input = reader(content);
  const count = input.number();
  const parts = [Buffer.from(leb(count))];
  for (let left = count; left > 0; left--) {
    input.text();
    const name = change(input.text());
    if (input.byte() !== 0) throw new Error(`${wasm}: ${name} is no function`);
    parts.push(named("a"), named(name), Buffer.from([0, ...leb(input.number())]));
  }
  return Buffer.concat(parts);
};

// 1. The classes of wasm-streams, of which a page makes none, and the exports that only they use.
replace(/^export class (\w+) \{\n[\s\S]*?^\}\n.*\1\.prototype\.free;\n/gm, "");
replace(/^const \w+Finalization = [^;]*?: new FinalizationRegistry\(.*\n/gm, "");
const used = new Set([...code.matchAll(/\bwasm\.(\w+)/g)].map(([, name]) => name));
rewrite((id, content) => (id === 7 ? exported(content, (name) => (used.has(name) ? name : undefined)) : content));
execFileSync("wasm-opt", ["--remove-unused-module-elements", "--enable-bulk-memory", "--enable-nontrapping-float-to-int", wasm, "-o", wasm]);

// 2. Short names, in the order of the wasm, and no function that it does not import. Custom sections tell of tools.
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const short = (index) => (index < 52 ? "" : short(Math.floor(index / 52) - 1)) + LETTERS[index % 52];
const imports = new Map();
const exports = new Map();
const shorten = (names) => (name) => {
  names.set(name, short(names.size));
  return names.get(name);
};
rewrite((id, content) => {
  if (id === 2) return imported(content, shorten(imports));
  if (id === 7) return exported(content, shorten(exports));
  return id === 0 ? undefined : content;
});
replace(/^ {8}(\w+): function[\s\S]*?^ {8}\}(?:, arguments\); \})?,\n/gm, (member, name) =>
  imports.has(name) ? member.replace(name, imports.get(name)) : "",
);
replace(/\bwasm\.(\w+)/g, (_, name) => {
  if (!exports.has(name)) throw new Error(`${wasm} does not export ${name}`);
  return `wasm.${exports.get(name)}`;
});
replace(/"\.\/\w+_bg\.js": import0/, "a: import0");
// The pages fetch the wasm by `default`, with its URL.
replace("initSync, ", "");
writeFileSync(script, code);
