<?php
/*
 * GatewayClient's calls, written anew from the wire format: the same names, arguments and results. One connection per call,
 * closed as soon as the bytes are written; with $persistentConnection one connection for all commands and queries in order, as
 * in GatewayWorker's own variant.
 *
 * It has the weaknesses of the original that a server must know: the listings of all groups stop at the first client without a
 * uid or a group, and one-way calls do not wait.
 */
declare(strict_types=1);

require __DIR__ . '/wire.php';

final class Gateway extends Wire
{
    // Sending

    public static function sendToAll(mixed $message, ?array $ids = null, array|string|null $exclude = null, bool $raw = false): void
    {
        if ($ids !== null) {
            foreach (self::byAddress(array_diff($ids, (array) $exclude)) as $address => $connections) {
                self::tell($address, 6, 0, json_encode(['connections' => $connections]), $message, $raw);
            }
            return;
        }
        $excluded = self::byAddress((array) $exclude);
        foreach (self::addresses() as $address) {
            $ext = isset($excluded[$address]) ? json_encode(['exclude' => $excluded[$address]]) : '';
            self::tell($address, 6, 0, $ext, $message, $raw);
        }
    }

    public static function sendToClient(string $id, mixed $message): bool { return self::tellClient($id, 5, '', $message); }

    public static function sendToUid(mixed $uid, mixed $message): void
    {
        self::tellAll(14, self::json(is_array($uid) ? $uid : [$uid]), $message);
    }

    /** @return false|null false: no group was named, and nothing sent */
    public static function sendToGroup(mixed $group, mixed $message, array|string|null $exclude = null, bool $raw = false): ?bool
    {
        if (!$group) {
            return false;
        }
        $excluded = self::byAddress((array) $exclude);
        foreach (self::addresses() as $address) {
            $ext = self::json(['group' => is_array($group) ? $group : [$group], 'exclude' => $excluded[$address] ?? null]);
            self::tell($address, 22, 0, $ext, $message, $raw);
        }
        return null;
    }

    // Clients, uids, groups

    public static function closeClient(string $id, mixed $message = null): bool { return self::tellClient($id, 7, '', $message); }
    public static function destoryClient(string $id): bool { return self::tellClient($id, 8); }
    public static function isOnline(string $id): int { return (int) self::askClient($id, 11); }
    public static function bindUid(string $id, mixed $uid): void { self::tellClient($id, 12, self::name($uid)); }
    public static function unbindUid(string $id, mixed $uid): void { self::tellClient($id, 13, self::name($uid)); }
    public static function joinGroup(string $id, mixed $group): void { self::tellClient($id, 20, self::name($group)); }
    public static function leaveGroup(string $id, mixed $group): void { self::tellClient($id, 21, self::name($group)); }

    /** @return false|null false: no group was named */
    public static function ungroup(mixed $group): ?bool
    {
        if (!$group) {
            return false;
        }
        self::tellAll(27, self::name($group));
        return null;
    }

    // Sessions

    public static function setSession(string $id, array $session): void { self::tellClient($id, 204, serialize($session)); }
    public static function setSocketSession(string $id, string $text): bool { return self::tellClient($id, 204, $text); }
    public static function updateSession(string $id, array $session): void { self::tellClient($id, 9, serialize($session)); }
    public static function getSession(string $id): mixed { return self::askClient($id, 203); }

    public static function getAllClientSessions(mixed $group = ''): array
    {
        $sessions = $group ? self::askAll(23, self::name($group)) : self::askAll(10);
        return array_map(fn($text) => $text ? unserialize($text) : [], self::byClient($sessions));
    }
    public static function getClientSessionsByGroup(mixed $group): array { return self::getAllClientSessions($group); }
    public static function getAllClientInfo(mixed $group = ''): array { return self::getAllClientSessions($group); }
    public static function getClientInfoByGroup(mixed $group): array { return self::getAllClientSessions($group); }

    // Counts and lists

