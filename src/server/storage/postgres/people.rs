//! People: guests and accounts.

use super::{PostgresStore, corrupt, to_sql};
use crate::domain::{id::Uid, room::Person};
use crate::server::names::{account_key, former_account_key};
use crate::server::storage::raw_rows::hashes;
use crate::server::storage::{NewPassword, NewPerson, PersonRow, Result, StorageError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Rooms that get the owner as host in one transaction.
const ROOMS_PER_GIVING: i64 = 500;
/// Time in which a busy transaction of these is repeated, and the pause before.
const GIVE_WITHIN: Duration = Duration::from_secs(10);
const GIVE_PAUSE: Duration = Duration::from_millis(50);

struct RawPerson {
    uid: String,
    nickname: String,
    account: Option<String>,
    password: Option<String>,
    is_owner: bool,
}

impl RawPerson {
    fn into_person(self) -> Result<PersonRow> {
        let uid = self.uid.parse().map_err(|_| corrupt("uid"))?;
        let person = Person { uid, nickname: self.nickname, account: self.account };
        Ok(PersonRow { person, password: self.password, is_owner: self.is_owner })
    }
}

impl PostgresStore {
    pub(crate) async fn person_by_account(&self, account: &str) -> Result<Option<PersonRow>> {
        let (key, former_key) = (account_key(account), former_account_key(account));
        let person = self.readers.read(async |db| {
            sqlx::query_as!(
                RawPerson,
                "SELECT uid, nickname, account, password, is_owner FROM roomcast.people WHERE account_key IN ($1, $2)
                ORDER BY account_key = $1 DESC LIMIT 1",
                key,
                former_key
            )
            .fetch_optional(db)
            .await
        });
        person.await?.map(RawPerson::into_person).transpose()
    }

    pub(crate) async fn accounts(&self) -> Result<Vec<PersonRow>> {
        let people = self.readers.read(async |db| {
            sqlx::query_as!(
                RawPerson,
                "SELECT uid, nickname, account, password, is_owner FROM roomcast.people
                WHERE account IS NOT NULL ORDER BY created_at, uid"
            )
            .fetch_all(db)
            .await
        });
        people.await?.into_iter().map(RawPerson::into_person).collect()
    }

    pub(crate) async fn host_nicknames(&self) -> Result<Vec<(Uid, String)>> {
        let rows = self.readers.read(async |db| {
            sqlx::query!("SELECT uid, nickname FROM roomcast.people WHERE uid IN (SELECT host FROM roomcast.rooms)")
                .fetch_all(db)
                .await
        });
        rows.await?.into_iter().map(|row| Ok((row.uid.parse().map_err(|_| corrupt("uid"))?, row.nickname))).collect()
    }

    pub(crate) async fn put_account(&self, new: NewPerson<'_>) -> Result<()> {
        let (uid, created_at, key) = (new.uid.as_str(), to_sql(new.created_at), account_key(new.account));
        let stored = self.writers.write(async |db| {
            sqlx::query!(
                "INSERT INTO roomcast.people (uid, nickname, account, account_key, password, created_at)
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (uid) DO UPDATE
                SET nickname = $2, account = $3, account_key = $4, password = $5 WHERE people.account IS NULL",
                uid,
                new.nickname,
                new.account,
                key,
                new.password,
                created_at
            )
            .execute(db)
            .await
        });
        // No row changed: the uid is an account already, as after two concurrent registrations of one guest.
        if stored.await?.rows_affected() == 1 { Ok(()) } else { Err(StorageError::NameTaken) }
    }

    pub(crate) async fn set_password(&self, uid: &Uid, password: &str) -> Result<()> {
        let uid = uid.as_str();
        let set = self.writers.transaction(async |db| {
            sqlx::query!("UPDATE roomcast.people SET password = $1 WHERE uid = $2", password, uid).execute(&mut *db).await?;
            sqlx::query!("DELETE FROM roomcast.devices WHERE uid = $1", uid).execute(db).await
        });
        set.await.map(|_| ())
    }

    pub(crate) async fn change_password(&self, new: NewPassword<'_>) -> Result<Option<Vec<[u8; 32]>>> {
        let NewPassword { uid, replaced, password, kept_device, kept_session } = new;
        let uid = uid.as_str();
        let changed = self.writers.transaction(async |db| {
            let changed = sqlx::query!(
                "UPDATE roomcast.people SET password = $1 WHERE uid = $2 AND password = $3",
                password,
                uid,
                replaced
            );
            if changed.execute(&mut *db).await?.rows_affected() == 0 {
                return Ok(None);
            }
            sqlx::query!("DELETE FROM roomcast.devices WHERE uid = $1 AND hash <> $2", uid, kept_device)
                .execute(&mut *db)
                .await?;
            let ended = sqlx::query_scalar!(
                "DELETE FROM roomcast.sessions WHERE uid = $1 AND token_hash <> $2 RETURNING token_hash",
                uid,
                kept_session
            );
            ended.fetch_all(db).await.map(Some)
        });
        changed.await?.map(hashes).transpose()
    }

    pub(crate) async fn claim_ownership(&self, uid: &Uid, token_hash: &[u8]) -> Result<bool> {
        let uid = uid.as_str();
        let is_claimed = self.writers.transaction(async |db| {
            let used = sqlx::query!("DELETE FROM roomcast.facts WHERE name = 'owner_link' AND value = $1", token_hash);
            if used.execute(&mut *db).await?.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query!("UPDATE roomcast.people SET is_owner = true WHERE uid = $1", uid).execute(&mut *db).await?;
            Ok(true)
        });
        if !is_claimed.await? {
            return Ok(false);
        }
        let given = self.give_rooms(uid).await;
        self.settings.forget_all();
        given.map(|()| true)
    }

    /// Makes the owner host of the rooms without one, some in each transaction, since a site may have many. A busy transaction is
    /// repeated until [`GIVE_WITHIN`]; the rooms that are left then stay without a host.
    async fn give_rooms(&self, uid: &str) -> Result<()> {
        let until = Instant::now() + GIVE_WITHIN;
        let mut after = String::new();
        loop {
            match self.give_next_rooms(uid, &after).await {
                Ok(Some(last)) => after = last,
                Ok(None) => return Ok(()),
                Err(error) if error.may_pass() && Instant::now() < until => sleep(GIVE_PAUSE).await,
                Err(error) if error.may_pass() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the last room that got its host; `None` after the last one of all.
    async fn give_next_rooms(&self, uid: &str, after: &str) -> Result<Option<String>> {
        let given = self.writers.transaction(async |db| {
            // In the order of a commit's locks, so that the two never wait for each other.
            let rooms = sqlx::query_scalar!(
                "SELECT heads.room FROM roomcast.heads JOIN roomcast.rooms ON rooms.room = heads.room
                WHERE rooms.host IS NULL AND rooms.deleted_at IS NULL AND heads.room > $1
                ORDER BY heads.room LIMIT $2 FOR UPDATE OF heads",
                after,
                ROOMS_PER_GIVING
            );
            let rooms = rooms.fetch_all(&mut *db).await?;
            let given = sqlx::query!(
                "UPDATE roomcast.rooms SET host = $1 WHERE room = ANY ($2) AND host IS NULL AND deleted_at IS NULL",
                uid,
                &rooms
            );
            given.execute(db).await?;
            Ok(rooms.into_iter().last())
        });
        given.await
    }

    pub(crate) async fn is_owner(&self, uid: &Uid) -> Result<bool> {
        let uid = uid.as_str();
        let is_owner = self.readers.read(async |db| {
            sqlx::query_scalar!("SELECT is_owner FROM roomcast.people WHERE uid = $1", uid).fetch_optional(db).await
        });
        Ok(is_owner.await? == Some(true))
    }

    pub(crate) async fn has_owner(&self) -> Result<bool> {
        let has_owner = self.readers.read(async |db| {
            sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM roomcast.people WHERE is_owner) AS "has!""#).fetch_one(db).await
        });
        has_owner.await
    }
}
