// A proxy before the server that rewrites pages on their way and passes everything else on, sockets included.
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

export class RewritingProxy {
  private readonly sockets = new Set<Duplex>();
  private readonly server: Server;

  constructor(
    private readonly origin: URL,
    private readonly rewrite: (html: string) => string,
  ) {
    this.server = createServer((incoming, outgoing) => {
      const headers = { ...incoming.headers, 'accept-encoding': 'identity' };
      const { hostname, port } = this.origin;
      const passed = request({ hostname, port, method: incoming.method, path: incoming.url, headers }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          const body = Buffer.concat(parts);
          const isPage = answer.headers['content-type']?.startsWith('text/html');
          const sent = isPage ? Buffer.from(this.rewrite(body.toString())) : body;
          outgoing.writeHead(answer.statusCode!, headersFor(answer, sent.length)).end(sent);
        });
      });
      passed.on('error', () => outgoing.destroy());
      incoming.pipe(passed);
    });
    this.server.on('upgrade', (incoming: IncomingMessage, client: Duplex) => this.tunnel(incoming, client));
  }

  async start(): Promise<string> {
    await new Promise<void>((listening) => {
      this.server.listen(0, '127.0.0.1', listening);
    });
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
    for (const socket of this.sockets) socket.destroy();
  }

  private tunnel(incoming: IncomingMessage, client: Duplex): void {
    const upstream = connect(Number(this.origin.port), this.origin.hostname);
    const lines = [`GET ${incoming.url} HTTP/1.1`];
    for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
      lines.push(`${incoming.rawHeaders[index]}: ${incoming.rawHeaders[index + 1]}`);
    }
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    upstream.pipe(client).pipe(upstream);
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
  }
}

function headersFor(answer: IncomingMessage, length: number): OutgoingHttpHeaders {
  const { 'transfer-encoding': _, ...headers } = answer.headers;
  return { ...headers, 'content-length': length };
}