    public static function getClientIdCountByGroup(mixed $group = ''): int { return array_sum(self::askAll(24, (string) $group)); }
    public static function getClientCountByGroup(mixed $group = ''): int { return self::getClientIdCountByGroup($group); }
    public static function getAllClientIdCount(): int { return self::getClientIdCountByGroup(); }
    public static function getAllClientCount(): int { return self::getClientIdCountByGroup(); }

    public static function batchGetClientIdCountByGroup(array $groups): array
    {
        $counts = [];
        foreach (self::askAll(28, self::json($groups)) as $ofOne) {
            foreach ($ofOne as $group => $count) {
                $counts[$group] = ($counts[$group] ?? 0) + $count;
            }
        }
        return $counts;
    }

    public static function getClientIdByUid(mixed $uid): array
    {
        $found = [];
        foreach (self::askAll(15, self::name($uid)) as $address => $connections) {
            array_push($found, ...array_map(fn($connection) => self::clientId($address, $connection), $connections));
        }
        return $found;
    }
    public static function isUidOnline(mixed $uid): int { return (int) (bool) self::getClientIdByUid($uid); }

    public static function batchGetClientIdByUid(array $uids): array
    {
        $found = [];
        foreach (self::askAll(16, self::json($uids)) as $address => $ofOne) {
            foreach ($ofOne as $uid => $connections) {
                $ids = array_map(fn($connection) => self::clientId($address, $connection), $connections);
                $found[$uid] = array_merge($found[$uid] ?? [], $ids);
            }
        }
        return $found;
    }
    public static function isUidsOnline(array $uids): array
    {
        return array_map(fn($ids) => (int) (bool) $ids, self::batchGetClientIdByUid($uids));
    }

    public static function getUidByClientId(string $id): ?string
    {
        [$address, $connection] = self::parts($id);
        $ext = json_encode(['fields' => ['uid'], 'where' => ['connection_id' => [$connection => $connection]]]);
        return self::ask($address, 25, 0, $ext)[$connection]['uid'] ?? null;
    }
    public static function getClientIdListByGroup(mixed $group): array { return self::ids(['groups' => (array) $group], !$group); }
    public static function getUidListByGroup(mixed $group): array { return self::uids(['groups' => (array) $group], !$group); }
    public static function getUidCountByGroup(mixed $group): int { return count(self::getUidListByGroup($group)); }
    public static function getAllClientIdList(): array { return self::ids([]); }
    public static function getAllUidList(): array { return self::uids([]); }
    public static function getAllUidCount(): int { return count(self::uids([])); }
    public static function getAllGroupUidList(): array { return self::groups(['uid', 'groups'], 'uid'); }
    public static function getAllGroupUidCount(): array { return array_map('count', self::getAllGroupUidList()); }
    public static function getAllGroupClientIdList(): array { return self::groups(['groups'], null); }
    public static function getAllGroupClientIdCount(): array { return array_map('count', self::getAllGroupClientIdList()); }

    public static function getAllGroupIdList(): array
    {
        $groups = array_merge([], ...array_values(self::askAll(26)));
        return array_combine($groups, $groups);
    }

    private static function ids(array $where, bool $none = false): array
    {
        $ids = $none ? [] : array_keys(self::byClient(self::select(['uid'], $where)));
        return array_combine($ids, $ids);
    }

    private static function uids(array $where, bool $none = false): array
    {
        $rows = $none ? [] : self::byClient(self::select(['uid'], $where));
        $uids = array_filter(array_column($rows, 'uid'));
        return array_combine($uids, $uids);
    }

    /** Each group's members, by uid or by client_id. Like the original it reads each gateway's rows only up to an empty one. */
    private static function groups(array $fields, ?string $by): array
    {
        $groups = [];
        foreach (self::select($fields, []) as $address => $rows) {
            foreach ($rows as $connection => $row) {
                if (empty($row['groups']) || ($by && empty($row[$by]))) {
                    break;
                }
                $member = $by ? $row[$by] : self::clientId($address, $connection);
                foreach ($row['groups'] as $group) {
                    $groups[$group][$member] = $member;
                }
            }
        }
        return $groups;
    }

    private static function select(array $fields, array $where): array
    {
        return self::askAll(25, self::json(compact('fields', 'where')));
    }
}
