//! The tables that are moved, in the order in which their references allow it, and the canonical form of their rows: the columns
//! as text, the same from both stores.

use sha2::{Digest as _, Sha256};

/// The kinds of columns, each with one form as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server::storage) enum Kind {
    Text,
    Integer,
    /// `true` or `false`.
    Flag,
    /// Lower-case hexadecimal digits.
    Bytes,
    Uuid,
}

/// A column of both stores.
#[derive(Debug)]
pub(in crate::server::storage) struct Column {
    pub(in crate::server::storage) name: &'static str,
    pub(in crate::server::storage) kind: Kind,
    /// The expression in SQLite, where it is not the name.
    pub(in crate::server::storage) in_sqlite: &'static str,
}

/// A table of PostgreSQL, and the table of SQLite that it comes from.
#[derive(Debug)]
pub(in crate::server::storage) struct Table {
    pub(in crate::server::storage) name: &'static str,
    pub(in crate::server::storage) in_sqlite: &'static str,
    pub(in crate::server::storage) columns: &'static [Column],
    /// The first columns, by which rows are ordered.
    pub(in crate::server::storage) key: usize,
    /// The condition of the rows that are moved.
    pub(in crate::server::storage) only: &'static str,
}

/// A row in its canonical form; `None` is NULL.
pub(in crate::server::storage) type Row = Vec<Option<String>>;

/// Rows of a table, and the key after which the next ones come, as the store has it; `None` if there are no rows.
#[derive(Debug)]
pub(in crate::server::storage) struct Page {
    pub(in crate::server::storage) rows: Vec<Row>,
    pub(in crate::server::storage) after: Option<Row>,
}

impl Table {
    /// Returns the key of a row.
    pub(in crate::server::storage) fn key_of(&self, row: &Row) -> Row {
        row.iter().take(self.key).cloned().collect()
    }

    /// Returns the query of the next rows: of `columns`, in the `order` of the key, after the key of the placeholders.
    pub(in crate::server::storage) fn select(
        &self,
        from: &str,
        columns: Vec<String>,
        order: Vec<String>,
        after: Option<Vec<String>>,
        limit: i64,
    ) -> String {
        let (columns, order, only) = (columns.join(", "), order.join(", "), self.only);
        let condition = after.map(|key| format!("({order}) > ({}) AND", key.join(", "))).unwrap_or_default();
        format!("SELECT {columns} FROM {from} WHERE {condition} {only} ORDER BY {order} LIMIT {limit}")
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, in_sqlite: name }
}

const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}

const fn integer(name: &'static str) -> Column {
    column(name, Kind::Integer)
}

const fn uuid(name: &'static str) -> Column {
    column(name, Kind::Uuid)
}

const fn table(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
    Table { name, in_sqlite: name, columns, key, only: "true" }
}

