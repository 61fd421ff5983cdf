SELECT nickname, account, is_owner, created_at,
    EXISTS (SELECT 1 FROM roomcast.rooms WHERE room = $2 AND host = people.uid AND deleted_at IS NULL) AS "is_host!",
    (SELECT role FROM roomcast.roles WHERE roles.room = $2 AND roles.uid = people.uid) AS "role?"
FROM roomcast.people
WHERE uid = $1
