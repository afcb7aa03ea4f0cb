//! Which line of a Dockerfile a failed build is about.

use std::collections::BTreeMap;

use super::{
    ImageError,
    trace::{Failure, line_in},
};
use crate::{
    config::Dockerfile,
    event::Spot,
    plan::dockerfile::{Named, instructions, named, reference::Reference},
};

/// A Dockerfile as its author wrote it and as the builder got it: the lines are the same, names of images are not.
pub(super) struct Texts {
    pub written: String,
    pub sent: String,
}

pub(super) fn explain(
    dockerfile: &Dockerfile,
    texts: &Texts,
    args: &BTreeMap<String, String>,
    failure: Failure,
) -> ImageError {
    let dockerfile = dockerfile.path.clone().into();
    if let Some(image) = missing(texts, args, &failure) {
        return ImageError::Base {
            dockerfile,
            spot: Spot::of(&texts.written, image.place.start),
            image: image.name,
            cause: failure.cause,
        };
    }
    let known = instructions::parse(&texts.sent);
    let by_step = failure.step.and_then(|step| known.get(step - 1));
    let by_text = || instructions::find(&known, failure.said.as_deref()?);
    let found = by_text().or(by_step).map(|known| known.line);
    let line = found.or_else(|| line_in(&failure.cause));
    ImageError::Build {
        dockerfile,
        spot: line.map(|line| Spot::line(&texts.written, line)),
        instruction: failure.said.clone(),
        cause: failure.cause,
        tail: failure.tail,
    }
}

/// The image that the builder could not get, if it failed at that.
fn missing(texts: &Texts, args: &BTreeMap<String, String>, failure: &Failure) -> Option<Named> {
    let mut named = named(&texts.written, args).into_iter();
    let said = failure.said.as_deref()?;
    // The classic builder, of `COPY --from`.
    let flag = failure.cause.strip_prefix("invalid from flag value ");
    let name = said
        .strip_prefix("load metadata for ")
        .or_else(|| Some(flag?.split_once(": ")?.0));
    if let Some(name) = name {
        let name = Reference::parse(name);
        return named.find(|image| Reference::parse(&image.name).is(&name));
    }
    let (verb, _) = said.split_once(' ')?;
    if !verb.eq_ignore_ascii_case("FROM") {
        return None;
    }
    let known = instructions::parse(&texts.sent);
    let from = known.get(failure.step? - 1)?;
    named.find(|image| Spot::of(&texts.written, image.place.start).line >= from.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, column and name of the image that is missing.
    fn found(said: &str, step: Option<usize>, cause: &str) -> Option<(usize, usize, String)> {
        let written =
            "ARG V=1\nFROM a AS one\nCOPY --from=b:1 / /\nFROM --platform=x \\\n  c:$V\nRUN x\n";
        let texts = Texts {
            written: written.into(),
            sent: written.replace("FROM a", "FROM own/a:image.a"),
        };
        let failure = Failure {
            said: Some(said.into()),
            step,
            cause: cause.into(),
            tail: Vec::new(),
        };
        let image = missing(&texts, &BTreeMap::new(), &failure)?;
        let spot = Spot::of(written, image.place.start);
        Some((spot.line, spot.column, image.name))
    }

    #[test]
    fn an_image_that_cannot_be_had_is_found_in_the_file() {
        let c = Some((5, 3, "c:1".to_owned()));
        let b = Some((3, 13, "b:1".to_owned()));
        let metadata = "load metadata for docker.io/library/";
        assert_eq!(found(&format!("{metadata}c:1"), None, "no"), c);
        assert_eq!(found(&format!("{metadata}b:1"), None, "no"), b);
        assert_eq!(found("FROM --platform=x c:$V", Some(4), "no"), c);
        let cause = "invalid from flag value b:1: pull access denied";
        assert_eq!(found("COPY --from=b:1 / /", Some(3), cause), b);
        assert_eq!(found("RUN x", Some(5), "returned 1"), None);
        assert_eq!(found(&format!("{metadata}d:1"), None, "no"), None);
    }
}
