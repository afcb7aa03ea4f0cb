//! Who has a reference: the first definition on the engine. Another worktree's, if it differs, gets a tag of its own.
//!
//! A tag that each took from the other would leave neither with nothing to do.

use super::{ImageError, ImageInfo, Images, Want};
use crate::plan::Digest;

/// Which tag an image is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The reference that the file names.
    Reference,
    /// The worktree's own.
    Own,
}

/// What the engine has for a wanted image.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Nothing,
    Fits(Box<ImageInfo>),
    /// This worktree built it from a definition that has changed since, whose key this was.
    Changed {
        place: Place,
        built: Option<Digest>,
    },
    /// Another worktree's definition has the reference.
    Taken,
    /// It was pulled with this digest, devenv.lock wants another.
    OtherDigest(String),
}

impl Images {
    /// What there is for the wanted image, whose definition has this key. Changes nothing.
    pub async fn find(&self, want: Want<'_>, key: Option<&Digest>) -> Result<Found, ImageError> {
        let own = async {
            match key {
                Some(_) => self.inspect(want.own_tag).await,
                None => Ok(None),
            }
        };
        let (at_reference, own) = tokio::join!(self.inspect(want.reference), own);
        Ok(choose(at_reference?, own?, want, key))
    }
}

fn choose(
    at_reference: Option<ImageInfo>,
    own: Option<ImageInfo>,
    want: Want<'_>,
    key: Option<&Digest>,
) -> Found {
    use super::Fit;
    let changed = |place, image: &ImageInfo| Found::Changed {
        place,
        built: image.key(),
    };
    let fits = |image: &ImageInfo| image.fit(key, want.pinned);
    // What devenv did not build, such as an image the user loaded, goes before what it did.
    let given = at_reference
        .as_ref()
        .is_some_and(|image| image.key().is_none() && fits(image) == Fit::Yes);
    let own_fits = own.as_ref().is_some_and(|image| fits(image) == Fit::Yes);
    match (at_reference, own) {
        (_, Some(own)) if own_fits && !given => Found::Fits(own.into()),
        (None, _) => Found::Nothing,
        (Some(image), own) => match fits(&image) {
            Fit::Yes => Found::Fits(image.into()),
            Fit::OtherDigest(has) => Found::OtherDigest(has),
            Fit::OtherDefinition if image.is_built_by(want.builder) => {
                changed(Place::Reference, &image)
            }
            Fit::OtherDefinition => match own {
                Some(own) => changed(Place::Own, &own),
                None => Found::Taken,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::image::{BUILDER_LABEL, KEY_LABEL, TAG_LABEL, builder, obtain::testing};

    /// `name:key`, with the name as its id and who built it.
    fn built(image: &str) -> ImageInfo {
        let (id, key) = image.split_once(':').expect("an id and a key");
        let labels = [
            (KEY_LABEL, Digest::of(key).to_hex()),
            (TAG_LABEL, "x:1".to_owned()),
            (BUILDER_LABEL, builder(id, "x:1")),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value));
        ImageInfo {
            id: id.into(),
            labels: labels.into(),
            ..testing::image(None, None)
        }
    }

    /// What is found for the key `k` by the worktree `mine`.
    fn found(at_reference: Option<ImageInfo>, own: Option<&str>) -> String {
        let want = Want {
            root: Path::new("/"),
            reference: "x:1",
            own_tag: "devenv/a:image.x",
            builder: "mine",
            pinned: Some("sha256:1"),
            definition: None,
            args: &BTreeMap::new(),
            bases: &BTreeMap::new(),
        };
        let key = Digest::of("k");
        match choose(at_reference, own.map(built), want, Some(&key)) {
            Found::Fits(image) => image.id,
            Found::Changed { place, built } => {
                assert_eq!(built, Some(Digest::of("old")));
                format!("{place:?} of old")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn who_comes_first_has_the_reference() {
        let at = |image: &str| Some(built(image));
        assert_eq!(found(None, None), "Nothing");
        assert_eq!(found(at("other:k"), None), "other");
        assert_eq!(found(at("mine:k"), None), "mine");
        // Its own definition was edited.
        assert_eq!(found(at("mine:old"), None), "Reference of old");
        assert_eq!(found(at("mine:old"), Some("own:older")), "Reference of old");
        // Another worktree's.
        assert_eq!(found(at("other:o"), None), "Taken");
        assert_eq!(found(at("other:o"), Some("own:k")), "own");
        assert_eq!(found(at("other:o"), Some("mine:old")), "Own of old");
        // What this worktree has stays what it has.
        assert_eq!(found(None, Some("own:k")), "own");
        assert_eq!(found(at("other:k"), Some("own:k")), "own");
        assert_eq!(found(at("other:k"), Some("own:old")), "other");
        assert_eq!(found(None, Some("own:old")), "Nothing");
    }

    /// A build on top of an image has its labels, but for those that it sets.
    #[test]
    fn who_builds_on_an_image_did_not_build_it() {
        let mut on_top = built("mine:old");
        on_top.labels.insert(TAG_LABEL.to_owned(), "y:1".to_owned());
        assert!(!on_top.is_built_by("mine"));
        assert_eq!(found(Some(on_top), None), "Taken");
    }

    #[test]
    fn what_devenv_did_not_build_is_taken_as_it_is() {
        let loaded = || Some(testing::image(None, None));
        assert_eq!(found(loaded(), None), "sha256:0");
        assert_eq!(found(loaded(), Some("own:k")), "sha256:0");
        let pulled = |digest| Some(testing::image(None, Some(digest)));
        assert_eq!(found(pulled("sha256:1"), Some("own:k")), "sha256:0");
        assert_eq!(found(pulled("sha256:2"), Some("own:k")), "own");
        assert_eq!(found(pulled("sha256:2"), None), "OtherDigest(\"sha256:2\")");
    }
}
