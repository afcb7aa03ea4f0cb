//! The generators against real files, with plugins written in Python.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::SystemTime};

use expect_test::{Expect, expect};

use super::*;
use crate::{
    config::{Plugin, RustOut},
    event::{Explain, Fault, Site},
};

/// A plugin's preamble: reads and writes protobuf by hand. `request` is a list of (field number, value).
const PREAMBLE: &str = r#"#!/usr/bin/env python3
import sys
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data
def fields(data):
    at, out = 0, []
    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
    while at < len(data):
        key = number()
        if key & 7 == 2:
            length = number(); out.append((key >> 3, data[at:at + length])); at += length
        else:
            out.append((key >> 3, number()))
    return out
raw = sys.stdin.buffer.read()
request = fields(raw)
parameter = b"".join(v for k, v in request if k == 2).decode()
wanted = [v.decode() for k, v in request if k == 1]
descriptors = [v for k, v in request if k == 15]
def file(name, content, point=None):
    body = (field(1, name) if name is not None else b"") + (field(2, point) if point else b"") + field(15, content)
    sys.stdout.buffer.write(field(15, body))
def error(text): sys.stdout.buffer.write(field(1, text))
def features(n): sys.stdout.buffer.write(varint(2 << 3) + varint(n))
"#;

const HELLO: &str = r#"syntax = "proto3";
package hello.v1;

// Greets people.
service HelloService {
  rpc Hello(HelloRequest) returns (HelloResponse);
}
message HelloRequest { string name = 1; }
message HelloResponse { string greeting = 1; }
"#;

/// A project with one table, `proto.x`.
struct Case {
    dir: tempfile::TempDir,
    proto: Proto,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let case = Self {
            dir: tempfile::tempdir().unwrap(),
            proto: Proto {
                files: vec!["proto/**/*.proto".into()],
                include: vec!["proto".into()],
                rust: None,
                plugin: BTreeMap::new(),
                needs: Vec::new(),
            },
        };
        for (path, text) in files {
            case.write(path, text);
        }
        case
    }

    fn rust(mut self) -> Self {
        self.proto.rust = Some(RustOut {
            out: "gen".into(),
            client: true,
            server: true,
            extern_path: BTreeMap::new(),
            type_attribute: BTreeMap::new(),
            field_attribute: BTreeMap::new(),
        });
        self
    }

    fn plugin(self, name: &str, script: &str) -> Self {
        self.plugin_in(name, script, "out", &[])
    }

    fn plugin_in(mut self, name: &str, script: &str, out: &str, options: &[&str]) -> Self {
        let command = format!("bin/protoc-gen-{name}");
        self.write(&command, &format!("{PREAMBLE}{script}"));
        let path = self.join(&command);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let plugin = Plugin {
            command: None,
            out: out.into(),
            options: options.iter().map(|option| (*option).into()).collect(),
        };
        self.proto.plugin.insert(name.into(), plugin);
        self
    }

    fn join(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.join(path)).unwrap()
    }

    /// PATH with the plugins in front.
    fn path(&self) -> std::ffi::OsString {
        let mut path = vec![self.join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        std::env::join_paths(path).unwrap()
    }

    async fn try_generate(&self) -> Result<Generated, ProtoError> {
        let cancel = CancellationToken::new();
        generate(self.dir.path(), "x", &self.proto, &self.path(), &cancel).await
    }

    async fn generate(&self) -> BTreeMap<String, String> {
        let generated = self.try_generate().await.unwrap();
        generated
            .files
            .into_iter()
            .map(|(path, content)| (path, String::from_utf8(content).unwrap()))
            .collect()
    }

    async fn fault(&self) -> Fault {
        self.try_generate().await.unwrap_err().explain()
    }

    async fn fails(&self, expected: Expect) {
        let fault = self.fault().await;
        let root = self.dir.path().display().to_string();
        expected.assert_eq(&shown(&fault).replace(&root, "[ROOT]"));
    }

    async fn sync(&self) -> Written {
        let generated = self.try_generate().await.unwrap();
        self.put(&generated).unwrap()
    }

    fn put(&self, generated: &Generated) -> Result<Written, ProtoError> {
        write(self.dir.path(), "x", generated, &self.join(".devenv"))
    }

    async fn diff(&self) -> Diff {
        let generated = self.try_generate().await.unwrap();
        check(self.dir.path(), "x", &generated, &self.join(".devenv")).unwrap()
    }

    fn mtime(&self, path: &str) -> SystemTime {
        fs::metadata(self.join(path)).unwrap().modified().unwrap()
    }
}

fn shown(fault: &Fault) -> String {
    let mut lines = vec![fault.message.clone()];
    lines.push(match &fault.site {
        None => "at -".to_owned(),
        Some(Site::Key(key)) => format!("at {key}"),
        Some(Site::Text { place, .. }) => format!("at {place:?}"),
        Some(Site::File { path, line, column }) => {
            format!("at {}:{line}:{column}", path.display())
        }
    });
    lines.extend(fault.notes.iter().map(|note| format!("note {note}")));
    lines.extend(fault.help.iter().map(|help| format!("help {help}")));
    lines.join("\n")
}

mod errors;
mod generators;
mod outputs;
mod tables;
