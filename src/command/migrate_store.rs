//! `roomcast migrate-store`: moves the SQLite database of a stopped server to PostgreSQL.

use super::{Outcome, record};
use clap::Args;
use roomcast::server::{
    config::Config,
    security_log::{Act, Event},
    storage::{MoveNews, Moved, MovedTable, move_store},
};
use std::path::PathBuf;

/// Digits of a hash that are printed.
const HASH_DIGITS: usize = 16;

/// Arguments of `roomcast migrate-store`.
#[derive(Args)]
pub(crate) struct MigrateStoreCommand {
    /// Data folder of the stopped server [default: the configured one]
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Empty PostgreSQL database, postgres://ROLE:PASSWORD@HOST/DATABASE; other users of the machine may see it here, and not in
    /// ROOMCAST_STORAGE_URL [default: storage.url]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

impl MigrateStoreCommand {
    /// Returns the value of `--to`.
    pub(crate) fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// Moves the data, compares both stores and prints the rows and the hash of each table. Fails if a table differs.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        let settings = &config.storage;
        if settings.url.is_empty() {
            return Err("set the PostgreSQL database: ROOMCAST_STORAGE_URL, storage.url or --to".into());
        }
        let from = self.from.as_ref().unwrap_or(&settings.data_dir);
        let moved = move_store(from, settings, print_news).await?;
        print_table(&moved);
        if moved.replaced > 0 {
            println!("{} values had the character U+0000, which PostgreSQL cannot hold: it is U+FFFD there", moved.replaced);
        }
        if !moved.is_equal() {
            return Err("the stores differ, so no server can use the new one: run the command again, it begins anew".into());
        }
        let mut of_source = config.clone();
        of_source.storage.data_dir.clone_from(from);
        record(&of_source, &[Event::by_command(Act::Moved)]);
        println!("moved: set storage.url and start the server; the database in {} is as it was", from.display());
        Ok(())
    }
}

/// Prints news to standard error: the number of rows only now and then.
fn print_news(news: MoveNews<'_>) {
    match news {
        MoveNews::Resumed => eprintln!("an unfinished move goes on"),
        MoveNews::BegunAnew => eprintln!("an unfinished move begins anew: its source has changed since, or the stores differed"),
        MoveNews::Copied { table, rows } if rows % 100_000 == 0 && rows > 0 => eprintln!("{table}: {rows} rows"),
        MoveNews::Copied { .. } => {}
        MoveNews::Comparing => eprintln!("copied; reading both to compare them"),
    }
}

fn print_table(moved: &Moved) {
    println!("{:<10} {:>12} {:>12}  {:<HASH_DIGITS$}  {:<HASH_DIGITS$}", "table", "rows", "moved", "hash", "hash moved");
    for MovedTable { name, source, target } in &moved.tables {
        let outcome = if source == target { "equal" } else { "DIFFERENT" };
        println!(
            "{name:<10} {:>12} {:>12}  {:.HASH_DIGITS$}  {:.HASH_DIGITS$}  {outcome}",
            source.rows, target.rows, source.hash, target.hash
        );
    }
}
