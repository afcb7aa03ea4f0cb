use tonic::{Code, Status};

use crate::{app::App, cluster::Cluster};
use v1::{GetGreetingRequest, SetBirthdayRequest, hello_service_client::HelloServiceClient};

#[allow(clippy::all, dead_code)]
mod v1 {
    include!("../../src/gen/hello.v1.rs");
}

type Client = HelloServiceClient<tonic::transport::Channel>;

async fn client(app: &App) -> Client {
    let endpoint = format!("http://{}", app.grpc);
    HelloServiceClient::connect(endpoint)
        .await
        .expect("the gRPC port")
}

async fn set(client: &mut Client, username: &str, date: &str) -> Result<(), Status> {
    let request = SetBirthdayRequest {
        username: username.into(),
        date_of_birth: date.into(),
    };
    client.set_birthday(request).await.map(|_| ())
}

async fn greeting(client: &mut Client, username: &str) -> Result<String, Status> {
    let request = GetGreetingRequest {
        username: username.into(),
    };
    Ok(client.get_greeting(request).await?.into_inner().message)
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, message: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, message));
}

#[tokio::test]
async fn both_protocols_serve_the_same_users() {
    let cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;
    let mut client = client(&app).await;

    set(&mut client, "grace", "1906-12-09").await.unwrap();
    let message = greeting(&mut client, "grace").await.unwrap();
    assert!(message.starts_with("Hello, grace! "), "{message}");
    let body = serde_json::json!({ "message": message }).to_string();
    app.get("/hello/grace").await.is(200, &body);
}

#[tokio::test]
async fn failures_have_the_code_that_fits() {
    let mut cluster = Cluster::migrated().await;
    let app = App::start(&cluster.url()).await;
    let mut client = client(&app).await;

    let username = "username must be 1 to 64 letters, a to z or A to Z";
    fails(
        set(&mut client, "ada1", "2000-01-31").await,
        Code::InvalidArgument,
        username,
    );
    fails(
        greeting(&mut client, "").await,
        Code::InvalidArgument,
        username,
    );
    let date = "dateOfBirth must be a date that exists, written YYYY-MM-DD";
    fails(
        set(&mut client, "ada", "2001-02-29").await,
        Code::InvalidArgument,
        date,
    );
    fails(
        greeting(&mut client, "ada").await,
        Code::NotFound,
        "no user `ada`",
    );

    cluster.stop();
    fails(
        greeting(&mut client, "ada").await,
        Code::Unavailable,
        "the database does not answer",
    );
}
