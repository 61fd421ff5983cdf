// Builds a Markdown table from the medians of all rounds; columns marked "x" are also shown in relation to the raw limit.
const read = (result, path) => path.split(".").reduce((value, part) => value?.[part], result);
const median = (numbers) => {
  const sorted = numbers.filter((number) => number !== undefined).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const format = (number, digits) =>
  Number.isFinite(number) ? number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : "-";

// `rounds`: for each server, the results of the load client, or { error }. `rows` of a scenario: label and path of each row of a server.
export const table = (scenario, rounds) => {
  const of = (server, path) => median((rounds[server] ?? []).filter((result) => !result.error).map((result) => read(result, path)));
  const titles = scenario.columns.flatMap(([title, , , relative]) => (relative ? [title, "to raw limit"] : [title]));
  const lines = [`### ${scenario.title}`, "", `| server | ${titles.join(" | ")} |`, `|---${"|---".repeat(titles.length)}|`];
  for (const server of Object.keys(rounds)) {
    const errors = rounds[server].filter((result) => result.error);
    if (errors.length === rounds[server].length) {
      lines.push(`| ${server} | ${errors[0].error.replaceAll("|", "/")} |`);
      continue;
    }
    const failed = errors.length ? ` (${errors.length} of ${rounds[server].length} rounds failed)` : "";
    for (const [label, base] of scenario.rows ?? [["", ""]]) {
      const cells = scenario.columns.flatMap(([, path, digits, relative]) => {
        // Of faults the maximum is shown, not the median.
        if (Array.isArray(path)) return [path.map((one) => Math.max(...rounds[server].map((result) => read(result, base + one) ?? 0))).join(", ")];
        const value = of(server, base + path);
        return relative ? [format(value, digits), format(value / of("raw", base + path), 2)] : [format(value, digits)];
      });
      // A server that did not sustain the rate did less work, so its numbers are not comparable.
      const behind = rounds[server].some((result) => read(result, `${base}kept_up`) === false) ? " (behind)" : "";
      lines.push(`| ${server}${label}${behind}${failed} | ${cells.join(" | ")} |`);
    }
  }
  return lines.join("\n") + "\n";
};
