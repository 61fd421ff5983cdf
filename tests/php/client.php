<?php
/*
 * Makes every call of GatewayClient against a running node with two sockets, and checks the results.
 *
 *     php tests/php/client.php <register host:port> <client_id of A> <client_id of B> [secret] [inner addresses with commas]
 *
 * The addresses are those of several nodes; without them there is one. A and B are the only sockets, of the plain dialect, without uid, group or session. Prints one line of JSON per check,
 * {"check", "ok", "got", "want"}; the exit code is 1 if one failed. One-way calls use connections of their own and have no
 * reply, so each check repeats its query for up to 5 s.
 *
 * After `init` the sockets receive exactly this, in this order (text frames, unless stated):
 *
 *     A                                        B
 *     to all                                   to all
 *     to A                                     not to A
 *     not to B                                 {"type":"array","text":"中\/文"}
 *     A less B                                 raw
 *     {"type":"array","text":"中\/文"}          to 1001
 *     raw                                      to "1001"
 *     42                                       to uids
 *     1.5                                      to room
 *     1                                        to odd
 *     (an empty frame)                         to groups
 *     null                                     room less A
 *     (an empty frame)                         ff 00, a binary frame
 *     b, 70,000 times                          {"a":1,"b":[]}
 *     to u1                                    burst, in 20 frames
 *     to uids
 *     to uids
 *     to room
 *     to 42
 *     to "42"
 *     to groups
 *     to groups
 *     room less B
 *     {"a":1,"b":[]}
 *     bye A
 *     the end of the stream, without a close frame
 */
declare(strict_types=1);

require __DIR__ . '/gateway.php';

const ODD = 'a/b"c\\d 房间😀';

ini_set('display_errors', 'stderr');
set_error_handler(fn($level, $text) => throw new ErrorException($text));

/** What sits in a session: classes travel through the node unseen. */
final class Basket
{
    public array $lines = [1 => 'tea'];
    protected float $total = 1.5;
    private ?self $parent = null;
    public function within(self $parent): self { $this->parent = $parent; return $this; }
}

/** Asks until the answer is, type for type, the one that is wanted. */
function check(string $name, mixed $want, callable $ask): void
{
    global $failed;
    $until = microtime(true) + 5;
    do {
        try {
            $got = $ask();
        } catch (Throwable $failure) {
            $got = get_class($failure) . ': ' . $failure->getMessage();
        }
        $ok = serialize($got) === serialize($want);
    } while (!$ok && microtime(true) < $until && usleep(20_000) === null);
    $failed = $failed || !$ok;
    $line = ['check' => $name, 'ok' => $ok, 'got' => $got, 'want' => $want];
    echo json_encode($line, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR), "\n";
}

/** Where the order of a listing is not what is checked; that is what the recorded bytes are for. */
function sorted(array $found): array
{
    $found = array_map(fn($value) => is_array($value) ? sorted($value) : $value, $found);
    array_is_list($found) ? sort($found, SORT_STRING) : ksort($found, SORT_STRING);
    return $found;
}

/** Each name under itself, sorted: what most listings are. */
function named(string|int ...$names): array
{
    return sorted(array_combine($names, $names));
}

function refused(callable $ask): string
{
    try {
        return 'answered: ' . json_encode($ask());
    } catch (Throwable $failure) {
        return $failure->getMessage() === 'silent' ? 'silent' : 'closed';
    }
}

[, Gateway::$registerAddress, $a, $b] = $argv;
$secret = Gateway::$secretKey = $argv[4] ?? '';
$gone = substr($a, 0, 12) . 'ffffffff';
$failed = false;

// The key

$nodes = sorted(isset($argv[5]) ? explode(',', $argv[5]) : [Gateway::parts($a)[0]]);
check('Register tells the addresses', $nodes, fn() => sorted(Gateway::addresses()));
Gateway::$secretKey = 'not the key';
check('Register closes on a wrong key', 'closed', fn() => refused(fn() => Gateway::addresses()));
check('the inner address closes on a wrong key', 'closed', fn() => refused(fn() => Gateway::isOnline($a)));
Gateway::$secretKey = $secret;

// Connected clients

check('isOnline', [1, 1, 0, 1], fn() => array_map(Gateway::isOnline(...), [$a, $b, $gone, strtoupper($a)]));
check('getAllClientIdList', named($a, $b), fn() => sorted(Gateway::getAllClientIdList()));
check('getAllClientIdCount', [2, 2, 2], fn() => [Gateway::getAllClientIdCount(), Gateway::getAllClientCount(),
    Gateway::getClientIdCountByGroup()]);
check('nothing yet', [null, [], [], 0, []], fn() => [Gateway::getUidByClientId($a), Gateway::getAllUidList(),
    Gateway::getAllGroupIdList(), Gateway::getAllUidCount(), Gateway::getAllGroupUidList()]);

// Listings of all groups stop at the first row that lacks a field, in whichever order clients connected: full rows come first

