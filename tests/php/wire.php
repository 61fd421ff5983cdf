<?php
/*
 * The wire format of GatewayClient's calls: a line to Register, packets with a header of 28 bytes to a gateway's inner address,
 * and replies of a length and a serialized value. The caller turns PHP's warnings into exceptions, so that an error of connecting,
 * writing or reading is one.
 */
declare(strict_types=1);

abstract class Wire
{
    public static string $registerAddress = '127.0.0.1:1238';
    public static string $secretKey = '';
    /** One connection for everything instead of one a call. */
    public static bool $persistentConnection = false;
    private const WITHIN_SECONDS = 5;
    private static array $kept = [];

    // A client_id is the inner address and the connection number

    public static function parts(string $id): array
    {
        ['ip' => $ip, 'port' => $port, 'connection' => $connection] = unpack('Nip/nport/Nconnection', hex2bin($id));
        return [long2ip($ip) . ":$port", $connection];
    }

    protected static function clientId(string $address, int $connection): string
    {
        [$ip, $port] = explode(':', $address);
        return bin2hex(pack('NnN', ip2long($ip), (int) $port, $connection));
    }

    protected static function byAddress(array $ids): array
    {
        $found = [];
        foreach ($ids as $id) {
            [$address, $connection] = self::parts($id);
            $found[$address][$connection] = $connection;
        }
        return $found;
    }

    protected static function byClient(array $answers): array
    {
        $found = [];
        foreach ($answers as $address => $rows) {
            foreach ($rows as $connection => $row) {
                $found[self::clientId($address, $connection)] = $row;
            }
        }
        return $found;
    }

    // Connections

    /** What Register tells: every gateway's inner address. */
    public static function addresses(): array
    {
        $register = self::open(self::$registerAddress);
        fwrite($register, '{"event":"worker_connect","secret_key":"' . self::$secretKey . "\"}\n");
        $line = fgets($register, 655350);
        fclose($register);
        return json_decode((string) $line, true)['addresses'] ?? throw new RuntimeException('Register closed: ' . $line);
    }

    protected static function tellAll(int $cmd, string $ext, mixed $body = ''): void
    {
        foreach (self::addresses() as $address) {
            self::tell($address, $cmd, 0, $ext, $body);
        }
    }

    protected static function tellClient(string $id, int $cmd, string $ext = '', mixed $body = ''): bool
    {
        [$address, $connection] = self::parts($id);
        return self::tell($address, $cmd, $connection, $ext, $body);
    }

    protected static function tell(string $address, int $cmd, int $connection, string $ext, mixed $body, bool $raw = false): bool
    {
        $packet = self::packet($cmd, $connection, $ext, $body, $raw);
        // PHP closes a stream that goes out of scope, whether or not the gateway has read it.
        return fwrite(self::stream($address), $packet) === strlen($packet);
    }

    protected static function askAll(int $cmd, string $ext = ''): array
    {
        $addresses = self::addresses();
        return array_combine($addresses, array_map(fn($address) => self::ask($address, $cmd, 0, $ext), $addresses));
    }

    protected static function askClient(string $id, int $cmd): mixed
    {
        [$address, $connection] = self::parts($id);
        return self::ask($address, $cmd, $connection, '');
    }

    protected static function ask(string $address, int $cmd, int $connection, string $ext): mixed
    {
        $stream = self::stream($address);
        fwrite($stream, self::packet($cmd, $connection, $ext, '', false));
        return unserialize(self::read($stream, unpack('N', self::read($stream, 4))[1]));
    }

    private static function read($stream, int $length): string
    {
        $bytes = stream_get_contents($stream, $length);
        return strlen($bytes) === $length ? $bytes : throw new RuntimeException(feof($stream) ? 'closed' : 'silent');
    }

    private static function stream(string $address)
    {
        return self::$persistentConnection ? self::$kept[$address] ??= self::open($address) : self::open($address);
    }

    private static function open(string $address)
    {
        $stream = stream_socket_client("tcp://$address", $code, $reason, self::WITHIN_SECONDS);
        stream_set_timeout($stream, self::WITHIN_SECONDS);
        return $stream;
    }

    private static function packet(int $cmd, int $connection, string $ext, mixed $body, bool $raw): string
    {
        $text = is_scalar($body) ? (string) $body : serialize($body);
        $flag = (is_scalar($body) ? 1 : 0) | ($raw ? 2 : 0);
        $length = 28 + strlen($ext) + strlen($text);
        $packet = pack('NCNnNnNCnN', $length, $cmd, 0, 0, 0, 0, $connection, $flag, 0, strlen($ext)) . $ext . $text;
        // The key goes in front of every command, in the same write.
        $isEnough = self::$secretKey === '' || $cmd === 202;
        return $isEnough ? $packet : self::packet(202, 0, '', json_encode(['secret_key' => self::$secretKey]), false) . $packet;
    }

    /** Uids and groups travel as their text; what PHP takes for false, as nothing. */
    protected static function name(mixed $name): string { return $name ? (string) $name : ''; }

    protected static function json(array $value): string { return (string) json_encode($value); }
}
