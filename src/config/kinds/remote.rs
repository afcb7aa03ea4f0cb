use serde::Serialize;

use crate::config::{
    StepId,
    decode::{HttpUrl, Text, record},
};

record! {
    /// `[remote.X]`: a place that the project is deployed to.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Remote {
        /// Steps that bring it there; `devenv deploy X` runs them with all they need.
        pub deploy: Vec<StepId>,
        /// Where it is reached then, for the CI service to show.
        pub url: Option<String> as Option<Text<HttpUrl>>,
    }
}
