//! The table `nodes`. The database's clock decides which nodes live.

use super::PostgresStore;
use crate::server::storage::{NodeClaim, Result};

impl PostgresStore {
    /// Rows of nodes that are gone for a day are removed on the way.
    pub(crate) async fn claim_node(&self, lan_addr: &str, incarnation: &str, former: Option<&str>) -> Result<NodeClaim> {
        let claim = async |db: &mut sqlx::PgConnection| {
            let claimed = sqlx::query!(
                "WITH gone AS (
                    DELETE FROM roomcast.nodes WHERE seen_at < clock_timestamp() - interval '1 day' AND lan_addr <> $1
                )
                INSERT INTO roomcast.nodes AS node (lan_addr, incarnation, seen_at) VALUES ($1, $2, clock_timestamp())
                ON CONFLICT (lan_addr) DO UPDATE SET incarnation = $2, seen_at = clock_timestamp()
                WHERE node.incarnation IN ($2, $3) OR node.seen_at < clock_timestamp() - interval '15 seconds'",
                lan_addr,
                incarnation,
                former.unwrap_or(incarnation)
            );
            if claimed.execute(&mut *db).await?.rows_affected() == 1 {
                return Ok(NodeClaim::Claimed);
            }
            let holder = sqlx::query!(
                r#"SELECT incarnation, floor(extract(epoch FROM seen_at) * 1000000)::bigint AS "seen_at!"
                FROM roomcast.nodes WHERE lan_addr = $1"#,
                lan_addr
            );
            // No row: it left just now.
            let holder = holder.fetch_optional(db).await?;
            Ok(holder.map_or_else(
                || NodeClaim::HeldBy { incarnation: String::new(), seen_at: 0 },
                |row| NodeClaim::HeldBy { incarnation: row.incarnation, seen_at: row.seen_at },
            ))
        };
        self.writers.write(claim).await
    }

    pub(crate) async fn leave_node(&self, lan_addr: &str, incarnation: &str) -> Result<()> {
        let leave = async |db: &mut sqlx::PgConnection| {
            sqlx::query!("DELETE FROM roomcast.nodes WHERE lan_addr = $1 AND incarnation = $2", lan_addr, incarnation)
                .execute(db)
                .await
        };
        self.writers.write(leave).await?;
        Ok(())
    }
}
