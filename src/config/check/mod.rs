//! What can only be checked once all tables are read: references, cycles, ports, names on the network.

mod cycle;
mod reference;
mod tables;
mod tasks;
mod toolchain;

pub(super) use cycle::cycles;
pub(super) use reference::references;
pub(super) use tables::tables;

use super::{ConfigError, ErrorSite, KeyPath, Source};

/// Collects errors at keys of the file.
pub(super) struct Report<'s> {
    pub source: &'s Source,
    pub errors: Vec<ConfigError>,
}

impl<'s> Report<'s> {
    pub fn new(source: &'s Source) -> Self {
        Self {
            source,
            errors: Vec::new(),
        }
    }

    fn at(&mut self, site: ErrorSite, message: String) -> &mut ConfigError {
        self.errors.push(ConfigError::new(site, message));
        self.errors.last_mut().expect("an error was just pushed")
    }

    fn at_key(&mut self, path: &KeyPath, message: String) -> &mut ConfigError {
        let place = self.source.key(path);
        self.at(site(place), message)
    }

    fn at_value(&mut self, path: &KeyPath, message: String) -> &mut ConfigError {
        let place = self.source.value(path);
        self.at(site(place), message)
    }
}

fn site(place: Option<super::Place>) -> ErrorSite {
    place.map_or(ErrorSite::Whole, |place| ErrorSite::Span(place.span))
}
