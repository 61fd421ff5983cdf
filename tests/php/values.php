<?php
/*
 * Prints random PHP values as PHP itself writes and merges them, for comparison with the node's own functions.
 *
 *     php tests/php/values.php <count> <seed>
 *
 * Prints first a few lines {"floats": {"<the 16 hex digits of its bits>": "d:1.5;", …}}. Then one line per value v, in hex:
 *
 *     serialized   serialize(v)
 *     json         the JSON for WebSocket clients: classes unknown, Unicode unescaped; null if json_encode fails
 *     merge_with   serialize(w), w is another array with some of v's keys, or v again; null if v is not an array
 *     merged       both unserialized, array_replace_recursive, serialize; null if PHP fails, at an array that contains itself
 *
 * The same seed gives the same values. References (R:) and shared objects (r:) occur anywhere in v, also in circles.
 */
declare(strict_types=1);

namespace Values;

class Plain
{
    public $a, $b;
    public function fill(callable $value): void { [$this->a, $this->b] = [$value(), $value()]; }
}

/** Private and protected names are written with NULs, and stay out of JSON. */
class Guarded
{
    private $secret;
    protected $kept;
    public $open;
    public function fill(callable $value): void { [$this->secret, $this->kept, $this->open] = [$value(), $value(), $value()]; }
}

/** A private of the same name as its parent's: two properties. */
class Heir extends Guarded
{
    private $secret;
    public function fill(callable $value): void { parent::fill($value); $this->secret = $value(); }
}

/** Writes itself under whole numbers, as many of PHP's own classes do. */
class Packed
{
    private array $parts = [];
    public function fill(callable $value): void { $this->parts = [$value(), 7 => $value()]; }
    public function __serialize(): array { return $this->parts; }
    public function __unserialize(array $parts): void { $this->parts = $parts; }
}

final class Maker
{
    private const KEYS = ['a', 'b', 'c', 'list', '名', '', '0', '-0', '007', '+1', ' 1', '1 ', '1.5', '1e3', 'true', '-5', '42',
        PHP_INT_MAX, PHP_INT_MIN, '9223372036854775808', '-9223372036854775809', "a\0b", 'a/b', '"', 's:1:"'];
    private const PIECES = ['a', 'Hello', ' ', '/', '\\', '"', "'", '";i:1;}', '<b>&amp;', "\0", "\x08\x0c\n\r\t", "\x1f", "\x7f",
        "\u{80}", 'é', '中文', '😀', "\u{2028}", "\u{2029}", "\u{feff}", "\u{ffff}", "\u{10ffff}"];
    /** No UTF-8: cut, overlong, a surrogate, beyond Unicode. */
    private const BROKEN = ["\xff", "\x80", "\xc3", "\xe4\xb8", "\xf0\x9f\x98", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
        "\xf4\x90\x80\x80"];
    private const CLASSES = [Plain::class, Guarded::class, Heir::class, Packed::class, \stdClass::class];

    /** What may be referred to again. */
    private array $cells = [];
    private array $objects = [];
    /** With what json_encode refuses: broken texts, INF, NAN. */
    private bool $isWild;

    public function begin(): void
    {
        [$this->cells, $this->objects, $this->isWild] = [[], [], mt_rand(0, 3) === 0];
    }

    public function value(int $depth): mixed
    {
        return match (mt_rand(0, $depth > 0 ? 10 : 6)) {
            0 => null,
            1 => (bool) mt_rand(0, 1),
            2, 3 => $this->whole(),
            4 => $this->float(),
            5, 6 => $this->text(),
            7, 8, 9 => $this->array($depth - 1),
            10 => $this->object($depth - 1),
        };
    }

    public function array(int $depth, array $like = []): array
    {
        $array = [];
        foreach ($like as $key => $value) {
            // Some of the same keys, deeper if both values are arrays.
            $turn = mt_rand(0, 3);
            if ($turn > 1 && is_array($value) && $depth > 0) {
                $array[$key] = $this->array($depth - 1, $value);
            } elseif ($turn > 0) {
                $this->put($array, $key, $depth);
            }
        }
        $isList = $array === [] && mt_rand(0, 2) === 0;
        for ($more = mt_rand(0, 5); $more > 0; $more--) {
            $this->put($array, $isList ? count($array) : $this->key(), $depth);
        }
        return $array;
    }

