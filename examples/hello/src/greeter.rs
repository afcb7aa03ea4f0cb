//! The two things the app does, the same for HTTP and gRPC: input as text, what can go wrong as [`Refusal`].

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    domain::{self, DateOfBirth, Invalid, Username},
    log,
    store::{Store, StoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("no user `{0}`")]
    Unknown(Username),
    /// The database does not answer: trying again later may help.
    #[error("the database does not answer")]
    Unavailable,
    /// The cause is in the log only.
    #[error("internal error")]
    Internal,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        log::error("store failed", &[("error", error.chain().into())]);
        match error {
            StoreError::Connect(_) | StoreError::Timeout => Refusal::Unavailable,
            StoreError::Query(error) if error.is_closed() => Refusal::Unavailable,
            StoreError::Query(_) | StoreError::Url(_) | StoreError::Pool(_) => Refusal::Internal,
        }
    }
}

#[derive(Clone)]
pub struct Greeter {
    store: Store,
}

impl Greeter {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    pub async fn set_birthday(&self, username: &str, date_of_birth: &str) -> Result<(), Refusal> {
        let username = Username::parse(username)?;
        let born = DateOfBirth::parse(date_of_birth, today())?;
        Ok(self.store.set_birthday(&username, born).await?)
    }

    pub async fn greeting(&self, username: &str) -> Result<String, Refusal> {
        let username = Username::parse(username)?;
        let Some(born) = self.store.birthday(&username).await? else {
            return Err(Refusal::Unknown(username));
        };
        Ok(domain::greeting(&username, born, today()))
    }

    pub async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}
