//! Where a database is and who logs in there. Connects; never shows a password.

use std::{fmt, time::Duration};

use tokio_postgres::{AsyncMessage, Client, NoTls, error::DbError};

use crate::event::percent_encode;

/// One connection attempt may take this long: a port proxy may accept and then never answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A database as one role sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Target {
    /// The connection URL, each part percent-encoded: `postgres://user:password@host:port/database`. Holds the password.
    pub fn url(&self) -> String {
        format!(
            "postgres://{}:{}@{}:{}/{}",
            percent_encode(&self.user),
            percent_encode(&self.password),
            bracketed(&self.host),
            self.port,
            percent_encode(&self.database),
        )
    }

    /// Connects and logs in. What the server says meanwhile goes to `notice`.
    pub(super) async fn connect(
        &self,
        application: &str,
        notice: impl Fn(&DbError) + Send + 'static,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .password(&self.password)
            .dbname(&self.database)
            .application_name(application)
            .connect_timeout(CONNECT_TIMEOUT);
        let (client, mut connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            let messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
            let mut messages = std::pin::pin!(messages);
            while let Some(message) = futures_util::StreamExt::next(&mut messages).await {
                match message {
                    Ok(AsyncMessage::Notice(text)) => notice(&text),
                    Ok(_) => {}
                    // The client sees the same error on its next call.
                    Err(_) => break,
                }
            }
        });
        Ok(client)
    }
}

/// `user@host:port/database`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{}:{}/{}",
            self.user,
            bracketed(&self.host),
            self.port,
            self.database
        )
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// An IPv6 address stands in brackets in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// `"name"`, whatever it holds.
pub(super) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `'text'`; text with a backslash as `E'…'`, so that it holds under any `standard_conforming_strings`.
pub(super) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: 5432,
            user: "a b".into(),
            password: "p@ss/w:rd%é".into(),
            database: "d?b".into(),
        }
    }

    #[test]
    fn url_survives_any_character() {
        let url = target().url();
        assert_eq!(
            url,
            "postgres://a%20b:p%40ss%2Fw%3Ard%25%C3%A9@127.0.0.1:5432/d%3Fb"
        );
        let parsed: tokio_postgres::Config = url.parse().unwrap();
        assert_eq!(parsed.get_password(), Some("p@ss/w:rd%é".as_bytes()));
        assert_eq!(parsed.get_user(), Some("a b"));
        assert_eq!(parsed.get_dbname(), Some("d?b"));
    }

    #[test]
    fn ipv6_hosts_stand_in_brackets() {
        let target = Target {
            host: "::1".into(),
            user: "u".into(),
            password: "p".into(),
            database: "d".into(),
            ..target()
        };
        assert_eq!(target.url(), "postgres://u:p@[::1]:5432/d");
    }

    #[test]
    fn no_password_is_shown() {
        let target = target();
        assert_eq!(target.to_string(), "a b@127.0.0.1:5432/d?b");
        assert_eq!(format!("{target:?}"), "Target(a b@127.0.0.1:5432/d?b)");
    }

    #[test]
    fn quoting() {
        assert_eq!(quote_ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\'b"), r" E'a\\''b'");
    }
}
