// A TCP balancer before the nodes: it leads each new connection to the next node in turn, and to another one if that refuses.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class Balancer {
  /** The node that new connections go to while it takes them, in place of each in turn. */
  lead?: number;
  private readonly sockets = new Set<Socket>();
  private server?: Server;
  private port = 0;
  private turn = 0;

  /** `nodes` returns the nodes' ports. */
  constructor(private readonly nodes: () => number[]) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Listens, after the first time on the same port. */
  async open(): Promise<void> {
    const server = createServer((client) => this.serve(client));
    await new Promise<void>((listening, fail) => {
      server.once('error', fail).listen(this.port, '127.0.0.1', listening);
    });
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Ends all connections. From then on the port refuses, as that of a dead server. */
  async close(): Promise<void> {
    const server = this.server;
    if (!server) return;
    this.server = undefined;
    const closed = new Promise((done) => server.close(done));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private serve(client: Socket): void {
    this.keep(client);
    const ports = this.nodes();
    const first = this.lead ?? this.turn++ % ports.length;
    this.join(client, [...ports.slice(first), ...ports.slice(0, first)]);
  }

  /** Joins a connection with the first of these ports that takes it. */
  private join(client: Socket, [port, ...others]: number[]): void {
    if (client.destroyed) return;
    if (port === undefined) return void client.resetAndDestroy();
    const node = connect({ port, host: '127.0.0.1', noDelay: true });
    const refused = () => this.join(client, others);
    node.once('error', refused);
    node.once('connect', () => {
      node.off('error', refused);
      this.keep(node);
      // The rest that was read reaches the other end first.
      client.once('close', () => node.destroySoon());
      node.once('close', () => client.destroySoon());
      if (client.destroyed) return void node.destroy();
      client.pipe(node).pipe(client);
    });
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay();
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.sockets.delete(socket));
  }
}
