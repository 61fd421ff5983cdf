// The scenarios and the columns of their tables. `load`: arguments of the load client. `columns`: title, path in the client's JSON,
// digits, and "x" for a column that is also shown in relation to the raw limit. `rows`: label and path of each row of a server.
// `env`: additional environment of the server.
const load = (scenario, flags) => [scenario, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])];
const count = (n) => n.toLocaleString("en");

const COST = ["CPU us per delivery", "cpu_us", 1, "x"];
const LATE = [["p50 ms", "p50_ms", 1], ["p99 ms", "p99_ms", 1], ["longest ms", "max_ms", 0]];
const FAULTS = ["lost, doubled, swapped, failed", ["lost", "doubled", "swapped", "failed"], 0];
const RATE = [["deliveries per second", "deliveries_s", 0], COST, ...LATE, ["client's CPU us", "client_cpu_us", 1], FAULTS];

const rate = (group, viewers, flags) => ({
  group,
  title: `${count(viewers)} viewers, ${flags.rooms ? `${flags.rooms} rooms` : "one room"}, ${flags.deliveries ? `${count(flags.deliveries)} deliveries per second` : `${flags.rate} messages per second`}`,
  load: load("rate", { viewers, ...flags }),
  columns: RATE,
});
const saturate = (viewers, flags = {}) => ({
  group: "saturate",
  title: `One room of ${count(viewers)}: highest sustained rate (p99 and drain up to 500 ms, no loss), and latency at half of it`,
  load: load("saturate", { viewers, seconds: 4, publishers: 64, ...flags }),
  columns: [
    ["deliveries per second", "deliveries_s", 0, "x"], COST, ["client's CPU us", "client_cpu_us", 1],
    ["at half: p50 ms", "half.p50_ms", 1], ["p99 ms", "half.p99_ms", 1], ["longest ms", "half.max_ms", 0], ["CPU us", "half.cpu_us", 1],
  ],
});

// A back end with four requests in flight: each waits for the answer of its publish.
const ANSWER = [["answer: mean ms", "answer_mean_ms", 2], ["answer: p99 ms", "answer_p99_ms", 2]];
const answers = (viewers, deliveries, seconds) => [
  { ...rate("answers", viewers, { deliveries, seconds, publishers: 4 }), columns: [...RATE.slice(0, 2), ...ANSWER, ...LATE, FAULTS] },
  {
    ...saturate(viewers, { publishers: 4, start: deliveries / 2, seconds }), group: "answers",
    title: `One room of ${count(viewers)}: highest sustained rate with four publishes in flight`,
    columns: [["deliveries per second", "deliveries_s", 0, "x"], COST, ...ANSWER],
  },
];
const cycles = (group, viewers, seconds, flags, title) => ({
  group, title, load: load("cycles", { viewers, seconds, ...flags }),
  columns: [["cycles per second", "cycles_s", 0, "x"], ["CPU us per cycle", "cpu_us", 0, "x"], ["client's CPU us", "client_cpu_us", 0], ["failures", "failures", 0]],
});

// The chat: HTTP, a commit in SQLite, a push. Roomcast only.
const chat = (scenario) => ({ ...scenario, group: "chat", title: `Through the chat: ${scenario.title}`, servers: ["roomcast"], protocol: "chat" });

// Removals through the chat, from the owner's request to the push in each viewer. Roomcast only.
const removals = (viewers, rate, seconds) => ({
  group: "removals",
  title: `${count(viewers)} viewers in one room, ${rate} removals per second: from the click until gone`,
  load: load("removals", { viewers, rate, seconds, publishers: 8 }),
  servers: ["roomcast"],
  protocol: "chat",
  columns: [["p50 ms", "p50_ms", 1], ["p99 ms", "p99_ms", 1], ["longest ms", "max_ms", 0], ["answer: p50 ms", "answer_p50_ms", 1], ["p99 ms", "answer_p99_ms", 1], ["CPU us per delivery", "cpu_us", 1], ["lost", "lost", 0]],
});

