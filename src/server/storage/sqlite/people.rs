//! People: guests and accounts.

use super::{SqliteStore, corrupt, finish, to_sql};
use crate::domain::{id::Uid, room::Person};
use crate::server::names::{account_key, former_account_key};
use crate::server::storage::raw_rows::hashes;
use crate::server::storage::{NewPassword, NewPerson, PersonRow, Result, StorageError};
use sqlx::{Connection, SqliteConnection};

struct RawPerson {
    uid: String,
    nickname: String,
    account: Option<String>,
    password: Option<String>,
    is_owner: i64,
}

impl RawPerson {
    fn into_person(self) -> Result<PersonRow> {
        let uid = self.uid.parse().map_err(|_| corrupt("uid"))?;
        let person = Person { uid, nickname: self.nickname, account: self.account };
        Ok(PersonRow { person, password: self.password, is_owner: self.is_owner != 0 })
    }
}

impl SqliteStore {
    pub(crate) async fn person_by_account(&self, account: &str) -> Result<Option<PersonRow>> {
        let (key, former_key) = (account_key(account), former_account_key(account));
        sqlx::query_as!(
            RawPerson,
            "SELECT uid, nickname, account, password, is_owner FROM people WHERE account_key IN (?1, ?2)
            ORDER BY account_key = ?1 DESC LIMIT 1",
            key,
            former_key
        )
        .fetch_optional(&self.readers)
        .await?
        .map(RawPerson::into_person)
        .transpose()
    }

    pub(crate) async fn accounts(&self) -> Result<Vec<PersonRow>> {
        sqlx::query_as!(
            RawPerson,
            "SELECT uid, nickname, account, password, is_owner FROM people WHERE account IS NOT NULL ORDER BY created_at"
        )
        .fetch_all(&self.readers)
        .await?
        .into_iter()
        .map(RawPerson::into_person)
        .collect()
    }

    pub(crate) async fn host_nicknames(&self) -> Result<Vec<(Uid, String)>> {
        let rows = sqlx::query!("SELECT uid, nickname FROM people WHERE uid IN (SELECT host FROM rooms)");
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter().map(|row| Ok((row.uid.parse().map_err(|_| corrupt("uid"))?, row.nickname))).collect()
    }

    pub(crate) async fn put_account(&self, new: NewPerson<'_>) -> Result<()> {
        let (uid, created_at, key) = (new.uid.as_str(), to_sql(new.created_at), account_key(new.account));
        let stored = sqlx::query!(
            "INSERT INTO people (uid, nickname, account, account_key, password, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (uid) DO UPDATE SET nickname = ?2, account = ?3, account_key = ?4, password = ?5 WHERE people.account IS NULL",
            uid,
            new.nickname,
            new.account,
            key,
            new.password,
            created_at
        )
        .execute(&self.writer)
        .await;
        match stored {
            // A conflict of the uid is handled by ON CONFLICT: this one is of the unique index on the account name.
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
                Err(StorageError::NameTaken)
            }
            // No row changed: the uid is an account already, as after two concurrent registrations of one guest.
            stored => {
                if stored?.rows_affected() == 1 {
                    Ok(())
                } else {
                    Err(StorageError::NameTaken)
                }
            }
        }
    }

    pub(crate) async fn set_password(&self, uid: &Uid, password: &str) -> Result<()> {
        let mut connection = self.writer.acquire().await?;
        let set = set_password(&mut connection, uid.as_str(), password).await;
        finish(connection, set)
    }

    pub(crate) async fn change_password(&self, new: NewPassword<'_>) -> Result<Option<Vec<[u8; 32]>>> {
        let mut connection = self.writer.acquire().await?;
        let changed = change_password(&mut connection, new).await;
        finish(connection, changed)
    }

    pub(crate) async fn claim_ownership(&self, uid: &Uid, token_hash: &[u8]) -> Result<bool> {
        let mut connection = self.writer.acquire().await?;
        let claimed = claim_ownership(&mut connection, uid.as_str(), token_hash).await;
        finish(connection, claimed)
    }

    pub(crate) async fn is_owner(&self, uid: &Uid) -> Result<bool> {
        let uid = uid.as_str();
        let row = sqlx::query_scalar!("SELECT is_owner FROM people WHERE uid = ?", uid).fetch_optional(&self.readers).await?;
        Ok(row == Some(1))
    }

    pub(crate) async fn has_owner(&self) -> Result<bool> {
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM people WHERE is_owner = 1"#)
            .fetch_one(&self.readers)
            .await?;
        Ok(count > 0)
    }
}

async fn set_password(connection: &mut SqliteConnection, uid: &str, password: &str) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query!("UPDATE people SET password = ? WHERE uid = ?", password, uid).execute(&mut *transaction).await?;
    sqlx::query!("DELETE FROM devices WHERE uid = ?", uid).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn change_password(connection: &mut SqliteConnection, new: NewPassword<'_>) -> Result<Option<Vec<[u8; 32]>>> {
    let NewPassword { uid, replaced, password, kept_device, kept_session } = new;
    let uid = uid.as_str();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let changed = sqlx::query!("UPDATE people SET password = ?1 WHERE uid = ?2 AND password = ?3", password, uid, replaced)
        .execute(&mut *transaction)
        .await?;
    if changed.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query!("DELETE FROM devices WHERE uid = ? AND hash <> ?", uid, kept_device).execute(&mut *transaction).await?;
    let ended =
        sqlx::query_scalar!("DELETE FROM sessions WHERE uid = ? AND token_hash <> ? RETURNING token_hash", uid, kept_session)
            .fetch_all(&mut *transaction)
            .await?;
    transaction.commit().await?;
    hashes(ended).map(Some)
}

async fn claim_ownership(connection: &mut SqliteConnection, uid: &str, token_hash: &[u8]) -> Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let used =
        sqlx::query!("DELETE FROM facts WHERE name = 'owner_link' AND value = ?", token_hash).execute(&mut *transaction).await?;
    if used.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("UPDATE people SET is_owner = 1 WHERE uid = ?", uid).execute(&mut *transaction).await?;
    sqlx::query!("UPDATE rooms SET host = ? WHERE host IS NULL AND deleted_at IS NULL", uid).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
