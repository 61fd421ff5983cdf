// Socket.IO as its manual has it, the WebSocket transport only. Same surface as the other peers: `POST /publish?room=R`
// pushes its body, a viewer names its room when it connects.
import { createServer } from "node:http";
import { Server } from "socket.io";

const room = (url) => new URL(url, "http://127.0.0.1").searchParams.get("room");
const http = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (part) => (body += part)).on("end", () => {
    io.to(room(request.url)).emit("m", body);
    response.end("ok");
  });
});
// The publisher's connections stay open between two measurements.
http.keepAliveTimeout = 120_000;
const io = new Server(http, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => socket.join(socket.handshake.query.room));
// As long as Linux grants: all viewers may come at once.
http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(`listening on 127.0.0.1:${http.address().port}`));
