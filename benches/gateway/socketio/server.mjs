// Socket.IO as in its manual, with the WebSocket transport only. Same interface as the other peers: `POST /publish?room=R`
// pushes its body; a viewer names its room in the connect URL.
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
// Keep the publisher's connections open between measurements.
http.keepAliveTimeout = 120_000;
const io = new Server(http, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => socket.join(socket.handshake.query.room));
// The longest backlog that Linux grants by default: all viewers may connect at once.
http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(`listening on 127.0.0.1:${http.address().port}`));
