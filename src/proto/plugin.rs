//! Runs one `protoc-gen-*` plugin: a request on its standard input, a response on its standard output.
//!
//! The protocol is protobuf's `google/protobuf/compiler/plugin.proto`.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{
    DescriptorProto, FileDescriptorProto,
    compiler::{CodeGeneratorRequest, CodeGeneratorResponse, code_generator_response},
};
use tokio_util::sync::CancellationToken;

use super::{
    compile::Compiled,
    error::ProtoError,
    merge::{Insertion, Output},
    output,
};
use crate::{
    config::{self, KeyPath},
    sys::process::{ProcessError, Spawn, ending},
};

/// Field number of `CodeGeneratorRequest.proto_file`.
const PROTO_FILE: u32 = 15;
/// `CodeGeneratorResponse.Feature.FEATURE_PROTO3_OPTIONAL`.
const PROTO3_OPTIONAL: u64 = 1;
/// Lines of standard error shown when it fails.
const TAIL: usize = 20;

/// A plugin of a table, found on this machine.
pub struct Plugin {
    key: KeyPath,
    /// As the file names it.
    command: String,
    program: PathBuf,
    /// PATH of the plugin itself.
    path: OsString,
    out: String,
    parameter: Option<String>,
}

impl Plugin {
    /// Looks the plugin up: a command with a `/` in the project, any other in the folders of `path`.
    pub fn find(
        root: &Path,
        table: &str,
        name: &str,
        definition: &config::Plugin,
        path: &OsStr,
    ) -> Result<Self, ProtoError> {
        let key = KeyPath::of(["proto", table, "plugin", name]);
        let command = definition
            .command
            .clone()
            .unwrap_or_else(|| format!("protoc-gen-{name}"));
        let program = which::which_in(&command, Some(path), root).map_err(|_| {
            let looked_in = if command.contains('/') {
                vec![root.to_owned()]
            } else {
                std::env::split_paths(path).collect()
            };
            ProtoError::PluginMissing {
                key: key.clone(),
                command: command.clone(),
                looked_in,
            }
        })?;
        Ok(Self {
            out: output::out_folder(&definition.out, &key.join("out"))?,
            parameter: (!definition.options.is_empty()).then(|| definition.options.join(",")),
            key,
            command,
            program,
            path: path.to_owned(),
        })
    }

    /// Where it is defined: `proto.x.plugin.go`.
    pub fn key(&self) -> &KeyPath {
        &self.key
    }

    /// Runs it in `root` and reads its response.
    pub async fn run(
        &self,
        root: &Path,
        compiled: &Compiled,
        cancel: &CancellationToken,
    ) -> Result<Output, ProtoError> {
        let mut spawn = Spawn::new([self.program.to_string_lossy()]);
        spawn.cwd = Some(root.to_owned());
        spawn.env.insert("PATH".to_owned(), self.path.clone());
        let request = request(compiled, self.parameter.clone());
        let ran = match spawn.pipe(&request, cancel).await {
            Ok(ran) => ran,
            Err(ProcessError::Cancelled { .. }) => return Err(ProtoError::Cancelled),
            Err(source @ ProcessError::Spawn { .. }) => {
                return Err(ProtoError::PluginRun {
                    key: self.key.clone(),
                    command: self.command.clone(),
                    source,
                });
            }
        };
        let failed = |message: String| self.failed(message, &ran.stderr);
        if !ran.status.success() {
            return Err(failed(format!("it ended with {}", ending(ran.status))));
        }
        let response = CodeGeneratorResponse::decode(ran.stdout.as_slice())
            .map_err(|error| failed(format!("its answer cannot be read: {error}")))?;
        if let Some(error) = response.error.filter(|error| !error.is_empty()) {
            return Err(failed(error));
        }
        if let Some(file) = compiled.first_optional()
            && response.supported_features.unwrap_or(0) & PROTO3_OPTIONAL == 0
        {
            return Err(failed(format!(
                "`{file}` has `optional` fields, which it does not support in proto3"
            )));
        }
        self.output(response.file, failed)
    }

    fn failed(&self, message: String, stderr: &[u8]) -> ProtoError {
        let text = String::from_utf8_lossy(stderr);
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        ProtoError::PluginFailed {
            key: self.key.clone(),
            command: self.command.clone(),
            message,
            tail: lines[lines.len().saturating_sub(TAIL)..]
                .iter()
                .map(|line| (*line).to_owned())
                .collect(),
        }
    }

    /// Files as the response lists them; one without a name goes on with the one before it.
    fn output(
        &self,
        files: Vec<code_generator_response::File>,
        failed: impl Fn(String) -> ProtoError,
    ) -> Result<Output, ProtoError> {
        let mut output = Output::default();
        let mut last_is_insertion = None;
        for file in files {
            let content = file.content.unwrap_or_default().into_bytes();
            let point = file.insertion_point.filter(|point| !point.is_empty());
            let name = file.name.filter(|name| !name.is_empty());
            match (name, point) {
                (Some(name), Some(point)) => {
                    let path = self.path_of(&name)?;
                    output.insertions.push(Insertion {
                        path,
                        point,
                        content,
                    });
                    last_is_insertion = Some(true);
                }
                (Some(name), None) => {
                    output.files.push((self.path_of(&name)?, content));
                    last_is_insertion = Some(false);
                }
                (None, _) => {
                    let last = match last_is_insertion {
                        Some(true) => output.insertions.last_mut().map(|last| &mut last.content),
                        Some(false) => output.files.last_mut().map(|(_, last)| last),
                        None => None,
                    };
                    last.ok_or_else(|| failed("its first file has no name".to_owned()))?
                        .extend(content);
                }
            }
        }
        Ok(output)
    }

    fn path_of(&self, name: &str) -> Result<String, ProtoError> {
        output::inside(&self.out, name).ok_or_else(|| ProtoError::PathOutside {
            generator: self.key.clone(),
            path: name.to_owned(),
        })
    }
}

/// The files are appended as they were encoded: decoded into the typed form, they would lose their custom options.
fn request(compiled: &Compiled, parameter: Option<String>) -> Vec<u8> {
    let mut bytes = CodeGeneratorRequest {
        file_to_generate: compiled.wanted.clone(),
        parameter,
        proto_file: Vec::new(),
        compiler_version: None,
    }
    .encode_to_vec();
    for file in &compiled.encoded {
        encode_key(PROTO_FILE, WireType::LengthDelimited, &mut bytes);
        encode_varint(file.len() as u64, &mut bytes);
        bytes.extend_from_slice(file);
    }
    bytes
}

impl Compiled {
    /// The first wanted file with a proto3 `optional` field.
    fn first_optional(&self) -> Option<&str> {
        self.descriptors
            .iter()
            .filter(|file| self.wanted.iter().any(|wanted| wanted == file.name()))
            .find(|file| has_optional(file))
            .map(FileDescriptorProto::name)
    }
}

fn has_optional(file: &FileDescriptorProto) -> bool {
    let mut open: Vec<&DescriptorProto> = file.message_type.iter().collect();
    while let Some(message) = open.pop() {
        if message.field.iter().any(|field| field.proto3_optional()) {
            return true;
        }
        open.extend(&message.nested_type);
    }
    false
}
