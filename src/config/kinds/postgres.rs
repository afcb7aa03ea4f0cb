use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::Value as Json;

use super::Ready;
use crate::config::{
    StepId, Template,
    decode::{Cx, ImageRef, MajorVersion, Node, NotEmpty, Scalar, Shape, Text, record},
    duration,
};

record! {
    /// `[postgres.X]`: a Postgres server with one database and one login role for the app.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Postgres [name] {
        /// Major version, such as "15".
        pub version: String as Text<MajorVersion>,
        /// Image reference; "postgres:<version>" when absent.
        pub image: String as Text<ImageRef> => |version| format!("postgres:{version}"),
        /// The `[toolchain.X]` that brings its programs where it runs as a process; found on PATH or in the usual places when absent.
        pub tool: Option<String> as Option<Text<NotEmpty>>,
        /// Database to create; the table's name when absent.
        pub database: String as Text<NotEmpty> => |name| name,
        /// Role the app logs in as; the database's name when absent.
        pub user: String as Text<NotEmpty> => |database| database,
        /// Password of that role and of the superuser. The port is published on loopback only.
        pub password: Template = "devenv",
        /// Wanted host port.
        pub port: u16 = 5432,
        /// Server settings, such as `log_statement = "all"`.
        pub settings: BTreeMap<String, String> as BTreeMap<String, Scalar>,
        /// Extra arguments of initdb, such as ["--locale=C"].
        pub initdb: Vec<String>,
        /// Extensions to create in the database.
        pub extensions: Vec<String>,
        /// Use a prepared data directory; false runs the image's own entrypoint, init scripts included.
        pub prepared: bool = true,
        /// It is ready when the app's user can query the database; this says how long that may take.
        pub ready: Ready as AnswersQuery = {},
        /// Steps that must have finished first.
        pub needs: Vec<StepId>,
    }
}

record! {
    /// Postgres has a probe of its own: only the timeout can be set.
    #[derive(Debug, Clone, Serialize)]
    pub struct QueryReady {
        /// How long it may take.
        #[serde(with = "duration")]
        pub timeout: Duration = "60s",
    }
}

/// [`Ready`] without a probe.
struct AnswersQuery;

impl Shape for AnswersQuery {
    type Value = Ready;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Ready> {
        let QueryReady { timeout } = QueryReady::decode(node, cx)?;
        Some(Ready {
            probe: None,
            timeout,
        })
    }

    fn encode(value: &Ready) -> Json {
        QueryReady::encode(&QueryReady {
            timeout: value.timeout,
        })
    }

    fn schema() -> Json {
        QueryReady::schema()
    }
}