// The chat on one, two and four nodes on the same cores, and its cost in each part. Each room has viewers on all nodes.
const CLUSTER_COST = [
  ["CPU us per delivery: nodes", "cpu_us", 2], ["NATS", "parts_cpu_us.nats", 2], ["PostgreSQL", "parts_cpu_us.postgres", 2],
  ["deliveries per second", "deliveries_s", 0], ["client's CPU us", "client_cpu_us", 1],
];
const NODES = ["nodes-1", "nodes-2", "nodes-4"];
const cluster = (viewers, rooms, flags) => ({
  group: rooms === 1 ? "cluster" : "cluster-rooms",
  title: `${count(viewers)} viewers in ${rooms === 1 ? "one room" : `${rooms} rooms`} on 1, 2 and 4 nodes, ${count(flags.deliveries)} deliveries per second`,
  load: load("rate", { viewers, rooms, publishers: 8, ...flags }),
  servers: NODES,
  rooms,
  columns: [...CLUSTER_COST, ...LATE, FAULTS],
});
// All messages are sent at the first node.
const remote = (viewers, deliveries, seconds) => ({
  ...cluster(viewers, 1, { deliveries, seconds, "sender-nodes": 1 }),
  group: "cluster-remote",
  title: `${count(viewers)} viewers in one room on two nodes, ${count(deliveries)} deliveries per second, all sent at one node`,
  servers: ["nodes-2"],
  columns: [
    ["that node's viewers: p50 ms", "p50_ms", 2], ["p99 ms", "p99_ms", 2], ["the other node's: p50 ms", "remote_p50_ms", 2], ["p99 ms", "remote_p99_ms", 2],
    ["deliveries per second", "deliveries_s", 0], FAULTS,
  ],
});

// Warm-up in seconds, until PostgreSQL's connections that became idle after the viewers' binds have told their counts.
const COUNTS_TOLD = 12;
// The same before and after NATS is killed: then the other node reads each message from PostgreSQL.
const late = (viewers, deliveries, seconds) => ({
  ...remote(viewers, deliveries, seconds),
  group: "cluster-late",
  title: `${count(viewers)} viewers in one room on two nodes, ${count(deliveries)} deliveries per second, all sent at one node, before and after NATS is killed`,
  load: load("cluster-late", { viewers, deliveries, seconds, "warm-up": COUNTS_TOLD, "sender-nodes": 1, publishers: 8 }),
  rows: [[": with NATS", "with."], [": without", "without."]],
  columns: [
    ["that node's viewers: p50 ms", "p50_ms", 1], ["p99 ms", "p99_ms", 1], ["longest ms", "max_ms", 0],
    ["the other node's: p50 ms", "remote_p50_ms", 1], ["p99 ms", "remote_p99_ms", 1], ["longest ms", "remote_max_ms", 0],
    ["deliveries per second", "deliveries_s", 0], ["transactions of PostgreSQL per second", "transactions_s", 1], FAULTS,
  ],
});
// One of three nodes is killed; its viewers come back at the others.
const killed = (viewers, rate, seconds) => ({
  group: "cluster-kill",
  title: `${count(viewers)} viewers in one room on three nodes, ${rate} messages per second at two of them; the third is killed`,
  load: load("kill", { viewers, rate, seconds, "warm-up": COUNTS_TOLD, "sender-nodes": 2, publishers: 8 }),
  servers: ["nodes-3"],
  columns: [
    ["viewers that came back", "returned", 0], ["after: p50 s", "back_p50_s", 2], ["p99 s", "back_p99_s", 2], ["longest s", "back_max_s", 2],
    ["missing, doubled, swapped, failed, not back, dropped", ["lost", "doubled", "swapped", "failed", "not_back", "dropped"], 0],
    [`PostgreSQL's transactions in ${seconds} s before, per second`, "before.transactions_s", 1], [`${seconds} s after`, "after.transactions_s", 1],
    ["rows read per second: before", "before.rows_s", 0], ["after", "after.rows_s", 0],
    ["more for each that came back: transactions", "extra_transactions", 2], ["rows", "extra_rows", 1],
    ["PostgreSQL's CPU ms per second: before", "before.postgres_cpu_ms_s", 0], ["after", "after.postgres_cpu_ms_s", 0],
    ["viewers of the other two: p50 ms", "p50_ms", 0], ["p99 ms", "p99_ms", 0],
  ],
});
// Nobody sends. `churn`: viewers that leave and come per second in the last row.
const still = (viewers, rooms, churn, seconds, servers = ["nodes-2", "nodes-4"]) => ({
  group: "cluster-idle",
  title: `${count(viewers)} viewers in ${rooms === 1 ? "one room" : `${rooms} rooms`} and nobody sends`,
  load: load("cluster-idle", { viewers, rooms, churn, seconds }),
  servers,
  rooms,
  rows: [[": no viewers", "empty."], [": all idle", "idle."], [`: ${churn} leave and come per second`, "churn."]],
  columns: [
    ["to NATS: messages per second", "nats.in_messages_s", 1], ["kB per second", "nats.in_kb_s", 1],
    ["from NATS: messages per second", "nats.out_messages_s", 1], ["kB per second", "nats.out_kb_s", 1], ["NATS: CPU ms per second", "nats.cpu_ms_s", 1],
    ["PostgreSQL: transactions per second", "postgres.transactions_s", 1], ["CPU ms per second", "postgres.cpu_ms_s", 1], ["nodes: CPU ms per second", "nodes_cpu_ms_s", 0],
  ],
});

