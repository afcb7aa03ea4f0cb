//! Declares a table: the struct, its decoder, its encoder and its schema from one list of keys.

use serde_json::{Map, Value as Json};

use super::{Cx, Fields, Node, Shape, schema};

/// A table with a fixed list of keys; `record!` writes this.
pub(in crate::config) trait Record: Sized {
    /// Lines of the doc comment.
    const DOC: &'static [&'static str];

    fn read_keys(fields: &mut Fields<'_, '_, '_>) -> Option<Self>;
    fn write_keys(&self, out: &mut Map<String, Json>);
    fn describe_keys(object: &mut schema::Object);
}

impl<R: Record> Shape for R {
    type Value = R;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<R> {
        let mut fields = Fields::open(node, cx)?;
        let record = R::read_keys(&mut fields);
        fields.finish();
        record
    }

    fn encode(value: &R) -> Json {
        let mut out = Map::new();
        value.write_keys(&mut out);
        Json::Object(out)
    }

    fn schema() -> Json {
        let mut object = schema::Object::new(R::DOC);
        R::describe_keys(&mut object);
        object.into_json()
    }
}

/// `record! { pub struct T { … } }` with one line per key:
///
/// - `pub key: T` is required, unless it is an `Option`, a `Vec` or a map.
/// - `pub key: T = "30s"` has a default, written as in the file.
/// - `pub key: T => |other| expr` has a default worked out from keys above it.
/// - `pub key: T as S` is written in another shape than its type's own.
/// - `pub field ("key"): T` is called otherwise in the file.
/// - `struct T [name]` lets the computed defaults use the table's name.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        #[derive($($derive:ident),*)]
        pub struct $name:ident $([$table:ident])? {
            $(
                $(#[doc = $key_doc:literal])*
                $(#[serde($($serde:tt)*)])?
                pub $field:ident $(($key:literal))? : $ty:ty $(as $shape:ty)?
                    $(= $default:tt)? $(=> |$($dep:ident),*| $compute:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive($($derive),*)]
        pub struct $name {
            $($(#[doc = $key_doc])* $(#[serde($($serde)*)])? pub $field: $ty,)*
        }

        impl $crate::config::decode::Record for $name {
            const DOC: &'static [&'static str] = &[$($doc),*];

            fn read_keys(
                fields: &mut $crate::config::decode::Fields<'_, '_, '_>,
            ) -> Option<Self> {
                use $crate::config::decode::{Key, Missing, Shape, record};
                $(let $table = Some(fields.table_name());)?
                $(let $field = {
                    let key = record!(@key [$($key_doc),*] $field $(($key))? $(= $default)? $(=> $compute)?);
                    let fallback = record!(@fallback $(|$($dep),*| $compute)?);
                    <record!(@shape $ty $(as $shape)?) as Shape>::read(fields, &key, fallback)
                };)*
                Some(Self { $($field: $field?),* })
            }

            fn write_keys(&self, out: &mut serde_json::Map<String, serde_json::Value>) {
                use $crate::config::decode::{Key, Missing, Shape, record};
                $(
                    let key = record!(@key [$($key_doc),*] $field $(($key))? $(= $default)? $(=> $compute)?);
                    <record!(@shape $ty $(as $shape)?) as Shape>::write(&self.$field, &key, out);
                )*
            }

            fn describe_keys(object: &mut $crate::config::decode::schema::Object) {
                use $crate::config::decode::{Key, Missing, Shape, record};
                $(
                    let key = record!(@key [$($key_doc),*] $field $(($key))? $(= $default)? $(=> $compute)?);
                    <record!(@shape $ty $(as $shape)?) as Shape>::describe(&key, object);
                )*
            }
        }
    };

    (@shape $ty:ty) => { $ty };
    (@shape $ty:ty as $shape:ty) => { $shape };

    (@key [$($doc:literal),*] $field:ident ($key:literal) $($missing:tt)*) => {
        Key { name: $key, doc: &[$($doc),*], missing: record!(@missing $($missing)*) }
    };
    (@key [$($doc:literal),*] $field:ident $($missing:tt)*) => {
        Key { name: stringify!($field), doc: &[$($doc),*], missing: record!(@missing $($missing)*) }
    };

    (@missing) => { Missing::Error };
    (@missing = $default:tt) => { Missing::Default(stringify!($default)) };
    (@missing => $($compute:tt)*) => { Missing::Computed };

    (@fallback) => { None };
    (@fallback |$($dep:ident),*| $compute:expr) => {
        (|| { $(let $dep = $dep.clone()?;)* Some($compute) })()
    };
}

pub(in crate::config) use record;
