//! Joins the outputs of all generators of a table into one set of files.

use std::collections::BTreeMap;

use super::{error::ProtoError, plugin::Plugin};
use crate::config::KeyPath;

/// What one generator wrote, by path relative to the project.
#[derive(Debug, Default)]
pub struct Output {
    pub files: Vec<(String, Vec<u8>)>,
    pub insertions: Vec<Insertion>,
}

/// Text for a marked place of a file that a generator wrote.
#[derive(Debug)]
pub struct Insertion {
    pub path: String,
    pub point: String,
    pub content: Vec<u8>,
}

/// Path → the generator that wrote the file, such as `proto.x.rust`, and its content.
pub type Files = BTreeMap<String, (KeyPath, Vec<u8>)>;

/// All files first, then the insertions in the order of the plugins' names.
pub fn merge<'a>(
    name: &str,
    rust: Option<Output>,
    plugins: impl Iterator<Item = (&'a Plugin, Output)>,
) -> Result<Files, ProtoError> {
    let outputs = rust
        .into_iter()
        .map(|output| (KeyPath::of(["proto", name, "rust"]), output))
        .chain(plugins.map(|(plugin, output)| (plugin.key().clone(), output)));
    let mut files = Files::new();
    let mut insertions = Vec::new();
    for (generator, output) in outputs {
        for (path, content) in output.files {
            match files.get(&path) {
                Some((first, _)) if *first == generator => {
                    return Err(ProtoError::Twice { path, generator });
                }
                Some((first, _)) => {
                    return Err(ProtoError::Collision {
                        path,
                        first: first.clone(),
                        second: generator,
                        place: None,
                    });
                }
                None => files.insert(path, (generator.clone(), content)),
            };
        }
        insertions.extend(
            output
                .insertions
                .into_iter()
                .map(|insertion| (generator.clone(), insertion)),
        );
    }
    for (generator, insertion) in insertions {
        insert(&mut files, generator, insertion)?;
    }
    Ok(files)
}

fn insert(files: &mut Files, generator: KeyPath, insertion: Insertion) -> Result<(), ProtoError> {
    let missing = match files.get_mut(&insertion.path) {
        None => "no generator wrote that file",
        Some((_, content)) => match spliced(content, &insertion.point, &insertion.content) {
            Some(spliced) => {
                *content = spliced;
                return Ok(());
            }
            None => "the file has no such insertion point",
        },
    };
    Err(ProtoError::Insertion {
        generator,
        path: insertion.path,
        point: insertion.point,
        missing,
    })
}

/// The text goes above the line of the mark, each of its lines indented as that line; or before the mark itself when that is
/// `/* @@protoc_insertion_point(X) */` within a line. Source: protobuf's `compiler/plugin.proto` and `command_line_interface.cc`.
fn spliced(content: &[u8], point: &str, text: &[u8]) -> Option<Vec<u8>> {
    let mark = format!("@@protoc_insertion_point({point})");
    let at = find(content, mark.as_bytes())?;
    if at >= 3 && &content[at - 3..at - 1] == b"/*" {
        let at = at - 3;
        return Some([&content[..at], text, &content[at..]].concat());
    }
    let line = content[..at]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let indent = content[line..]
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t'))
        .unwrap_or(0);
    let indent = &content[line..line + indent];
    let mut result = content[..line].to_vec();
    for inserted in text.split_inclusive(|byte| *byte == b'\n') {
        result.extend_from_slice(indent);
        result.extend_from_slice(inserted);
    }
    if !result.ends_with(b"\n") && !text.is_empty() {
        result.push(b'\n');
    }
    result.extend_from_slice(&content[line..]);
    Some(result)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(content: &str, text: &str) -> Option<String> {
        spliced(content.as_bytes(), "p", text.as_bytes())
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn splices_above_the_line_with_its_indent() {
        assert_eq!(
            splice("a {\n  // @@protoc_insertion_point(p)\n}\n", "x\n\ny").unwrap(),
            "a {\n  x\n  \n  y\n  // @@protoc_insertion_point(p)\n}\n"
        );
        assert_eq!(
            splice("# @@protoc_insertion_point(p)", "x\n").unwrap(),
            "x\n# @@protoc_insertion_point(p)"
        );
    }

    #[test]
    fn splices_within_a_line_before_a_block_comment() {
        assert_eq!(
            splice("f(a /* @@protoc_insertion_point(p) */)", ", b").unwrap(),
            "f(a , b/* @@protoc_insertion_point(p) */)"
        );
    }

    #[test]
    fn an_unknown_point_is_none() {
        assert_eq!(splice("// @@protoc_insertion_point(q)", "x"), None);
    }

    #[test]
    fn many_insertions_come_in_order() {
        let once = splice("// @@protoc_insertion_point(p)\n", "1\n").unwrap();
        assert_eq!(
            splice(&once, "2\n").unwrap(),
            "1\n2\n// @@protoc_insertion_point(p)\n"
        );
    }
}