// GatewayWorker's inner protocol, as PHP uses it. Roomcast only, with these listen addresses.
const PHP_LISTENERS = { ROOMCAST_LAN_ADDR: "127.0.0.1:0", ROOMCAST_REGISTER_ADDR: "127.0.0.1:0" };
const php = (scenario) => ({ ...scenario, group: "php", title: `PHP's inner protocol: ${scenario.title}`, servers: ["roomcast"], protocol: "php", env: PHP_LISTENERS });
const phpCommands = (commands) => php({
  title: `${count(commands)} commands on one persistent connection, as fast as possible, for one client`,
  load: load("php-commands", { viewers: 1, commands }),
  columns: [
    ["SEND_TO_GROUP per second", "send.a_second", 0], ["CPU us", "send.cpu_us", 2], ["client's CPU us", "send.client_cpu_us", 2],
    ["not delivered, doubled, swapped", ["send.lost", "send.doubled", "send.swapped"], 0],
    ["JOIN_GROUP, LEAVE_GROUP per second", "join.a_second", 0], ["CPU us", "join.cpu_us", 2], ["client's CPU us", "join.client_cpu_us", 2],
  ],
});
const phpConnections = (viewers, commands) => php({
  title: `${count(commands)} JOIN_GROUP commands on one connection each, until the groups of all ${count(viewers)} clients are complete`,
  load: load("php-connections", { viewers, commands }),
  columns: [["one worker", "one"], ["8 workers", "eight"]].flatMap(([workers, path]) => [
    [`${workers}: commands per second`, `${path}.a_second`, 0], ["CPU us", `${path}.cpu_us`, 1], ["client's CPU us", `${path}.client_cpu_us`, 1],
    ["p99 ms per call", `${path}.p99_ms`, 2], ["longest ms", `${path}.max_ms`, 1], ["lost", [`${path}.lost`], 0],
  ]),
});
const phpQueries = (seconds) => php({
  title: "IS_ONLINE sequentially, with 32 in flight, and on one connection each",
  load: load("php-queries", { viewers: 1, seconds }),
  columns: [["sequential", "kept"], ["32 in flight", "deep"], ["one connection each", "each"]].flatMap(([way, path]) => [
    [`${way}: queries per second`, `${path}.a_second`, 0], ["CPU us", `${path}.cpu_us`, 2], ["client's CPU us", `${path}.client_cpu_us`, 2],
  ]),
});
const phpSessions = (viewers) => php({
  title: `getAllClientSessions of ${count(viewers)} clients with 100 bytes each, median of 20`,
  load: load("php-sessions", { viewers }),
  columns: [["ms", "median_ms", 1], ["longest ms", "max_ms", 1], ["bytes", "bytes", 0], ["CPU us", "cpu_us", 0], ["client's CPU us", "client_cpu_us", 0]],
});

