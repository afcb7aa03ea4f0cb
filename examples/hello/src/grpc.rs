//! gRPC: the same two calls as HTTP, as `hello.v1.HelloService`.

use std::time::Instant;

use tonic::{Request, Response, Status};

use crate::{
    greeter::{Greeter, Refusal},
    log,
};
use v1::hello_service_server::{HelloService, HelloServiceServer};

/// Generated from proto/hello/v1/hello.proto by `devenv proto`.
#[allow(clippy::all, unreachable_pub)]
pub mod v1 {
    include!("gen/hello.v1.rs");
}

pub fn service(greeter: Greeter) -> HelloServiceServer<Hello> {
    HelloServiceServer::new(Hello { greeter })
}

pub struct Hello {
    greeter: Greeter,
}

#[tonic::async_trait]
impl HelloService for Hello {
    async fn set_birthday(
        &self,
        request: Request<v1::SetBirthdayRequest>,
    ) -> Result<Response<v1::SetBirthdayResponse>, Status> {
        logged("SetBirthday", async {
            let v1::SetBirthdayRequest {
                username,
                date_of_birth,
            } = request.into_inner();
            self.greeter.set_birthday(&username, &date_of_birth).await?;
            Ok(Response::new(v1::SetBirthdayResponse {}))
        })
        .await
    }

    async fn get_greeting(
        &self,
        request: Request<v1::GetGreetingRequest>,
    ) -> Result<Response<v1::GetGreetingResponse>, Status> {
        logged("GetGreeting", async {
            let v1::GetGreetingRequest { username } = request.into_inner();
            let message = self.greeter.greeting(&username).await?;
            Ok(Response::new(v1::GetGreetingResponse { message }))
        })
        .await
    }
}

async fn logged<T>(rpc: &str, call: impl Future<Output = Result<T, Refusal>>) -> Result<T, Status> {
    let started = Instant::now();
    let result = call.await.map_err(Status::from);
    let code = result.as_ref().err().map_or(tonic::Code::Ok, Status::code);
    log::info(
        "rpc",
        &[
            ("rpc", rpc.into()),
            ("code", format!("{code:?}").into()),
            ("duration_ms", (started.elapsed().as_millis() as u64).into()),
        ],
    );
    result
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Invalid(_) => Status::invalid_argument(message),
            Refusal::Unknown(_) => Status::not_found(message),
            Refusal::Unavailable => Status::unavailable(message),
            Refusal::Internal => Status::internal(message),
        }
    }
}
