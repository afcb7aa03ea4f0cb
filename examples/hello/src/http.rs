//! HTTP with JSON: `/hello/{username}`, `/healthz`, `/readyz`. Every error is `{"error": "…"}` with the status that fits.

use std::time::Instant;

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, FromRequest, Path, Request, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    greeter::{Greeter, Refusal},
    log,
};

const MAX_BODY: usize = 4096;

pub fn router(greeter: Greeter) -> Router {
    Router::new()
        .route("/hello/{username}", get(greet).put(set_birthday))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .fallback(|| async { Error::new(StatusCode::NOT_FOUND, "no such path") })
        .method_not_allowed_fallback(|| async {
            Error::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not support the method",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(log_request))
        .with_state(greeter)
}

/// JSON, also without a content type: this API knows nothing else.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = JsonRejection;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, JsonRejection> {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Birthday {
    date_of_birth: String,
}

async fn set_birthday(
    State(greeter): State<Greeter>,
    username: Result<Path<String>, PathRejection>,
    body: Result<Body<Birthday>, JsonRejection>,
) -> Result<StatusCode, Error> {
    let Path(username) = username?;
    let Body(birthday) = body?;
    greeter
        .set_birthday(&username, &birthday.date_of_birth)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn greet(
    State(greeter): State<Greeter>,
    username: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let Path(username) = username?;
    let message = greeter.greeting(&username).await?;
    Ok(Json(json!({ "message": message })).into_response())
}

/// The process works, whatever the database does.
async fn health() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// The database works: what a load balancer or `devenv up` waits for.
async fn ready(State(greeter): State<Greeter>) -> Result<Response, Error> {
    match greeter.ready().await {
        Ok(()) => Ok(Json(json!({ "status": "ready" })).into_response()),
        Err(error) => {
            log::error("not ready", &[("error", error.chain().into())]);
            Err(Error::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is not ready",
            ))
        }
    }
}

struct Error {
    status: StatusCode,
    message: String,
}

impl Error {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
            Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            // JSON of another shape is a bad request like any other.
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, rejection.body_text())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

async fn log_request(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    log::info(
        "request",
        &[
            ("method", method.into()),
            ("path", path.into()),
            ("status", response.status().as_u16().into()),
            ("duration_ms", (started.elapsed().as_millis() as u64).into()),
        ],
    );
    response
}