export const full = [
  {
    group: "idle", title: "Idle, 10,000 connections (roomcast: each with a uid, a session, two groups)",
    load: load("idle", { viewers: 10_000, seconds: 3 }),
    columns: [["PSS bytes per connection", "bytes", 0], ["base MB", "base_mb", 1], ["CPU ms per second", "cpu_ms_s", 1]],
  },
  rate("room", 5_000, { deliveries: 20_000, seconds: 8 }),
  ...[1_000, 10_000].map((viewers) => rate("viewers", viewers, { deliveries: 20_000, seconds: 8 })),
  ...[1_000, 5_000].flatMap((viewers) => [1, 50].map((messages) => rate("messages", viewers, { rate: messages, seconds: messages === 1 ? 10 : 5 }))),
  rate("rooms", 10_000, { rooms: 200, deliveries: 20_000, seconds: 8 }),
  ...[1_000, 5_000, 10_000].map((viewers) => saturate(viewers)),
  cycles("cycles", 1_000, 5, {}, "Connect, join, leave: 1,000 clients in a loop"),
  cycles("joins", 1_000, 5, { batch: 1 }, "Connect, join, leave: 1,000 clients in a loop, one API request per join"),
  ...answers(5_000, 700_000, 4),
  {
    group: "storm", title: "10,000 viewers disconnect at once and reconnect at once",
    load: load("storm", { viewers: 10_000 }),
    columns: [["seconds until all are joined", "seconds", 2, "x"], ["CPU seconds", "cpu_s", 2, "x"], ["failures", "failures", 0]],
  },
  {
    group: "stuck", title: "1,000 viewers, 20 messages of 2,000 bytes per second, without and with one in 100 that never reads",
    load: load("stuck", { viewers: 1_000, rate: 20, size: 2_000, seconds: 10 }),
    columns: [
      ["p99 ms without", "without.p99_ms", 1], ["p99 ms with", "with.p99_ms", 1], ["longest ms without", "without.max_ms", 0],
      ["with", "with.max_ms", 0], ["CPU us without", "without.cpu_us", 1], ["with", "with.cpu_us", 1],
      ["lost, doubled to the others", ["with.lost", "with.doubled"], 0],
    ],
  },
  ...[1_000, 5_000, 10_000].map((viewers) => ({
    group: "burst", title: `A hundred messages in one second to ${count(viewers)} viewers`,
    load: load("burst", { viewers }),
    columns: [["seconds until all are delivered", "took_s", 2, "x"], COST, ...LATE, FAULTS],
  })),
  chat(rate("chat", 1_000, { deliveries: 20_000, seconds: 8 })),
  chat(rate("chat", 5_000, { deliveries: 20_000, seconds: 8 })),
  chat(saturate(1_000)),
  removals(5_000, 4, 15),
  cluster(5_000, 1, { deliveries: 50_000, seconds: 8 }), cluster(10_000, 200, { deliveries: 20_000, seconds: 8 }), remote(5_000, 50_000, 8),
  late(5_000, 50_000, 8), killed(5_000, 10, 20), still(10_000, 200, 200, 30), still(5_000, 1, 20, 30),
  phpCommands(500_000), phpConnections(1_000, 20_000), phpQueries(3), phpSessions(10_000),
];

// Fewer viewers and shorter: checks that everything works; the numbers mean little.
export const quick = [
  { ...full.find((one) => one.group === "idle"), title: "Idle, 2,000 connections", load: load("idle", { viewers: 2_000, seconds: 1 }) },
  rate("room", 2_000, { deliveries: 20_000, seconds: 3 }),
  rate("rooms", 2_000, { rooms: 40, deliveries: 10_000, seconds: 3 }),
  saturate(1_000, { seconds: 2, start: 40_000, bisect: 1 }),
  cycles("cycles", 500, 2, {}, "Connect, join, leave: 500 clients in a loop"),
  cycles("joins", 500, 2, { batch: 1 }, "Connect, join, leave: 500 clients in a loop, one API request per join"),
  ...answers(1_000, 140_000, 2),
  { ...full.find((one) => one.group === "storm"), title: "2,000 viewers disconnect at once and reconnect at once", load: load("storm", { viewers: 2_000 }) },
  { ...full.find((one) => one.group === "stuck"), load: load("stuck", { viewers: 500, rate: 20, size: 2_000, seconds: 3 }), title: "500 viewers, 20 messages of 2,000 bytes per second, without and with one in 100 that never reads" },
  { ...full.find((one) => one.group === "burst"), load: load("burst", { viewers: 1_000 }), title: "A hundred messages in one second to 1,000 viewers" },
  chat(rate("chat", 500, { deliveries: 10_000, seconds: 3 })),
  removals(500, 4, 3),
  cluster(500, 1, { deliveries: 5_000, seconds: 3 }), cluster(500, 10, { deliveries: 2_000, seconds: 3 }), remote(500, 5_000, 3),
  late(500, 5_000, 3), killed(500, 10, 12), still(500, 10, 10, 3, ["nodes-2"]), still(500, 1, 5, 3, ["nodes-2"]),
  phpCommands(50_000), phpConnections(500, 5_000), phpQueries(1), phpSessions(1_000),
];