    private function put(array &$array, int|string $key, int $depth): void
    {
        if (array_key_exists($key, $array)) {
            return;
        }
        $turn = mt_rand(0, 99);
        if ($turn < 8 && $this->cells) {
            $array[$key] = &$this->cells[array_rand($this->cells)];
        } elseif ($turn < 14 && $this->objects) {
            $array[$key] = $this->objects[array_rand($this->objects)];
        } elseif ($turn < 15) {
            // Values inside may refer to it.
            $this->cells[] = &$array[$key];
            $array[$key] = $this->value($depth);
        } else {
            $array[$key] = $this->value($depth);
            if ($turn < 30) {
                $this->cells[] = &$array[$key];
            }
        }
    }

    private function object(int $depth): object
    {
        $class = self::CLASSES[array_rand(self::CLASSES)];
        $this->objects[] = $object = new $class;
        if (!$object instanceof \stdClass) {
            $object->fill(fn() => mt_rand(0, 9) ? $this->value($depth) : $this->objects[array_rand($this->objects)]);
            return $object;
        }
        $properties = $this->array($depth);
        foreach ($properties as $name => &$value) {
            if (!str_starts_with((string) $name, "\0")) {
                $object->{$name} = &$value;
            }
        }
        return $object;
    }

    private function key(): int|string
    {
        return match (mt_rand(0, 5)) {
            0, 1, 2 => self::KEYS[mt_rand(0, 4)],
            3 => mt_rand(-2, 6),
            4 => self::KEYS[array_rand(self::KEYS)],
            5 => $this->text(),
        };
    }

    private function whole(): int
    {
        return match (mt_rand(0, 3)) {
            0 => [0, 1, -1, PHP_INT_MAX, PHP_INT_MIN, 2 ** 53 + 1][mt_rand(0, 5)],
            1 => mt_rand(-1000, 1000),
            default => mt_rand(PHP_INT_MIN, PHP_INT_MAX) >> mt_rand(0, 62),
        };
    }

    private function float(): float
    {
        do {
            $float = any_float();
        } while (!$this->isWild && !is_finite($float));
        return $float;
    }

    private function text(): string
    {
        $pieces = $this->isWild ? [...self::PIECES, ...self::BROKEN] : self::PIECES;
        $text = '';
        for ($more = mt_rand(0, 4); $more > 0; $more--) {
            $text .= $pieces[array_rand($pieces)];
        }
        return mt_rand(0, 40) === 0 ? str_repeat($text, 50) : $text;
    }
}

function any_float(): float
{
    $digits = mt_rand(0, 10 ** mt_rand(1, 17)) * (mt_rand(0, 1) * 2 - 1);
    return match (mt_rand(0, 4)) {
        0 => [0.0, -0.0, INF, -INF, NAN, 0.1, 0.1 + 0.2, 1e15, 1e-7, 2.0 ** 63, PHP_FLOAT_MAX, PHP_FLOAT_MIN, 5e-324][mt_rand(0, 12)],
        1 => (float) $digits,
        2 => $digits / 10 ** mt_rand(1, 20),
        // Near the limits of the notations.
        3 => (float) (mt_rand(1, 9999) . 'e' . mt_rand(-10, 25)),
        4 => unpack('E', pack('NN', mt_rand(0, 0xffffffff), mt_rand(0, 0xffffffff)))[1],
    };
}

/** As a gateway does it: both are read from their texts, and live until the result is written. */
function merged(string $session, string $update): ?string
{
    [$old, $new] = [unserialize($session), unserialize($update)];
    try {
        return serialize(array_replace_recursive($old, $new));
    } catch (\Error) {
        return null;
    }
}

function hex(string|false|null $bytes): ?string { return is_string($bytes) ? bin2hex($bytes) : null; }

ini_set('serialize_precision', '-1');
[, $count, $seed] = $argv;
mt_srand((int) $seed);

for ($line = 0; $line < 8; $line++) {
    $floats = [];
    for ($more = 64; $more > 0; $more--) {
        $float = any_float();
        $floats[bin2hex(pack('E', $float))] = serialize($float);
    }
    echo json_encode(['floats' => $floats]), "\n";
}

$maker = new Maker;
for (; $count > 0; $count--) {
    $maker->begin();
    $value = mt_rand(0, 3) ? $maker->array(3) : $maker->value(3);
    $serialized = serialize($value);
    $maker->begin();
    $with = is_array($value) ? (mt_rand(0, 9) ? serialize($maker->array(3, $value)) : $serialized) : null;
    echo json_encode([
        'serialized' => hex($serialized),
        'json' => hex(json_encode(unserialize($serialized, ['allowed_classes' => false]), JSON_UNESCAPED_UNICODE)),
        'merge_with' => hex($with),
        'merged' => hex($with === null ? null : merged($serialized, $with)),
    ]), "\n";
}
