// Processes of the benchmark: their ports, and the lines that they print when they are ready.
import { createServer } from "node:net";

export const LISTENS = /listening on (\d+\.\d+\.\d+\.\d+:\d+)/;
export const INNER = /inner address (\d+\.\d+\.\d+\.\d+:\d+)/;
export const OWNER = /[?]owner=(\S+)/;

export const freePort = () =>
  new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });

// Resolves with what a child printed to `stream` until `pattern` was there. Rejects with its errors if it ends before.
export const ready = (child, stream, pattern, name) => {
  let stderr = "";
  child.stderr.on("data", (part) => { stderr = (stderr + part).slice(-2000); });
  return new Promise((found, failed) => {
    let out = "";
    stream.on("data", (part) => { out += part; if (pattern.test(out)) found(out); });
    child.on("error", failed).on("exit", () => failed(new Error(`${name} exited: ${stderr}`)));
  });
};
