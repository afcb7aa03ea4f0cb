use std::time::Duration;

use serde::Serialize;

use super::Lint;
use crate::config::{StepId, decode::record, duration};

record! {
    /// `[migrate.X]`: SQL migrations of a folder, applied to a Postgres.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Migrate {
        /// Folder of `V<version>__<name>.sql` files, relative to the project.
        pub dir: String = "migrations",
        /// The database, such as "postgres.db".
        pub postgres: StepId,
        /// History table, qualified.
        pub table: String = "public.refinery_schema_history",
        /// How long to wait for another run's lock.
        #[serde(with = "duration")]
        pub lock_timeout: Duration = "60s",
        /// The rules for new and changed files, checked by `lint.X`: `false` for none, or `{ exclude = […], include = […] }`.
        #[serde(skip)]
        pub lint: Lint = true,
        /// Steps that must have finished first.
        pub needs: Vec<StepId>,
    }
}
