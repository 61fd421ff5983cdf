// Builds the site (wasm, JavaScript, style sheet, static files) into target/site, from the settings and with the steps and tools of
// cargo-leptos ([package.metadata.leptos]); tools/same-site.sh compares the results. It exists because building cargo-leptos takes
// minutes.
// Run by tools/build.sh, which puts wasm-bindgen, wasm-opt and lightningcss on PATH.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const run = (command, ...args) => execFileSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
const metadata = JSON.parse(execFileSync("cargo", ["metadata", "--no-deps", "--format-version=1"], { maxBuffer: 1 << 28 }));
const project = metadata.packages[0];
const settings = project.metadata.leptos;
const name = settings["output-name"];
const site = resolve(settings["site-root"]);
const profile = settings["lib-profile-release"];
// The site is made here and copied to `site` at the end.
const staging = `${site}.new`;
const pkg = join(staging, settings["site-pkg-dir"]);
const stamp = `${site}.stamp`;

// 1. Rust to wasm. Cargo skips this step if the sources are unchanged.
const features = settings["lib-features"].join(",");
run("cargo", "build", "--lib", "--target=wasm32-unknown-unknown", "--no-default-features", `--features=${features}`, `--profile=${profile}`);
const wasm = join(metadata.target_directory, "wasm32-unknown-unknown", profile, `${project.name}.wasm`);

/** All files of a folder and of the folders in it. */
const files = (folder) =>
  readdirSync(folder).flatMap((entry) => {
    const path = join(folder, entry);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
// The stamp holds a hash over the paths and contents of all inputs. While it is the same, the site is left alone.
const tools = ["tools/site.mjs", "tools/lean.mjs", "tools/minify.mjs", "tools/node/package-lock.json"];
const hash = createHash("sha256");
for (const path of [wasm, "Cargo.toml", ...tools, ...files("style"), ...files(settings["assets-dir"])]) {
  const content = readFileSync(path);
  hash.update(`${path} ${content.length}\n`).update(content);
}
const inputs = hash.digest("hex");
if (existsSync(site) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs) process.exit(0);
rmSync(staging, { recursive: true, force: true });
mkdirSync(pkg, { recursive: true });

// 2. wasm-bindgen's JavaScript, under the names that the pages load; then wasm-opt, lean.mjs and terser.
run("wasm-bindgen", "--target=web", `--out-name=${name}`, `--out-dir=${pkg}`, wasm);
renameSync(join(pkg, `${name}_bg.wasm`), join(pkg, `${name}.wasm`));
// Declarations are for editors; browsers never load them.
for (const file of readdirSync(pkg)) if (file.endsWith(".d.ts")) rmSync(join(pkg, file));
const shrunk = join(pkg, `${name}.wasm`);
run("wasm-opt", ...settings["wasm-opt-features"], shrunk, "-o", shrunk);

run("node", "tools/lean.mjs", join(pkg, `${name}.js`), shrunk);
run("node", "tools/minify.mjs", join(pkg, `${name}.js`));

// 3. All style sheets bundled into one.
const bin = process.env.PATH.split(":").find((folder) => existsSync(join(folder, "../lightningcss")));
const { bundle } = createRequire(join(bin, "../lightningcss/package.json"))("lightningcss");
const { code } = bundle({ filename: settings["style-file"], minify: true, targets: targets(settings.browserquery) });
writeFileSync(join(pkg, `${name}.css`), code);

// 4. Static files (scripts minified), and a gzip and a brotli copy of every file.
cpSync(settings["assets-dir"], staging, { recursive: true });
for (const path of files(staging)) if (path.endsWith(".js") && !path.startsWith(pkg)) run("node", "tools/minify.mjs", path);
for (const path of files(staging)) {
  const plain = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }));
}

// 5. Into the site, only where bytes differ: cargo compiles the server again for each file with a new modification time.
mkdirSync(site, { recursive: true });
for (const path of files(site)) if (!existsSync(join(staging, relative(site, path)))) rmSync(path);
for (const path of files(staging)) {
  const target = join(site, relative(staging, path));
  const content = readFileSync(path);
  if (existsSync(target) && readFileSync(target).equals(content)) continue;
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
}
rmSync(staging, { recursive: true });
writeFileSync(stamp, inputs);

/** `chrome >= 111, safari >= 16.4` in the form of lightningcss: one byte each for major, minor and patch. */
function targets(query) {
  const version = (text) => text.split(".").reduce((sum, part, place) => sum | (Number(part) << (16 - 8 * place)), 0);
  return Object.fromEntries(
    query.split(",").map((range) => {
      const [browser, number] = range.split(">=").map((text) => text.trim());
      return [browser, version(number)];
    }),
  );
}
