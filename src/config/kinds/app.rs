use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Build, Service};
use crate::config::decode::{Cx, Fields, Key, Node, Record, Shape, record, schema::Object};

record! {
    /// `[app.X]`: the project's own program, built, and run in a container or as it is.
    ///
    /// All keys of a service but `image` apply; the image is what `build` yields.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct App {
        /// How its image is built.
        pub build: Build,
        /// What runs; its image is what the build gives.
        pub service: Service as ServiceKeys,
    }
}

/// The keys of a service, but for `image`, right in the app's table.
struct ServiceKeys;

impl Shape for ServiceKeys {
    type Value = Service;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Service> {
        Service::decode(node, cx)
    }

    fn encode(value: &Service) -> Json {
        Service::encode(value)
    }

    fn schema() -> Json {
        Service::schema()
    }

    fn read(fields: &mut Fields<'_, '_, '_>, _: &Key, _: Option<Service>) -> Option<Service> {
        fields.fix(
            "image",
            "an app's image is what its `build` gives; to run an image as it is, use `[service.X]`",
        );
        Service::read_keys(fields).map(|service| Service {
            image: None,
            ..service
        })
    }

    fn write(value: &Service, _: &Key, out: &mut Map<String, Json>) {
        value.write_keys(out);
        out.shift_remove("image");
    }

    fn describe(_: &Key, object: &mut Object) {
        Service::describe_keys(object);
        object.remove("image");
    }
}
