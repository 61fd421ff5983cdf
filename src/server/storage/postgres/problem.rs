//! Why a PostgreSQL store could not be opened. No text of it holds the password.

use sqlx::migrate::MigrateError;

/// The words for `sslmode` in `storage.url`.
pub(super) const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Why a PostgreSQL store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PostgresProblem {
    /// A part of `storage.url` is not valid. The driver's error would show the part, which may be of a password.
    #[error("storage.url is not valid: look at its port and at the values of its parameters, such as sslmode")]
    Url,
    /// `storage.url` has a parameter that Roomcast does not know. A name with signs may be of a password and is `…`.
    #[error("storage.url has the unknown parameter `{0}`")]
    UnknownParameter(String),
    /// `sslmode` in `storage.url` is none of the known words.
    #[error("storage.url has an unknown sslmode: use {}", SSL_MODES.join(", "))]
    SslMode,
    /// There is no answer, or TLS failed, or the server has no place.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// The server refuses role, password or database.
    #[error("it refuses the log-in: {0}. storage.url names role, password and database")]
    LogIn(#[source] sqlx::Error),
    /// The role has too few rights.
    #[error(
        "the role has too few rights: {0}. Let it create the schema, GRANT CREATE ON DATABASE … TO …, or create the schema for it, \
         CREATE SCHEMA roomcast AUTHORIZATION …"
    )]
    NoRight(#[source] sqlx::Error),
    /// The server takes no writes.
    #[error("it is read-only, as a standby is: storage.url must lead to the primary server")]
    ReadOnly,
    /// Another server serves from the database.
    #[error("another roomcast already serves from it: stop it first, or choose another database")]
    Taken,
    /// A move of another store to the database was not finished.
    #[error("a move to it is not finished: run `roomcast migrate-store` again, which goes on with it")]
    MoveUnfinished,
    /// The database cannot hold every text.
    #[error("the database has the encoding {0}; Roomcast needs one with the encoding UTF8")]
    NotUtf8(String),
    /// The database needs a newer server.
    #[error("the schema is {found}, which needs a newer roomcast; this one knows schema {known}")]
    SchemaNewer {
        /// Version of the database's schema.
        found: i64,
        /// Version that this program knows.
        known: i64,
    },
    /// A command met a database that the server has not migrated. Only the server migrates.
    #[error("the schema is {found}, and this roomcast needs schema {known}: start the server of this version first")]
    SchemaOlder {
        /// Version of the database's schema; 0 without one.
        found: i64,
        /// Version that this program needs.
        known: i64,
    },
    /// A schema migration failed; nothing of it was stored.
    #[error("the schema cannot be brought up to date: {0}")]
    Migration(#[source] MigrateError),
    /// The database could not be compared with an earlier copy of itself.
    #[error("it cannot be checked for an earlier copy of itself: {0}")]
    Identity(#[source] sqlx::Error),
    /// Any other error of the server.
    #[error("{0}")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for PostgresProblem {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some("42501") => Self::NoRight(error),
            Some("25006") => Self::ReadOnly,
            Some("3D000") => Self::LogIn(error),
            Some(code) if code.starts_with("28") => Self::LogIn(error),
            Some(code) if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Self::Unreachable(error),
            None if super::error::is_lost(&error) => Self::Unreachable(error),
            _ => Self::Database(error),
        }
    }
}

impl From<MigrateError> for PostgresProblem {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => error.into(),
            MigrateError::ExecuteMigration(error, version) => match Self::from(error) {
                Self::Database(error) => Self::Migration(MigrateError::ExecuteMigration(error, version)),
                problem => problem,
            },
            error => Self::Migration(error),
        }
    }
}