Gateway::bindUid($b, 1001);
Gateway::joinGroup($b, 'room');
check('getAllGroupUidList, B', ['room' => named('1001')], fn() => Gateway::getAllGroupUidList());
check('getAllGroupClientIdList, B', ['room' => named($b)], fn() => Gateway::getAllGroupClientIdList());
Gateway::unbindUid($b, 'whatever it is');
Gateway::bindUid($a, 'former');
check('getUidByClientId', ['former', null], fn() => [Gateway::getUidByClientId($a), Gateway::getUidByClientId($b)]);
check('getAllGroupUidList, nobody with both', [], fn() => Gateway::getAllGroupUidList());
check('getAllGroupClientIdList, one without a uid', ['room' => named($b)], fn() => Gateway::getAllGroupClientIdList());
Gateway::joinGroup($a, 'room');
check('getAllGroupUidList, A', ['room' => named('former')], fn() => Gateway::getAllGroupUidList());
check('getAllGroupClientIdCount', ['room' => 2], fn() => Gateway::getAllGroupClientIdCount());
check('getAllGroupUidCount', ['room' => 1], fn() => Gateway::getAllGroupUidCount());

// Uids: one per client, many clients per uid

Gateway::bindUid($a, 'u1');
check('another uid', [0, [$a]], fn() => [Gateway::isUidOnline('former'), Gateway::getClientIdByUid('u1')]);
foreach (['', '0', 0, null, false] as $falsy) {
    Gateway::bindUid($a, $falsy);
}
Gateway::bindUid($gone, 'u9');
Gateway::bindUid($b, 'u1');
check('getClientIdByUid', sorted([$a, $b]), fn() => sorted(Gateway::getClientIdByUid('u1')));
Gateway::bindUid($b, 1001);
check('getClientIdByUid, whole numbers', [[$b], [$b], []], fn() => array_map(Gateway::getClientIdByUid(...), [1001, '1001', '']));
check('batchGetClientIdByUid', ['u1' => [$a], 1001 => [$b], 'nobody' => []],
    fn() => Gateway::batchGetClientIdByUid(['u1', '1001', 'nobody']));
check('isUidsOnline', ['u1' => 1, 1001 => 1, 'u9' => 0], fn() => Gateway::isUidsOnline(['u1', 1001, 'u9']));
check('getAllUidList', named('u1', '1001'), fn() => sorted(Gateway::getAllUidList()));
check('getAllUidCount', 2, fn() => Gateway::getAllUidCount());
check('getUidByClientId is a text', ['u1', '1001', null], fn() => array_map(Gateway::getUidByClientId(...), [$a, $b, $gone]));

// Groups

foreach (['room', 42, '42', '007', -5, '0', ''] as $group) {
    Gateway::joinGroup($a, $group);
}
Gateway::joinGroup($b, ODD);
check('getAllGroupIdList', named('room', 42, '007', -5, ODD), fn() => sorted(Gateway::getAllGroupIdList()));
check('getClientIdListByGroup', named($a, $b), fn() => sorted(Gateway::getClientIdListByGroup('room')));
check('getClientIdListByGroup, several', named($a, $b), fn() => sorted(Gateway::getClientIdListByGroup(['42', ODD])));
check('getClientIdListByGroup, none', [[], [], named($a)], fn() => array_map(Gateway::getClientIdListByGroup(...), ['none', 0, 42]));
check('getClientIdCountByGroup', [2, 1, 1, 0, 0, 2],
    fn() => array_map(Gateway::getClientIdCountByGroup(...), ['room', '42', ODD, '7', '0', '']));
check('getClientCountByGroup', 2, fn() => Gateway::getClientCountByGroup('room'));
check('batchGetClientIdCountByGroup', ['room' => 2, 42 => 1, 'none' => 0, 0 => 0, '007' => 1],
    fn() => Gateway::batchGetClientIdCountByGroup(['room', '42', 'none', '0', '007']));
check('getUidListByGroup', named('u1', '1001'), fn() => sorted(Gateway::getUidListByGroup(['room', ODD])));
check('getUidCountByGroup', [2, 1], fn() => [Gateway::getUidCountByGroup('room'), Gateway::getUidCountByGroup(42)]);
$uids = ['room' => named('u1', '1001'), 42 => named('u1'), '007' => named('u1'), -5 => named('u1'), ODD => named('1001')];
check('getAllGroupUidList', sorted($uids), fn() => sorted(Gateway::getAllGroupUidList()));
Gateway::leaveGroup($a, '007');
Gateway::leaveGroup($b, 42);
Gateway::ungroup(-5);
check('leaveGroup and ungroup', named('room', 42, ODD), fn() => sorted(Gateway::getAllGroupIdList()));
check('no group is no call', [false, false], fn() => [Gateway::ungroup(0), Gateway::sendToGroup('0', 'nobody')]);

$crowd = array_map(fn($number) => "crowd $number", range(1, 40));
array_map(fn($group) => Gateway::joinGroup($a, $group), $crowd);
check('40 groups at once', array_fill_keys($crowd, 1), fn() => Gateway::batchGetClientIdCountByGroup($crowd));
array_map(Gateway::ungroup(...), $crowd);
check('and none', array_fill_keys($crowd, 0), fn() => Gateway::batchGetClientIdCountByGroup($crowd));