/// All tables with data. PostgreSQL's `paces` are its own: they forgive a cooldown.
pub(in crate::server::storage) const TABLES: [Table; 20] = [
    table(
        "people",
        1,
        &[
            text("uid"),
            text("nickname"),
            text("account"),
            text("account_key"),
            text("password"),
            column("is_owner", Kind::Flag),
            integer("created_at"),
        ],
    ),
    table(
        "sessions",
        1,
        &[
            column("token_hash", Kind::Bytes),
            text("uid"),
            text("label"),
            integer("created_at"),
            integer("used_at"),
            integer("expires_at"),
        ],
    ),
    table("devices", 2, &[text("uid"), column("hash", Kind::Bytes), integer("used_at")]),
    table(
        "api_keys",
        1,
        &[text("name"), column("hash", Kind::Bytes), text("scopes"), integer("created_at"), integer("expires_at"), text("rooms")],
    ),
    table(
        "rooms",
        1,
        &[
            text("room"),
            text("title"),
            text("host"),
            text("epoch"),
            integer("slow_ms"),
            integer("created_at"),
            integer("closed_at"),
            column("closed_by_operator", Kind::Flag),
            integer("deleted_at"),
            column("accounts", Kind::Flag),
            integer("pinned_seq"),
            integer("pinned_until"),
        ],
    ),
    Table {
        in_sqlite: "rooms",
        ..table("heads", 1, &[text("room"), Column { in_sqlite: "newest_seq", ..integer("seq") }, integer("rev")])
    },
    Table {
        // Of the schema, of the write batches of SQLite, and of the move itself.
        only: "name NOT LIKE 'schema.%' AND name <> 'commits' AND name NOT LIKE 'move.%'",
        ..table("facts", 1, &[text("name"), column("value", Kind::Bytes)])
    },
    table(
        "messages",
        2,
        &[
            text("room"),
            integer("seq"),
            column("id", Kind::Uuid),
            text("uid"),
            text("nickname"),
            text("role"),
            text("text"),
            integer("at"),
            // A message without a nonce has its id as its nonce.
            Column { in_sqlite: "coalesce(nonce, id)", ..text("nonce") },
            integer("re"),
            text("mentions"),
            text("removed_why"),
            integer("removed_rev"),
        ],
    ),
    table("removed_texts", 2, &[text("room"), integer("seq"), uuid("action"), text("nickname"), text("text"), integer("until")]),
    table(
        "purges",
        1,
        &[
            uuid("action"),
            text("room"),
            text("uid"),
            integer("from_seq"),
            integer("upto_seq"),
            integer("rev"),
            text("why"),
            text("state"),
            integer("next_seq"),
            integer("until"),
        ],
    ),
    table("changes", 2, &[text("room"), integer("rev"), integer("seq"), integer("at"), text("body")]),
    table("roles", 2, &[text("room"), text("uid"), text("role"), text("by_uid"), integer("at")]),
    table(
        "restraints",
        1,
        &[
            uuid("id"),
            text("room"),
            text("uid"),
            text("kind"),
            integer("since"),
            integer("until"),
            text("reason"),
            text("by_uid"),
            integer("lifted_at"),
        ],
    ),
    table(
        "actions",
        2,
        &[
            text("chain"),
            integer("n"),
            uuid("id"),
            integer("at"),
            text("actor"),
            text("verb"),
            text("target"),
            text("nonce"),
            text("body"),
            column("hash", Kind::Bytes),
        ],
    ),
    table("chains", 1, &[text("chain"), integer("n"), column("hash", Kind::Bytes)]),
    table(
        "action_texts",
        2,
        &[uuid("action"), text("kind"), text("uid"), text("text"), column("salt", Kind::Bytes), integer("until")],
    ),
    table("notes", 1, &[uuid("id"), text("room"), text("uid"), text("by_uid"), integer("at"), text("text"), integer("until")]),
    table(
        "reports",
        3,
        &[text("room"), integer("seq"), text("by_uid"), text("uid"), text("reason"), integer("at"), integer("settled_at")],
    ),
    table("networks", 3, &[text("room"), text("uid"), column("hash", Kind::Bytes), integer("at")]),
    table("network_restraints", 3, &[text("room"), column("hash", Kind::Bytes), uuid("restraint"), integer("until")]),
];

/// Number and SHA-256 of a table's rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Rows.
    pub rows: u64,
    /// SHA-256 of the rows in the order of their keys, in hexadecimal digits.
    pub hash: String,
}

/// Computes a [`Content`] row by row.
#[derive(Default)]
pub(in crate::server::storage) struct Hasher {
    rows: u64,
    hash: Sha256,
}

impl Hasher {
    /// Adds the next row. Each column is its length and its text, so that no two rows have one form.
    pub(in crate::server::storage) fn add(&mut self, row: &Row) {
        self.rows += 1;
        for value in row {
            match value {
                None => self.hash.update(u64::MAX.to_be_bytes()),
                Some(text) => {
                    self.hash.update((text.len() as u64).to_be_bytes());
                    self.hash.update(text);
                }
            }
        }
    }

    pub(in crate::server::storage) fn finish(self) -> Content {
        let hash = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Content { rows: self.rows, hash }
    }
}
