//! The cache as it is on disk and in memory: one piece, in which a file is found by a hash of its name without taking the rest apart.
//!
//! Magic; digest of the rest; number of places in the table (u32, a power of two); the table: for each place where an entry begins, counted
//! from the end of the table, plus one (u32, 0 is empty); the entries: size, modified, changed, inode (8 bytes each), mode (4), digest (32),
//! length of the name (u32), name. All little-endian.

use super::{Entry, Stamp};
use crate::plan::Digest;

/// The number is the format's version.
const MAGIC: &[u8] = b"devenv-files-2\n";
/// Of an entry, without its name.
const FIXED: usize = 4 * 8 + 4 + 32 + 4;
/// From this size on, threads hash sooner than one.
const PARALLEL: usize = 1 << 20;
/// Magic, digest and the table's size.
const HEAD: usize = MAGIC.len() + 32 + 4;

/// What a file of the cache holds.
#[derive(Debug, Default)]
pub(super) struct Known {
    bytes: Vec<u8>,
    /// Places of the table; 0 of an empty cache.
    places: usize,
}

impl Known {
    /// `None` when it is not exactly what [`encode`] writes.
    pub fn decode(bytes: Vec<u8>) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, body) = rest.split_first_chunk::<32>()?;
        let mut hasher = blake3::Hasher::new();
        match body.len() < PARALLEL {
            true => hasher.update(body),
            false => hasher.update_rayon(body),
        };
        if hasher.finalize().as_bytes() != sum {
            return None;
        }
        let places = u32::from_le_bytes(*body.first_chunk()?) as usize;
        let fits = places.is_power_of_two() && HEAD + places * 4 <= bytes.len();
        fits.then_some(Self { bytes, places })
    }

    pub fn get(&self, name: &str) -> Option<Entry> {
        if self.places == 0 {
            return None;
        }
        let mut place = hash(name) & (self.places - 1);
        loop {
            let (found, entry) = self.entry(self.begin_of(place)?)?;
            if found == name.as_bytes() {
                return Some(entry);
            }
            place = (place + 1) & (self.places - 1);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Entry)> {
        let begins = (0..self.places).filter_map(|place| self.begin_of(place));
        begins.filter_map(|begin| {
            let (name, entry) = self.entry(begin)?;
            Some((std::str::from_utf8(name).ok()?, entry))
        })
    }

    /// Where the entry of a place begins; `None` of an empty one.
    fn begin_of(&self, place: usize) -> Option<usize> {
        let at = HEAD + place * 4;
        let begin = u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?);
        Some(HEAD + self.places * 4 + (begin as usize).checked_sub(1)?)
    }

    fn entry(&self, begin: usize) -> Option<(&[u8], Entry)> {
        let mut fields = self.bytes.get(begin..)?;
        let stamp = Stamp {
            size: u64::from_le_bytes(take(&mut fields)?),
            modified: i64::from_le_bytes(take(&mut fields)?),
            changed: i64::from_le_bytes(take(&mut fields)?),
            inode: u64::from_le_bytes(take(&mut fields)?),
            mode: u32::from_le_bytes(take(&mut fields)?),
        };
        let digest = Digest::from_bytes(take(&mut fields)?);
        let length = u32::from_le_bytes(take(&mut fields)?) as usize;
        Some((fields.get(..length)?, Entry { stamp, digest }))
    }
}

pub(super) fn encode(mut entries: Vec<(&str, Entry)>) -> Vec<u8> {
    // Files that are looked for one after the other are near each other.
    entries.sort_unstable_by_key(|(name, _)| *name);
    let places = (entries.len() * 2).next_power_of_two().max(2);
    let names: usize = entries.iter().map(|(name, _)| name.len()).sum();
    let mut table = vec![0_u32; places];
    let mut body = Vec::with_capacity(names + entries.len() * FIXED);
    for (name, Entry { stamp, digest }) in entries {
        let mut place = hash(name) & (places - 1);
        while table[place] != 0 {
            place = (place + 1) & (places - 1);
        }
        table[place] = u32::try_from(body.len() + 1).expect("a cache is smaller than 4 GiB");
        body.extend(stamp.size.to_le_bytes());
        body.extend(stamp.modified.to_le_bytes());
        body.extend(stamp.changed.to_le_bytes());
        body.extend(stamp.inode.to_le_bytes());
        body.extend(stamp.mode.to_le_bytes());
        body.extend(digest.as_bytes());
        body.extend((name.len() as u32).to_le_bytes());
        body.extend(name.as_bytes());
    }
    let mut rest = Vec::with_capacity(4 + places * 4 + body.len());
    rest.extend((places as u32).to_le_bytes());
    for begin in table {
        rest.extend(begin.to_le_bytes());
    }
    rest.extend(body);
    [MAGIC, blake3::hash(&rest).as_bytes(), &rest].concat()
}

/// Spreads names over the table; the same in every version of the format.
fn hash(name: &str) -> usize {
    let mut hash = 0_u64;
    let mut add = |word: u64| {
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    };
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    rest.iter().for_each(|byte| add(u64::from(*byte)));
    (hash ^ (hash >> 32)) as usize
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
