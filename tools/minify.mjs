// Minifies a JavaScript module in place, with terser from the tools' cache.
//   node tools/minify.mjs FILE
import { createRequire } from "node:module";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const bin = process.env.PATH.split(":").find((folder) => existsSync(join(folder, "../terser")));
const { minify } = createRequire(join(bin, "../terser/package.json"))("terser");
const [file] = process.argv.slice(2);
const { code } = await minify(readFileSync(file, "utf8"), { module: true, compress: { passes: 2 }, mangle: true });
writeFileSync(file, code);
