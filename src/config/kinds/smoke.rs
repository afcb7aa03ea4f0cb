use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::config::{
    StepId, Template,
    decode::{HeaderName, HttpMethod, HttpStatus, Keyed, NotEmpty, Text, UrlPath, record},
    duration,
};

record! {
    /// `[smoke.X]`: requests to what runs, in this order; each must be answered as expected.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Smoke {
        /// What is asked, such as "${app.hello.url}": each request's path is added.
        pub url: Template,
        /// The requests.
        pub requests: Vec<Request>,
        /// Steps that must have finished first, beside those that `url` and the requests refer to.
        pub needs: Vec<StepId>,
    }
}

record! {
    /// One request, and what is expected of its answer.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Request {
        /// GET, PUT, ….
        pub method: String as Text<HttpMethod> = "GET",
        /// Path, with the query if there is one.
        pub path: String as Text<UrlPath> = "/",
        /// Header → value.
        pub headers: BTreeMap<String, Template> as Keyed<HeaderName, Template>,
        /// What is sent.
        pub body: Option<Template>,
        /// The expected status; any 2xx when absent.
        pub status: Option<u16> as Option<HttpStatus>,
        /// Text that the answer's body holds.
        pub contains: Option<String> as Option<Text<NotEmpty>>,
        /// How long the answer may take.
        #[serde(with = "duration")]
        pub timeout: Duration = "10s",
    }
}

impl Smoke {
    /// Every value that may hold references.
    pub fn templates(&self) -> impl Iterator<Item = &Template> + Clone {
        let requests = self.requests.iter();
        let of_requests =
            requests.flat_map(|request| request.headers.values().chain(&request.body));
        std::iter::once(&self.url).chain(of_requests)
    }
}