// Sessions

$first = ['名' => '张三', 'nul' => null, 'f' => 0.1, 'big' => 1e25, 't' => true, 'l' => [1, 2, 3], 'in' => ['deep' => ['x' => 1]],
    7 => "\xff\0", 'o' => new Basket];
$first['in']['same'] = &$first['f'];
$first['p'] = (new Basket)->within($first['o']);
$more = ['nul' => ['now' => 'an array'], 'l' => [1 => 'two', 5 => 'six'], 'in' => ['deep' => ['y' => -0.0], 'new' => []], 't' => [],
    8 => PHP_INT_MIN];
check('a session that was never set', [[], null], fn() => [Gateway::getSession($a), Gateway::getSession($gone)]);
Gateway::setSession($a, $first);
check('setSession', $first, fn() => Gateway::getSession($a));
Gateway::updateSession($a, $more);
$merged = array_replace_recursive(unserialize(serialize($first)), unserialize(serialize($more)));
check('updateSession', $merged, fn() => Gateway::getSession($a));
Gateway::updateSession($b, $more);
check('updateSession, the first', $more, fn() => Gateway::getSession($b));
Gateway::setSession($b, []);
check('setSession, empty', [], fn() => Gateway::getSession($b));
Gateway::updateSession($b, ['k' => 'v']);
check('getAllClientSessions', sorted([$a => $merged, $b => ['k' => 'v']]), fn() => sorted(Gateway::getAllClientSessions()));
check('getClientSessionsByGroup', [[$b => ['k' => 'v']], []],
    fn() => [Gateway::getClientSessionsByGroup(ODD), Gateway::getClientSessionsByGroup('none')]);
check('under the old names', [2, 1], fn() => [count(Gateway::getAllClientInfo()), count(Gateway::getClientInfoByGroup(42))]);
Gateway::setSocketSession($b, 'a:1:{s:3:"raw";i:1;}');
check('setSocketSession', ['raw' => 1], fn() => Gateway::getSession($b));
Gateway::setSocketSession($b, '');
check('setSocketSession, cleared', [], fn() => Gateway::getSession($b));
Gateway::setSession($b, ['long' => str_repeat('s', 1_000_000)]);
check('a long session', 1_000_000, fn() => strlen(Gateway::getSession($b)['long'] ?? ''));

// The messages of the sockets: over one connection, so in this order

Gateway::$persistentConnection = true;
Gateway::sendToAll('to all');
Gateway::sendToAll('to A', [$a, $gone]);
Gateway::sendToAll('not to A', null, [$a]);
Gateway::sendToAll('not to B', null, $b);
Gateway::sendToAll('A less B', [$a, $b], $b);
Gateway::sendToAll('nobody', []);
Gateway::sendToAll(['type' => 'array', 'text' => '中/文']);
Gateway::sendToAll("\x81\x03raw", null, null, true);
foreach ([42, 1.5, true, false, null, '', str_repeat('b', 70_000)] as $message) {
    Gateway::sendToClient($a, $message);
}
Gateway::sendToClient($gone, 'nobody');
Gateway::sendToUid('u1', 'to u1');
Gateway::sendToUid(1001, 'to 1001');
Gateway::sendToUid('1001', 'to "1001"');
Gateway::sendToUid(['u1', 'nobody', 'u1', 1001], 'to uids');
Gateway::sendToGroup('room', 'to room');
Gateway::sendToGroup(42, 'to 42');
Gateway::sendToGroup('42', 'to "42"');
Gateway::sendToGroup(ODD, 'to odd');
Gateway::sendToGroup(['room', 42, '0', 'none'], 'to groups');
Gateway::sendToGroup('room', 'room less A', $a);
Gateway::sendToGroup('room', 'room less B', [$b]);
Gateway::sendToGroup('room', "\x82\x02\xff\x00", [$a], true);
Gateway::sendToGroup('room', ['a' => 1, 'b' => []]);
// A reply on the same connection: all commands before it are done.
check('a kept connection answers in order', [1, 2], fn() => [Gateway::isOnline($a), Gateway::getAllClientIdCount()]);
Gateway::$persistentConnection = false;

// The kick of A

for ($i = 0; $i < 20; $i++) {
    Gateway::sendToClient($b, 'burst');
}
check('what reaches nobody', [true, true], fn() => [Gateway::closeClient($gone, 'nobody'), Gateway::destoryClient($gone)]);
Gateway::closeClient($a, 'bye A');
check('closeClient', [0, 1, 1], fn() => [Gateway::isOnline($a), Gateway::isOnline($b), Gateway::getAllClientIdCount()]);
check('nothing of A remains', [0, named(ODD, 'room'), null, null], fn() => [Gateway::isUidOnline('u1'),
    sorted(Gateway::getAllGroupIdList()), Gateway::getUidByClientId($a), Gateway::getSession($a)]);
exit((int) $failed);
