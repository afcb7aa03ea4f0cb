//! The images of the file that a Dockerfile names: what the project calls `postgres:15` may have a tag of the worktree's own.
//!
//! Lines stay where they are, so that failures point at the right ones.

use std::collections::BTreeMap;

use crate::plan::dockerfile::{named, reference::Reference};

/// Reference in the file → the image.
pub type Bases = BTreeMap<String, BaseImage>;

/// An image of the file, as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// The tag it is to be had by.
    pub tag: String,
    pub id: String,
}

/// Those that the Dockerfile names, in `FROM`, `COPY --from` and `RUN --mount`.
pub(super) fn used<'a>(
    dockerfile: &str,
    args: &BTreeMap<String, String>,
    bases: &'a Bases,
) -> BTreeMap<&'a str, &'a BaseImage> {
    let names = named(dockerfile, args).into_iter();
    names.filter_map(|image| find(&image.name, bases)).collect()
}

/// The Dockerfile with the tags of those images.
pub(super) fn rename(dockerfile: &str, args: &BTreeMap<String, String>, bases: &Bases) -> String {
    let mut text = dockerfile.to_owned();
    // From the end, so that what is yet to be replaced stays where it is.
    for image in named(dockerfile, args).into_iter().rev() {
        if let Some((reference, base)) = find(&image.name, bases)
            && base.tag != reference
        {
            text.replace_range(image.place, &base.tag);
        }
    }
    text
}

/// The image of this name, however it is spelled.
fn find<'a>(name: &str, bases: &'a Bases) -> Option<(&'a str, &'a BaseImage)> {
    let named = Reference::parse(name);
    let mut bases = bases.iter();
    let (reference, base) = bases.find(|(reference, _)| Reference::parse(reference).is(&named))?;
    Some((reference, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(dockerfile: &str) -> String {
        let args = [("VERSION".to_owned(), "15".to_owned())].into();
        let bases = [
            ("postgres:15", "devenv/a:image.db"),
            ("tools", "devenv/a:image.tools"),
        ];
        let base = |(name, tag): (&str, &str)| {
            let (tag, id) = (tag.to_owned(), "sha256:0".to_owned());
            (name.to_owned(), BaseImage { tag, id })
        };
        let bases = bases.map(base);
        rename(dockerfile, &args, &bases.into())
    }

    fn check(dockerfile: &str, expected: &str) {
        assert_eq!(renamed(dockerfile), expected);
    }

    #[test]
    fn every_place_that_names_an_image() {
        check("FROM postgres:15\n", "FROM devenv/a:image.db\n");
        check(
            "from --platform=linux/amd64 \\\n  docker.io/library/postgres:15 AS db\r\n",
            "from --platform=linux/amd64 \\\n  devenv/a:image.db AS db\r\n",
        );
        check(
            "FROM x\nCOPY --chown=1 --from=tools:latest /a /b\nRUN --mount=type=bind,from=tools,target=/t cat",
            "FROM x\nCOPY --chown=1 --from=devenv/a:image.tools /a /b\nRUN --mount=type=bind,from=devenv/a:image.tools,target=/t cat",
        );
        check(
            "ARG VERSION=14\nARG BASE=postgres\nFROM ${BASE}:$VERSION\n",
            "ARG VERSION=14\nARG BASE=postgres\nFROM devenv/a:image.db\n",
        );
        check("FROM \"${NONE:-tools}\"\n", "FROM devenv/a:image.tools\n");
    }

    #[test]
    fn nothing_else_changes() {
        for text in [
            "FROM postgres:16\nFROM other/postgres:15\nFROM postgres:15@sha256:0\n",
            "# FROM postgres:15\nFROM x AS tools\nFROM tools\nCOPY --from=tools a b\nCOPY --from=0 a b\n",
            "FROM x\nRUN cmd --from=tools\nRUN <<EOF\nFROM tools\nEOF\nLABEL from=tools",
            "FROM\n",
            "FROM ${",
            "ARG TARGETARCH\nFROM tools$TARGETARCH\n",
        ] {
            check(text, text);
        }
    }
}
